//! The forecaster on made-up streams.

use super::*;
use crate::arrivals::Arrivals;

const TICK_S: f64 = 5.0;

/// Runs a forecaster over `rate(at)` records a second and returns the last forecast.
fn after(ticks: usize, rate: impl Fn(f64) -> f64) -> Forecast {
    let (mut arrivals, mut forecaster) = (Arrivals::default(), Forecaster::new(0.7));
    let (mut total, mut last) = (0.0, Forecast::default());
    for tick in 0..ticks {
        let at = tick as f64 * TICK_S;
        // Whole records, with the rest carried over.
        let before = f64::floor(total);
        total += rate(at) * TICK_S;
        let arrived = total.floor() - before;
        arrivals.push(arrived);
        let level = arrivals.level(TICK_S);
        let recent_rate = arrivals.rate(600.0, TICK_S);
        let arrived_total = total.floor();
        last = forecaster.forecast(&Seen {
            at,
            phase_s: at,
            elapsed_s: TICK_S,
            arrived,
            arrived_total,
            level,
            recent_rate,
            horizon_s: 185.0,
        });
    }
    last
}

#[test]
fn a_steady_stream_is_left_to_persistence() {
    let forecast = after(2000, |_| 0.5);
    assert_eq!(forecast.led_by, "level");
    assert_eq!(forecast.beyond, 0.0);
    assert!((forecast.within(100.0) - 50.0).abs() < 2.0, "{}", forecast.within(100.0));
}

#[test]
fn peaks_that_come_at_the_same_time_each_day_are_seen_coming() {
    // Every half hour the rate trebles for five minutes; asked a minute before on the third day.
    let pulses = |at: f64| if at % 1800.0 < 300.0 { 3.0 } else { 1.0 };
    let before = ((2.0 * 86_400.0 + 18.0 * 1800.0 - 60.0) / TICK_S) as usize;
    let forecast = after(before, pulses);
    assert!(forecast.beyond > 0.1, "{}, led by {}", forecast.beyond, forecast.led_by);
}

#[test]
fn the_band_holds_the_share_it_is_asked_for() {
    let mut band = Band::new(0.7);
    // Errors spread evenly from -2 to 2 standard deviations, in a fixed order that looks at all of them.
    for step in 0..20_000_u32 {
        let error = f64::from(step * 7919 % 4001) / 1000.0 - 2.0;
        band.learn(100.0 + 10.0 * error, 100.0);
    }
    assert!(band.coverage().is_some_and(|held| (held - 0.7).abs() < 0.05), "{:?}", band.coverage());
    assert!((band.upper() - 0.8).abs() < 0.15, "{}", band.upper());
}

#[test]
fn what_held_is_told_once_some_came_due_and_is_what_was_measured() {
    let mut band = Band::new(0.7);
    for due in 0..20 {
        assert_eq!(band.coverage(), None, "{due}");
        // Every fourth came far above what was expected.
        band.learn(if due % 4 == 0 { 1000.0 } else { 90.0 }, 100.0);
    }
    assert!(band.coverage().is_some_and(|held| (held - 0.75).abs() < 1e-9), "{:?}", band.coverage());
    // A forecast comes due when its time has passed, not before.
    assert_eq!(after(37, |_| 1.0).coverage, None);
    assert!(after(100, |_| 1.0).coverage.is_some());
}

#[test]
fn being_short_costs_more_than_being_over() {
    assert!(pinball(10.0, 8.0) > pinball(10.0, 12.0));
    assert_eq!(pinball(10.0, 10.0), 0.0);
}

#[test]
fn announced_uploads_are_expected() {
    let forecast = Forecast { announced: (20.0, 40.0), ..Forecast::default() };
    assert_eq!(forecast.within(20.0), 10.0);
    assert_eq!(forecast.within(400.0), 20.0);
}
