use planning::observation::{Lane, Stage, Workers};
use planning::record::Recorded;

use super::*;

/// Ticks at which `waiting` records lie at a stage that has two workers.
fn ticks(waiting: &[f64]) -> Vec<Tick> {
    decided_by(&Policy::default(), waiting)
}

fn decided_by(policy: &Policy, waiting: &[f64]) -> Vec<Tick> {
    let mut memory = Memory::default();
    let tick = |(place, waiting): (usize, &f64)| {
        let at = place as f64 * 5.0;
        let lane = Lane {
            lane: "standard".to_owned(),
            partitions: 40,
            end_offset_total: 1000.0 + waiting,
            committed_total: 1000.0,
            ..Lane::default()
        };
        let stage = Stage {
            stage: "cut".to_owned(),
            lanes: vec![lane],
            workers: Workers { ready: 2, ..Workers::default() },
            replicas: 2,
            min_replicas: 1,
            max_replicas: 30,
            slots_per_worker: 1,
            wait_slo_s: 120.0,
            ..Stage::default()
        };
        let seen = Observation { at, stages: vec![stage], ..Observation::default() };
        let decided = decide(policy, &mut memory, &seen).stages;
        let recorded = Arc::new(Recorded { seen, decided, policy: Some(policy.clone()) });
        Tick { at_ms: 1000 * at as i64, recorded, keda: Arc::default() }
    };
    waiting.iter().enumerate().map(tick).collect()
}

#[test]
fn a_shorter_wait_asks_for_more_workers() {
    let ticks = ticks(&[100.0; 4]);
    let last =
        |settings: &Settings| Trial::of(&ticks, settings).stage("cut").unwrap().dry_run.last().copied().flatten();
    let (patient, hasty) = (Settings { wait_s: Some(1800.0), ..Settings::default() }, Settings::default());
    assert!(last(&patient) < last(&hasty), "{:?} {:?}", last(&patient), last(&hasty));
    let dry_run = DryRun::of("cut", &ticks, &Trial::of(&ticks, &patient)).unwrap();
    assert!(dry_run.other < dry_run.live && dry_run.ticks == 4 && dry_run.differing_ticks > 0);
}

#[test]
fn without_other_settings_it_decides_as_the_policy_that_ran() {
    let policy = Policy { service_s: 600.0, down_window_s: 5.0, ..Policy::default() };
    let mut ticks = decided_by(&policy, &[30.0; 6]);
    let differing =
        |ticks: &[Tick]| DryRun::of("cut", ticks, &Trial::of(ticks, &Settings::default())).unwrap().differing_ticks;
    assert_eq!(differing(&ticks), 0);
    for tick in &mut ticks {
        tick.recorded = Arc::new(Recorded { policy: None, ..Recorded::clone(&tick.recorded) });
    }
    assert!(differing(&ticks) > 0, "another policy decides otherwise");
}

#[test]
fn a_stage_that_was_not_seen_has_no_dry_run() {
    assert!(Trial::of(&ticks(&[1.0]), &Settings::default()).stage("fetch").is_none());
}

#[tokio::test]
async fn the_same_is_not_worked_out_twice() {
    let trials = Trials::default();
    let ticks = ticks(&[5.0; 3]);
    let first = trials.run(ticks.clone(), &Settings::default()).await.unwrap();
    let again = trials.run(ticks.clone(), &Settings::default()).await.unwrap();
    let other = Settings { coverage: Some(0.9), ..Settings::default() };
    let other = trials.run(ticks, &other).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &other));
    assert!(trials.run(Vec::new(), &Settings::default()).await.unwrap().stage("cut").is_none());
}
