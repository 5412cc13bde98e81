//! Lanes: what a record costs in each, and how many workers can have work in them.

use super::*;

const LANES: [&str; 4] = ["priority", "express", "standard", "batch"];

/// Four lanes of 60 partitions, in which so many records wait.
fn lanes(waiting: [f64; 4]) -> Vec<Lane> {
    let lane = |(name, waiting): (&str, f64)| Lane {
        lane: name.to_owned(),
        partitions: 60,
        end_offset_total: waiting,
        ..Lane::default()
    };
    LANES.into_iter().zip(waiting).map(lane).collect()
}

/// A stage at `tick` that has done one record a tick of the second lane, of 10 media seconds, and of the last one, of 100,
/// at half a busy second each; nobody tells it by lane if `tells` is false.
fn mixed(tick: u32, waiting: [f64; 4], tells: bool) -> Stage {
    let done = f64::from(tick);
    let mut stage = Stage { lanes: lanes(waiting), ..stage(0, 0.0, 30) };
    for (lane, media_s) in [(1, 10.0), (3, 100.0)] {
        let lane = &mut stage.lanes[lane];
        lane.end_offset_total += done;
        lane.committed_total = done;
        if tells {
            (lane.done_total, lane.work_done_media_s_total) = (done, done * media_s);
            lane.busy_seconds_total = done * media_s / 2.0;
        }
    }
    (stage.done_total, stage.busy_seconds_total, stage.work_done_media_s_total) =
        (2.0 * done, 55.0 * done, 110.0 * done);
    stage
}

/// What is decided when so many wait after ten minutes of that.
fn when(waiting: [f64; 4], tells: bool) -> StageDecision {
    let mut memory = Memory::default();
    (0..120).for_each(|tick| drop(one(&mut memory, &seen(tick, vec![mixed(tick, [0.0; 4], tells)]))));
    one(&mut memory, &seen(120, vec![mixed(120, waiting, tells)]))
}

#[test]
fn what_waits_is_counted_by_what_its_lane_costs() {
    let (short, long) = (when([0.0, 120.0, 0.0, 0.0], true), when([0.0, 0.0, 0.0, 120.0], true));
    assert!(long.replicas > short.replicas + 10, "{short:?} {long:?}");
    let inputs = long.inputs.unwrap();
    assert!(inputs.service_s > 35.0 && short.inputs.is_some_and(|inputs| inputs.service_s < 20.0), "{inputs:?}");
    let told: Vec<&str> = inputs.lanes.iter().map(|lane| &*lane.lane).collect();
    assert_eq!(told, ["express", "batch"], "of the others nothing was done");
    for (lane, media_s, service_s) in [(&inputs.lanes[0], 10.0, 5.0), (&inputs.lanes[1], 100.0, 50.0)] {
        let cost = lane.cost;
        assert!((cost.service_s - service_s).abs() < 1e-6, "{lane:?}");
        assert!(cost.media_s.is_some_and(|told_s| (told_s - media_s).abs() < 1e-6), "{lane:?}");
        assert!(cost.busy_s_per_media_s.is_some_and(|cost| (cost - 0.5).abs() < 1e-6), "{lane:?}");
        assert!(cost.variation.is_some_and(|variation| variation < 1e-6), "{lane:?}");
    }
}

#[test]
fn without_lanes_costs_the_stages_counts() {
    let (short, long) = (when([0.0, 120.0, 0.0, 0.0], false), when([0.0, 0.0, 0.0, 120.0], false));
    let service_s = |decision: &StageDecision| decision.inputs.as_ref().map(|inputs| inputs.service_s).unwrap();
    assert!((service_s(&short) - 27.5).abs() < 1.0 && (service_s(&long) - 27.5).abs() < 1.0, "{short:?} {long:?}");
    assert!(long.inputs.unwrap().lanes.is_empty());
}

#[test]
fn no_more_workers_are_asked_for_than_can_have_work_in_the_lanes_that_have_some() {
    let decided = |waiting: [f64; 4], ready: u32, slots_per_worker: u32| {
        let stage = Stage { lanes: lanes(waiting), slots_per_worker, ..stage(0, 0.0, ready) };
        one(&mut Memory::default(), &seen(0, vec![stage]))
    };
    let pooled = decided([0.0, 500.0, 0.0, 0.0], 1, 1);
    assert_eq!(pooled.replicas, 60, "{pooled:?}");
    assert!(pooled.reason.starts_with("up 1 -> 60, at the lanes that have work: "), "{pooled:?}");
    assert_eq!(decided([3.0, 500.0, 0.0, 0.0], 1, 1).replicas, 63, "three cannot be worked on by more than three");
    assert!(decided([125.0, 125.0, 125.0, 125.0], 1, 1).replicas > 180);
    assert_eq!(decided([0.0, 5000.0, 0.0, 0.0], 1, 4).replicas, 60, "four units each");
    assert_eq!(decided([0.0, 500.0, 0.0, 0.0], 100, 1).replicas, 100, "who is there goes in his own time");
}
