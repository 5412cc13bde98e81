//! What is learned from one look to the next.

use super::*;

#[test]
fn what_has_begun_of_short_units_keeps_no_slot_for_ever() {
    let mut memory = Memory::default();
    let decision = (0..240).map(|tick| {
        // 1.5 units a second of 4 s each, hardly varying: six of ten slots are busy.
        let done = f64::from(tick) * 7.5;
        let mut short = stage(0, 0.0, 10);
        (short.done_total, short.busy_seconds_total, short.slots_busy) = (done, done * 4.0, 6.0);
        (short.lanes[0].end_offset_total, short.lanes[0].committed_total) = (done + 6.0, done);
        short.lanes[0].arrived_total = done + 6.0;
        one(&mut memory, &seen(tick, vec![short]))
    });
    let last = decision.last().unwrap();
    assert!(last.replicas <= 10 && last.inputs.as_ref().is_some_and(|inputs| inputs.wait_s < 10.0), "{last:?}");
}

#[test]
fn a_late_look_is_no_burst() {
    let rate = |ticks: &[u32]| {
        let mut memory = Memory::default();
        let decision = ticks.iter().map(|tick| one(&mut memory, &seen(*tick, vec![stage(*tick, 0.0, 30)]))).last();
        decision.and_then(|decision| decision.inputs).map(|inputs| inputs.expected).unwrap()
    };
    let each: Vec<u32> = (0..120).collect();
    let late: Vec<u32> = (0..40).map(|look| look * 3).chain([119]).collect();
    assert!((rate(&each) - rate(&late)).abs() < 1e-6, "{} {}", rate(&each), rate(&late));
}

#[test]
fn what_came_while_upstream_was_not_seen_tells_of_no_ratio() {
    let last = |is_lost: &dyn Fn(u32) -> bool| {
        let mut memory = Memory::default();
        let decide_at = |tick: u32| {
            let (first, mut later) = (stage(tick, 0.0, 30), stage(tick, 0.0, 30));
            later.stage = "cut".to_owned();
            let mut first = Stage { slots_busy: 24.0, ..first };
            if is_lost(tick) {
                first.lanes[0].committed_total += 1000.0;
            }
            decide(&Policy::default(), &mut memory, &seen(tick, vec![first, later])).stages.remove(1)
        };
        (0..120).map(decide_at).last().and_then(|decision| decision.inputs).map(|inputs| inputs.expected).unwrap()
    };
    let (calm, troubled) = (last(&|_| false), last(&|tick| (40..110).contains(&tick)));
    assert!(calm > 1.0 && troubled < 1.2 * calm, "{troubled} instead of {calm}");
}

#[test]
fn what_forecasts_held_is_told_of_the_stage_that_has_some_once_some_came_due() {
    let mut memory = Memory::default();
    let mut coverage = |tick: u32| {
        let mut later = stage(tick, 0.0, 30);
        later.stage = "cut".to_owned();
        let decision = decide(&Policy::default(), &mut memory, &seen(tick, vec![stage(tick, 0.0, 30), later]));
        decision.stages.into_iter().map(|stage| stage.inputs.and_then(|inputs| inputs.coverage)).collect::<Vec<_>>()
    };
    assert_eq!(coverage(0), [None, None]);
    let last = (1..120).map(coverage).last().unwrap();
    assert!(last[0].is_some_and(|held| (0.0..=1.0).contains(&held)) && last[1].is_none(), "{last:?}");
}

#[test]
fn a_recording_of_before_is_read_and_what_is_not_known_is_left_out() {
    let read = |text: &str| serde_json::from_str::<StageDecision>(text).unwrap().inputs.unwrap();
    let line = |coverage: &str| {
        format!(
            r#"{{"stage":"cut","replicas":1,"reason":"","inputs":{{"waiting":0,"service_s":1,"startup_s":45,"horizon_s":50,
            "expected":0,"expected_upper":0,"led_by":"level",{coverage}"wait_s":0,"enough":1}}}}"#
        )
    };
    assert_eq!(read(&line(r#""coverage":0.7,"#)).coverage, Some(0.7));
    let unknown = read(&line(""));
    assert_eq!(unknown.coverage, None);
    assert!(!serde_json::to_string(&unknown).unwrap().contains("coverage"));
}

#[test]
fn who_goes_on_after_a_restart_knows_costs_and_holds_to_nothing_that_was_decided() {
    let cheap = |tick: u32, ready: u32| {
        let stage = stage(tick, 0.0, ready);
        Stage { busy_seconds_total: stage.done_total * 4.0, ..stage }
    };
    let mut memory = Memory::default();
    for tick in 0..120 {
        one(&mut memory, &seen(tick, vec![cheap(tick, 30)]));
    }
    memory.resume();
    // Counted from its own start, with a scale that somebody changed meanwhile.
    let observation = Observation { at: 5000.0, ..seen(0, vec![cheap(0, 7)]) };
    let decision = one(&mut memory, &observation);
    let inputs = decision.inputs.as_ref().expect("nothing is held");
    assert!(decision.replicas == 7 && (3.9..7.0).contains(&inputs.service_s), "{decision:?}");
}
