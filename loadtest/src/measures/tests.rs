use std::collections::BTreeMap;

use super::*;
use crate::fleet::Workers;
use crate::mix::Arrival;

pub(crate) fn sent(number: u32, planned_ms: i64, answer: Answer) -> Sent {
    let arrival = Arrival { number, at_s: 0.0, sender: 0, priority: false, by_url: false, kind: 0 };
    Sent { arrival, planned_ms, late_s: 0.001, answered_s: 0.1 * f64::from(number + 1), answer }
}

fn story(id: &str, ended_ms: i64, state: &str) -> Story {
    Story {
        id: id.to_owned(),
        ended_ms: Some(ended_ms),
        state: state.to_owned(),
        queue_wait_s: Some(2.0),
        total_s: Some(30.0),
        busy_s: 40.0,
        duplicates: u32::from(state == "failed"),
        ..Story::default()
    }
}

fn fleet(at_ms: i64, slots: u32, busy: u32) -> Fleet {
    let stages = BTreeMap::from([("cut".to_owned(), Workers { slots, busy, ..Workers::default() })]);
    Fleet { at_ms, stages, ..Fleet::default() }
}

fn looked(at_ms: i64, ingest_mib: f64) -> Machine {
    Machine { at_ms, memory_mib: BTreeMap::from([("ingest".to_owned(), ingest_mib)]), ..Machine::default() }
}

fn decided(at_ms: i64, wanted: u32) -> Decided {
    Decided { at_ms, stage: "cut".to_owned(), had: 2, wanted, reason: String::new() }
}

#[test]
fn a_run_is_counted_and_its_times_are_scaled() {
    let sent = [
        sent(0, 10_000, Answer::Accepted("a".to_owned())),
        sent(1, 10_000, Answer::Accepted("b".to_owned())),
        sent(2, 11_000, Answer::Accepted("c".to_owned())),
        sent(3, 11_000, Answer::Refused { status: 503, retry_after_s: Some(1) }),
        sent(4, 11_000, Answer::Broken("no".to_owned())),
    ];
    let stories = [story("a", 46_000, "done"), story("b", 40_000, "failed")];
    let fleets = [fleet(10_000, 2, 2), fleet(20_000, 2, 1), fleet(30_000, 6, 6)];
    let changes = [decided(1_000, 2), decided(12_000, 6)];
    let machine = [looked(9_000, 50.0), looked(12_000, 80.0), looked(13_000, 60.0)];
    let seen = Seen {
        planned: 6,
        sent: &sent,
        stories: &stories,
        fleets: &fleets,
        changes: &changes,
        machine: &machine,
        time_scale: 10.0,
    };
    let measures = Measures::of(seen);
    assert_eq!(measures.ingest_growth_mib, Some(30.0));
    assert_eq!((measures.accepted, measures.refused, measures.unsent), (3, 1, 1));
    assert_eq!((measures.done, measures.not_done, measures.lost, measures.duplicates), (1, 1, 1, 1));
    assert_eq!(measures.acceptance.unwrap().max, 0.1 * 3.0);
    assert_eq!((measures.queue_wait.unwrap().p95, measures.total.unwrap().p50), (20.0, 300.0));
    assert_eq!((measures.busy_s_a_video, measures.rate_per_hour), (Some(400.0), Some(10.0)));
    assert_eq!(measures.used, Some(0.9));
    assert_eq!((measures.decision_s, measures.capacity_s), (Some(20.0), Some(180.0)));
    assert_eq!((measures.undecided_s, measures.unreached_s), (None, None));
    let first_heard_late = Measures::of(Seen { changes: &changes[1..], ..seen });
    assert_eq!(first_heard_late.decision_s, Some(20.0), "what there was is known from the decision itself");
    let as_it_was = Measures::of(Seen { changes: &[decided(12_000, 2)], ..seen });
    assert_eq!((as_it_was.decision_s, as_it_was.undecided_s), (None, Some(200.0)), "that is no more than there was");
    let never = Measures::of(Seen { fleets: &fleets[..2], ..seen });
    assert_eq!((never.capacity_s, never.unreached_s), (None, Some(80.0)));
}

#[test]
fn of_nothing_nothing_is_measured() {
    let seen = Seen { planned: 0, sent: &[], stories: &[], fleets: &[], changes: &[], machine: &[], time_scale: 1.0 };
    assert_eq!(Measures::of(seen), Measures::default());
}
