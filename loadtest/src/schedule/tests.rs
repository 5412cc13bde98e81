use proptest::prelude::*;

use super::*;

fn args() -> ScheduleArgs {
    ScheduleArgs { rate: 600.0, length: None, skip: Duration::ZERO, videos: None }
}

fn curve(name: &str) -> Curve {
    name.parse::<Schedule>().unwrap().curve(&args()).unwrap()
}

#[test]
fn schedules_have_the_counts_they_are_named_for() {
    for (name, count, length_s) in [
        ("users-10", 10, 10.0),
        ("users-100", 100, 10.0),
        ("viral-500", 550, 310.0),
        ("steady", 100, 600.0),
        ("ramp", 50, 600.0),
        ("growth-3", 200, 86_400.0),
        ("growth-6", 800, 86_400.0),
        ("growth-12", 4_000, 86_400.0),
    ] {
        let curve = curve(name);
        assert_eq!((curve.count(), curve.length_s()), (count, length_s), "{name}");
        assert_eq!(name.parse::<Schedule>().unwrap().to_string(), name);
    }
    let at_once = curve("viral-500").moments(1).into_iter().filter(|at_s| *at_s < 10.0).count();
    assert_eq!(at_once, 500);
}

#[test]
fn a_part_of_a_day_begins_at_its_start() {
    let part = ScheduleArgs { skip: Duration::from_secs(18 * 3600), length: Some(Duration::from_secs(7200)), ..args() };
    let curve = "growth-12".parse::<Schedule>().unwrap().curve(&part).unwrap();
    let moments = curve.moments(3);
    assert!(moments.len() > 900 && moments.iter().all(|at_s| (0.0..7200.0).contains(at_s)), "{}", moments.len());
    let burst = moments.iter().filter(|at_s| (3600.0..3610.0).contains(*at_s)).count();
    assert!(burst >= 500, "{burst}");
}

#[test]
fn what_is_no_schedule_is_refused() {
    for text in ["", "users", "users-0", "users-x", "growth-4", "trace:", "viral-400"] {
        assert!(text.parse::<Schedule>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn moments_are_the_same_for_a_seed_in_order_and_all_there(seed: u64, count in 1_u32..2000) {
        let curve = Schedule::Users(count).curve(&args()).unwrap();
        let moments = curve.moments(seed);
        prop_assert_eq!(moments.len(), count as usize);
        prop_assert!(moments.is_sorted() && moments.iter().all(|at_s| (0.0..BURST_S).contains(at_s)));
        prop_assert_eq!(moments, curve.moments(seed));
    }

    #[test]
    fn whatever_the_shape_all_are_spread(count in 0_u64..5000, weights in proptest::collection::vec(0.01_f64..9.0, 1..80)) {
        let pieces = weights.len() as u32;
        let spread = Curve::shaped(0.0, f64::from(pieces), pieces, count, |at_s| weights[at_s as usize]);
        prop_assert_eq!(spread.count(), count);
        let sum: f64 = weights.iter().sum();
        for (bucket, weight) in spread.buckets.iter().zip(&weights) {
            prop_assert!((bucket.count as f64 - count as f64 * weight / sum).abs() <= 1.0);
        }
        prop_assert_eq!(spread.clone().scaled_to(17).count(), if count == 0 { 0 } else { 17 });
    }
}
