//! Whether what is seen can be true, and what to go by when it cannot.

use crate::observation::{Lane, Stage};

/// Ticks without an observation after which it is too old to go on from.
const LOST_TICKS: f64 = 3.5;

/// No count and no time in seconds is larger.
const MOST: f64 = 1e15;

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

/// Everything that only counts up.
#[derive(Clone, Debug)]
struct Counters {
    at: f64,
    /// By lane: its name, its end, what is committed of it, and what arrived; and what workers have done of it.
    lanes: Vec<(String, [f64; 3], [f64; 3])>,
    /// What workers have done: units, and busy and media seconds of them.
    work: [f64; 3],
}

impl Counters {
    fn numbers(&self) -> impl Iterator<Item = f64> {
        self.lanes.iter().flat_map(|(_, queue, work)| queue.iter().chain(work)).chain(&self.work).copied()
    }
}

const OF_LANE: [&str; 3] = ["end offsets", "committed offsets", "arrivals"];
const OF_WORK: [&str; 3] = ["units done", "busy seconds", "media seconds"];

impl Judge {
    /// Judges `stage`, seen at `at`.
    ///
    /// Every counter is compared with the one before, good or bad: one that was set back for good, because what counts
    /// was restarted, costs one tick.
    pub fn judge(&mut self, at: f64, stage: &Stage, tick_s: f64, hold_s: f64) -> Trust {
        let of = |lane: &Lane| {
            let queue = [lane.end_offset_total, lane.committed_total, lane.arrived_total];
            let work = [lane.done_total, lane.busy_seconds_total, lane.work_done_media_s_total];
            (lane.lane.clone(), queue, work)
        };
        let now = Counters {
            at,
            lanes: stage.lanes.iter().map(of).collect(),
            work: [stage.done_total, stage.busy_seconds_total, stage.work_done_media_s_total],
        };
        let fault = fault(&now, self.last.as_ref(), stage, tick_s);
        if now.numbers().all(f64::is_finite) {
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
    if stage.stale.is_some() {
        return stage.stale.clone();
    }
    for lane in &stage.lanes {
        let lag = lane.lag_records();
        if !lag.is_finite() || lag < 0.0 {
            return Some(format!("lane {} has a lag of {lag} records", lane.lane));
        }
    }
    let given = [now.at, stage.slots_busy, stage.wait_slo_s, stage.startup_p90_s.unwrap_or(0.0)];
    if given.into_iter().chain(now.numbers()).any(|number| !(0.0..=MOST).contains(&number)) {
        return Some("a number is negative, too large or none at all".to_owned());
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
    went_back(now, last)
}

fn went_back(now: &Counters, last: &Counters) -> Option<String> {
    if !now.lanes.iter().map(|lane| &lane.0).eq(last.lanes.iter().map(|lane| &lane.0)) {
        return Some("its lanes are others than before".to_owned());
    }
    let back = |names: [&str; 3], before: [f64; 3], after: [f64; 3]| {
        let mut pairs = names.into_iter().zip(before.into_iter().zip(after));
        let (name, (before, after)) = pairs.find(|(_, (before, after))| *after < before - 1e-6)?;
        Some(format!("{name} went back from {before:.0} to {after:.0}"))
    };
    let mut lanes = last.lanes.iter().zip(&now.lanes);
    let of_lane = lanes.find_map(|((name, queue_before, work_before), (_, queue, work))| {
        let words = back(OF_LANE, *queue_before, *queue).or_else(|| back(OF_WORK, *work_before, *work))?;
        Some(format!("lane {name}: {words}"))
    });
    of_lane.or_else(|| back(OF_WORK, last.work, now.work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Workers;

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
    fn each_counter_is_compared_by_itself() {
        let before = || {
            let lane = |name: &str| Lane {
                lane: name.to_owned(),
                arrived_total: 9.0,
                busy_seconds_total: 9.0,
                ..stage(10.0, 5.0, 0.0).lanes.remove(0)
            };
            Stage { lanes: vec![lane("express"), lane("batch")], work_done_media_s_total: 9.0, ..stage(0.0, 0.0, 5.0) }
        };
        let check = |change: &dyn Fn(&mut Stage), words: &str| {
            let mut own = Judge::default();
            assert_eq!(judge(&mut own, 0.0, &before()), Trust::Full);
            let mut after = before();
            // What goes forward elsewhere hides nothing.
            after.lanes[1] =
                Lane { end_offset_total: 90.0, committed_total: 50.0, arrived_total: 80.0, ..after.lanes[1].clone() };
            change(&mut after);
            let told = judge(&mut own, 5.0, &after);
            assert!(matches!(&told, Trust::Hold(why) if why.contains(words)), "{told:?}");
        };
        check(&|stage| stage.lanes[0].end_offset_total = 8.0, "lane express: end offsets");
        check(&|stage| stage.lanes[0].committed_total = 0.0, "lane express: committed offsets");
        check(&|stage| stage.lanes[0].arrived_total = 1.0, "lane express: arrivals");
        check(&|stage| stage.work_done_media_s_total = 1.0, "media seconds");
        check(&|stage| stage.lanes[0].busy_seconds_total = 1.0, "lane express: busy seconds");
        check(&|stage| drop(stage.lanes.pop()), "lanes are others");
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
        let impossible = Stage { startup_p90_s: Some(-5.0), ..stage(1.0, 1.0, 1.0) };
        assert!(matches!(judge(&mut own, 0.0, &impossible), Trust::Hold(_)));
        assert_eq!(judge(&mut own, 5.0, &stage(2.0, 1.0, 1.0)), Trust::Full);
        assert!(matches!(judge(&mut own, 10.0, &stage(1e300, 1.0, 1.0)), Trust::Hold(_)));
    }
}
