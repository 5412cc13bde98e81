//! What is seen each tick: what waits in the brokers, who works on it, what is starting. What is seen is passed on as it
//! is; whether it can be right is for the policy to judge.

mod arrivals;
mod fleet;
mod missing;
mod startup;
mod uploads;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline::event::{SystemState, WorkerReport};
use pipeline::kafka::lag::{LaneLag, Read};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::observation::{Breaker, Lane as LaneSeen, Observation, Stage, Starting, Workers};
use planning::pin::Pin;
use planning::stages::{STAGES, fed_by};

use crate::act::{Scale, Unit};
use crate::args::Bounds;
use crate::clock::Clock;
use arrivals::Arrivals;
use fleet::{Crew, Fleet};
use missing::Reports;
use startup::Startups;
use uploads::Uploads;

/// Puts what is seen together.
pub struct Observer {
    clock: Clock,
    bounds: Bounds,
    /// How long a replica takes to start until some were seen, in seconds.
    startup_s: f64,
    fleet: Fleet,
    uploads: Uploads,
    stages: BTreeMap<StageName, Known>,
}

/// What is remembered of a stage.
#[derive(Default)]
struct Known {
    arrivals: [Arrivals; Lane::ALL.len()],
    /// Where each lane ended when it was first seen.
    began: Option<[i64; Lane::ALL.len()]>,
    startups: Startups,
    reports: Reports,
    /// What was last seen of it.
    last: Option<Stage>,
    /// Why it was held up then, if it was.
    held_up: Option<String>,
}

impl Observer {
    /// Has seen nothing yet. Workers that say nothing for `silence` count as gone.
    pub fn new(clock: Clock, bounds: Bounds, unit: Unit, silence: Duration, startup_s: f64) -> Self {
        let fleet = Fleet::new(unit, silence);
        Self { clock, bounds, startup_s, fleet, uploads: Uploads::default(), stages: BTreeMap::new() }
    }

    /// Takes from what was seen before this autoscaler began how long start-ups take; all else is seen anew.
    pub fn recall(&mut self, seen: &Observation) {
        for stage in &seen.stages {
            if let (Ok(name), Some(p90_s)) = (stage.stage.parse(), stage.startup_p90_s) {
                self.stages.entry(name).or_default().startups.recall(p90_s);
            }
        }
    }

    /// Hears a worker's heartbeat at `now`.
    pub fn hear(&mut self, report: WorkerReport, now: Instant) {
        self.fleet.hear(report, now);
    }

    /// Hears at `now` how a process of ingest is.
    pub fn hear_ingest(&mut self, state: SystemState, now: Instant) {
        self.uploads.hear(state, now);
    }

    /// Notes that `fewer` replicas of `stage` are wanted than before.
    pub fn call_off(&mut self, stage: StageName, fewer: u32) {
        self.stages.entry(stage).or_default().startups.call_off(fewer);
    }

    /// Returns what is seen at `now` of the stages whose scale is known. One whose lag is not, or whose workers have all
    /// fallen silent, is as it was last seen, and says so; left out if it never was.
    pub fn observe(
        &mut self,
        now: Instant,
        lags: &Read,
        scales: &BTreeMap<StageName, Scale>,
        pins: &BTreeMap<StageName, Pin>,
    ) -> Observation {
        self.fleet.forget(now);
        let mut seen = Observation {
            at: self.clock.at_s(now),
            wall_clock: Some(self.clock.wall(now)),
            budget_per_hour: self.bounds.budget_per_hour,
            pins: pins.iter().map(|(stage, pin)| (stage.to_string(), *pin)).collect(),
            ..Observation::default()
        };
        for stage in STAGES {
            let (Some(lanes), Some(scale)) = (lags.get(&stage), scales.get(&stage)) else { continue };
            match lanes {
                Ok(lanes) => self.look((now, seen.at), stage, lanes, *scale),
                Err(error) => self.miss(stage, &format!("it was not seen: {error:#}")),
            }
            let Some(Known { last: Some(last), held_up, .. }) = self.stages.get(&stage) else { continue };
            let breaker = |reason: &String| Breaker { stage: stage.to_string(), reason: reason.clone() };
            seen.breakers.extend(held_up.as_ref().map(breaker));
            seen.stages.push(last.clone());
        }
        let under_way = self.uploads.under_way(now);
        seen.uploads_started_total = under_way.and_then(|under_way| uploads_started(&seen.stages, under_way));
        seen
    }

    /// Takes in what is seen of a stage.
    fn look(&mut self, (now, at): (Instant, f64), name: StageName, lags: &[LaneLag], scale: Scale) {
        let crew = self.fleet.crew(name, now);
        let lanes = self.lanes(at, name, lags, &crew);
        let known = self.stages.entry(name).or_default();
        if known.reports.are_missing(scale.replicas, &crew)
            && let Some(last) = &mut known.last
        {
            known.startups.lose_sight();
            last.lanes = lanes;
            last.stale = Some(format!("none of its workers was heard for {:?}", self.fleet.silence()));
            return;
        }
        let seen = self.stage(at, name, lanes, scale, &crew);
        let known = self.stages.entry(name).or_default();
        (known.last, known.held_up) = (Some(seen), crew.held_up());
    }

    /// Notes why a stage could not be seen.
    fn miss(&mut self, name: StageName, why: &str) {
        if let Some(last) = self.stages.get_mut(&name).and_then(|known| known.last.as_mut()) {
            last.stale = Some(why.to_owned());
        }
    }

