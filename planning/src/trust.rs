//! Whether what is seen can be true, and what to go by when it cannot.

use crate::observation::Stage;

/// Ticks without an observation after which it is too old to go on from.
const LOST_TICKS: f64 = 3.5;

/// How much a decision may build on an observation.
#[derive(Clone, PartialEq, Debug)]
pub enum Trust {
    /// All of it.
    Full,
    /// None: the last good scale is held. Why, in words.
    Hold(String),
    /// It has been wrong for long: what is plausible of it may scale up, nothing down. Why, in words.
    Floor(String),
}

/// What is remembered to judge the next observation by.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    last: Option<Counters>,
    bad_since: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Counters {
    at: f64,
    end: f64,
    done: f64,
    busy_s: f64,
}

impl Judge {
    /// Judges `stage`, seen at `at`.
    ///
    /// Every counter is compared with the one before, good or bad: one that was set back for good, because what counts
    /// was restarted, costs one tick.
    pub fn judge(&mut self, at: f64, stage: &Stage, tick_s: f64, hold_s: f64) -> Trust {
        let now = Counters {
            at,
            end: stage.lanes.iter().map(|lane| lane.end_offset_total).sum(),
            done: stage.done_total,
            busy_s: stage.busy_seconds_total,
        };
        let fault = fault(&now, self.last.as_ref(), stage, tick_s);
        if now.end.is_finite() && now.done.is_finite() && now.busy_s.is_finite() {
            self.last = Some(now);
        }
        let Some(fault) = fault else {
            self.bad_since = None;
            return Trust::Full;
        };
        let since = *self.bad_since.get_or_insert(at);
        if at - since >= hold_s { Trust::Floor(fault) } else { Trust::Hold(fault) }
    }
}

fn fault(now: &Counters, last: Option<&Counters>, stage: &Stage, tick_s: f64) -> Option<String> {
    for lane in &stage.lanes {
        let lag = lane.lag_records();
        if !lag.is_finite() || lag < 0.0 {
            return Some(format!("lane {} has a lag of {lag} records", lane.lane));
        }
    }
    let numbers = [now.at, now.done, now.busy_s, stage.slots_busy, stage.wait_slo_s];
    if numbers.iter().any(|number| !number.is_finite() || *number < 0.0) {
        return Some("a number is negative or none at all".to_owned());
    }
    if stage.slots_busy > 0.0 && stage.workers.ready == 0 && stage.workers.draining == 0 {
        return Some(format!("{} slots are busy and no worker is ready", stage.slots_busy));
    }
    let last = last?;
    let passed = now.at - last.at;
    if passed <= 0.0 {
        return Some(format!("time went from {} s to {} s", last.at, now.at));
    }
    if passed > LOST_TICKS * tick_s {
        return Some(format!("nothing was seen for {passed:.0} s"));
    }
    let went_back = [
        ("end offsets", last.end, now.end),
        ("units done", last.done, now.done),
        ("busy seconds", last.busy_s, now.busy_s),
    ];
    let back = went_back.into_iter().find(|(_, before, after)| *after < before - 1e-6);
    back.map(|(name, before, after)| format!("{name} went back from {before:.0} to {after:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Lane, Workers};

    fn stage(end: f64, committed: f64, done: f64) -> Stage {
        Stage {
            lanes: vec![Lane { end_offset_total: end, committed_total: committed, ..Lane::default() }],
            workers: Workers { ready: 1, ..Workers::default() },
            done_total: done,
            ..Stage::default()
        }
    }

    fn judge(judge: &mut Judge, at: f64, stage: &Stage) -> Trust {
        judge.judge(at, stage, 5.0, 60.0)
    }

    #[test]
    fn counters_that_go_forward_are_trusted() {
        let mut own = Judge::default();
        assert_eq!(judge(&mut own, 0.0, &stage(10.0, 5.0, 5.0)), Trust::Full);
        assert_eq!(judge(&mut own, 5.0, &stage(12.0, 6.0, 6.0)), Trust::Full);
    }

    #[test]
    fn a_negative_lag_holds_and_then_gives_way_to_the_floor() {
        let mut own = Judge::default();
        for tick in 0..12 {
            assert!(matches!(judge(&mut own, f64::from(tick) * 5.0, &stage(10.0, 11.0, 5.0)), Trust::Hold(_)));
        }
        assert!(matches!(judge(&mut own, 60.0, &stage(10.0, 11.0, 5.0)), Trust::Floor(_)));
        assert_eq!(judge(&mut own, 65.0, &stage(12.0, 11.0, 5.0)), Trust::Full);
    }

    #[test]
    fn a_counter_that_was_set_back_for_good_costs_one_tick() {
        let mut own = Judge::default();
        judge(&mut own, 0.0, &stage(100.0, 90.0, 90.0));
        assert!(
            matches!(judge(&mut own, 5.0, &stage(100.0, 91.0, 1.0)), Trust::Hold(why) if why.contains("units done"))
        );
        assert_eq!(judge(&mut own, 10.0, &stage(101.0, 92.0, 2.0)), Trust::Full);
    }

    #[test]
    fn a_gap_holds_once() {
        let mut own = Judge::default();
        judge(&mut own, 0.0, &stage(1.0, 1.0, 1.0));
        assert!(matches!(judge(&mut own, 60.0, &stage(2.0, 1.0, 1.0)), Trust::Hold(why) if why.contains("60 s")));
        assert_eq!(judge(&mut own, 65.0, &stage(2.0, 1.0, 1.0)), Trust::Full);
    }

    #[test]
    fn numbers_that_are_none_are_not_trusted() {
        let mut own = Judge::default();
        assert!(matches!(judge(&mut own, 0.0, &stage(f64::NAN, 1.0, 1.0)), Trust::Hold(_)));
        assert_eq!(judge(&mut own, 5.0, &stage(2.0, 1.0, 1.0)), Trust::Full);
    }
}