    /// Returns what waits for a stage, lane by lane.
    fn lanes(&mut self, at: f64, name: StageName, lags: &[LaneLag], crew: &Crew) -> Vec<LaneSeen> {
        let known = self.stages.entry(name).or_default();
        let began = *known.began.get_or_insert_with(|| {
            begin(&mut known.arrivals, &self.clock, at, lags);
            std::array::from_fn(|lane| lags.get(lane).map_or(0, |lag| lag.end_total))
        });
        let mut lanes = Vec::with_capacity(lags.len());
        for (lane, lag) in Lane::ALL.into_iter().zip(lags) {
            let begun = lag.committed_total + i64::from(crew.in_hand_of[lane.index()]);
            let done = crew.done.of[lane.index()];
            lanes.push(LaneSeen {
                lane: lane.to_string(),
                partitions: lag.partitions.saturating_mul(self.fleet.unit().most_per_partition()),
                end_offset_total: lag.end_total as f64,
                committed_total: lag.committed_total as f64,
                // Fewer than at the start: the topic was made anew.
                arrived_total: (lag.end_total - began[lane.index()]).max(0) as f64,
                head_age_s: known.arrivals[lane.index()].note(at, lag.end_total as f64, begun as f64),
                done_total: done.units as f64,
                busy_seconds_total: done.busy_s * self.clock.scale(),
                work_done_media_s_total: done.media_s,
            });
        }
        let head_age_s = self.clock.of_world(Duration::from_millis(crew.head_age_ms));
        raise_oldest(&mut lanes, head_age_s);
        lanes
    }

    fn stage(&mut self, at: f64, name: StageName, lanes: Vec<LaneSeen>, scale: Scale, crew: &Crew) -> Stage {
        let known = self.stages.entry(name).or_default();
        let mut starting: Vec<f64> =
            crew.starting_ms.iter().map(|ms| self.clock.of_world(Duration::from_millis((*ms).into()))).collect();
        // What runs beyond what is wanted was told to end, or is about to be gone.
        let ready = scale.replicas.map_or(crew.ready, |wanted| crew.ready.min(wanted));
        let unheard = match scale.replicas {
            Some(wanted) => {
                known.startups.note(at, wanted, ready);
                wanted.saturating_sub(ready) as usize
            }
            // Since when those start that say so nobody knows.
            None => starting.len() + crew.starting as usize,
        };
        let expected_s = known.startups.p90_s().unwrap_or(self.startup_s);
        starting.truncate(unheard);
        let expected = known.startups.ready_in_s(at, expected_s);
        starting.extend(expected.into_iter().skip(starting.len()));
        starting.resize(unheard, expected_s);
        Stage {
            stage: name.to_string(),
            lanes,
            replicas: ready + starting.len() as u32,
            workers: Workers {
                ready,
                busy: crew.busy.min(ready),
                starting: starting.into_iter().map(|ready_in_s| Starting { ready_in_s }).collect(),
                draining: crew.draining,
            },
            min_replicas: self.bounds.min_workers(),
            max_replicas: self.bounds.max_workers(),
            slots_per_worker: match self.fleet.unit() {
                Unit::Slot(_) => 1,
                Unit::Worker => crew.slots_per_worker.max(1),
            },
            slots_busy: f64::from(crew.in_hand),
            wait_slo_s: self.bounds.wait_target_s(name),
            wait_slo_quantile: None,
            done_total: crew.done.all.units as f64,
            busy_seconds_total: crew.done.all.busy_s * self.clock.scale(),
            work_done_media_s_total: crew.done.all.media_s,
            startup_p90_s: known.startups.p90_s(),
            quota_left: crew.quota_left,
            fed_by: Some(fed_by(name).iter().map(ToString::to_string).collect()),
            cost_per_worker_hour: self.bounds.cost_per_worker_hour,
            stale: None,
        }
    }
}

/// Returns how many videos have arrived or are about to. What broke off is not among them, nor are videos that arrived
/// without an upload or anew counted twice: with counters alone each of those would be taken for an upload, or hide one,
/// for ever.
fn uploads_started(stages: &[Stage], under_way: u64) -> Option<f64> {
    let first = stages.iter().find(|stage| stage.fed_by.as_ref().is_some_and(Vec::is_empty))?;
    Some(first.lanes.iter().map(|lane| lane.arrived_total).sum::<f64>() + under_way as f64)
}

/// Begins with what was there at the start, as old as its oldest record.
fn begin(arrivals: &mut [Arrivals], clock: &Clock, at: f64, lags: &[LaneLag]) {
    let now_ms = Timestamp::now().as_millisecond();
    for (arrivals, lag) in arrivals.iter_mut().zip(lags) {
        if let Some(oldest_ms) = lag.oldest_ms {
            let age_ms = now_ms.saturating_sub(oldest_ms).max(0).unsigned_abs();
            arrivals.begin(at - clock.of_world(Duration::from_millis(age_ms)), lag.committed_total as f64);
        }
    }
}

/// Corrects the age of the oldest record by what workers know of those they have fetched: it may lie in a partition that
/// others are ahead of. Which lane it is in they do not say: the one that waits longest.
fn raise_oldest(lanes: &mut [LaneSeen], head_age_s: f64) {
    let waiting = lanes.iter_mut().filter(|lane| lane.lag_records() > 0.0);
    if let Some(oldest) = waiting.max_by(|a, b| a.head_age_s.total_cmp(&b.head_age_s)) {
        oldest.head_age_s = oldest.head_age_s.max(head_age_s);
    }
}

#[cfg(test)]
mod tests;
