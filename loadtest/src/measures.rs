//! What a run came to, as numbers. Waits and times of work are in seconds of the emulated system (real ones times the
//! time scale); acceptance is in real seconds, because nothing of it is emulated.

use serde::{Deserialize, Serialize};

use crate::client::Answer;
use crate::drive::Sent;
use crate::fleet::{Decided, Fleet, WORK};
use crate::machine::Machine;
use crate::quantiles::{Quantiles, sorted};
use crate::story::Story;

/// The share of videos that have ended when the load counts as over: those that are left are no load for many workers.
const OVER_AT: f64 = 0.95;

/// What a run came to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Measures {
    /// Arrivals that the schedule had.
    pub planned: usize,
    /// Of them, those that were accepted.
    pub accepted: usize,
    /// Those that the server refused.
    pub refused: usize,
    /// Those that could not be sent, or whose answer did not come.
    pub unsent: usize,
    /// Accepted ones that ended `done`.
    pub done: usize,
    /// Accepted ones that ended otherwise.
    pub not_done: usize,
    /// Accepted ones that had not ended when the patience was over.
    pub lost: usize,
    /// Things that logs tell twice.
    pub duplicates: usize,
    /// Attempts that failed and were made again.
    pub retries: usize,
    /// Clips that are ready.
    pub clips: usize,
    /// Units that were worked on.
    pub units: usize,
    /// From the planned moment to the answer, accepted ones only, in real seconds.
    pub acceptance: Option<Quantiles>,
    /// How late this process sent, in real seconds.
    pub late: Option<Quantiles>,
    /// Time in queues until the first segment was begun.
    pub queue_wait: Option<Quantiles>,
    /// From acceptance to the first segment, work of `fetch` and `split` included.
    pub first_segment: Option<Quantiles>,
    /// From the first worker to the end.
    pub processing: Option<Quantiles>,
    /// From acceptance to the end.
    pub total: Option<Quantiles>,
    /// Videos that ended `done`, an hour, from the first planned moment to the last end.
    pub rate_per_hour: Option<f64>,
    /// Work of slots a video, in seconds.
    pub busy_s_a_video: Option<f64>,
    /// Busy slots by open ones until 95 % of the videos had ended, 0 to 1.
    pub used: Option<f64>,
    /// Hours of open and starting slots until the last end.
    pub slot_hours: Option<f64>,
    /// From the first planned moment to the first decision for more.
    pub decision_s: Option<f64>,
    /// For how long none was seen though workers were: from the first planned moment to the last look.
    pub undecided_s: Option<f64>,
    /// From that decision until the stage had the slots that it asked for.
    pub capacity_s: Option<f64>,
    /// For how long it did not have them: from that decision to the last look.
    pub unreached_s: Option<f64>,
    /// How much more memory ingest had at the most than before the first arrival, in MiB.
    pub ingest_growth_mib: Option<f64>,
}

/// What is measured from.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// How many arrivals the schedule had.
    pub planned: usize,
    /// What was sent.
    pub sent: &'a [Sent],
    /// What ended.
    pub stories: &'a [Story],
    /// The workers over time.
    pub fleets: &'a [Fleet],
    /// What was decided.
    pub changes: &'a [Decided],
    /// The processes below this one over time.
    pub machine: &'a [Machine],
    /// How many times faster than the schedule it went.
    pub time_scale: f64,
}

impl Measures {
    /// Measures a run.
    pub fn of(seen: Seen<'_>) -> Self {
        let Seen { sent, stories, .. } = seen;
        let accepted = || sent.iter().filter(|sent| sent.accepted().is_some());
        let answers = |what: fn(&Answer) -> bool| sent.iter().filter(|sent| what(&sent.answer)).count();
        let scaled = |of: fn(&Story) -> Option<f64>| {
            Quantiles::of(stories.iter().filter_map(of).map(|seconds| seconds * seen.time_scale))
        };
        let count = |of: fn(&Story) -> u32| stories.iter().map(|story| of(story) as usize).sum();
        let done = stories.iter().filter(|story| story.state == "done").count();
        let mut measures = Self {
            planned: seen.planned,
            accepted: accepted().count(),
            refused: answers(|answer| matches!(answer, Answer::Refused { .. })),
            unsent: answers(|answer| matches!(answer, Answer::Broken(_))),
            done,
            not_done: stories.len() - done,
            lost: accepted().count().saturating_sub(stories.len()),
            duplicates: count(|story| story.duplicates),
            retries: count(|story| story.retries),
            clips: count(|story| story.clips),
            units: count(|story| story.units),
            acceptance: Quantiles::of(accepted().map(|sent| sent.answered_s)),
            late: Quantiles::of(sent.iter().map(|sent| sent.late_s)),
            queue_wait: scaled(|story| story.queue_wait_s),
            first_segment: scaled(|story| story.first_segment_s),
            processing: scaled(|story| story.processing_s),
            total: scaled(|story| story.total_s),
            ..Self::default()
        };
        let busy_s: f64 = stories.iter().map(|story| story.busy_s * seen.time_scale).sum();
        measures.busy_s_a_video = (!stories.is_empty()).then(|| busy_s / stories.len() as f64);
        let first_ms = sent.iter().map(|sent| sent.planned_ms).min();
        if let Some(first_ms) = first_ms {
            measures.scale_up(seen, first_ms);
            measures.ingest_growth_mib = ingest_growth_mib(seen.machine, first_ms);
        }
        let ends_ms = sorted(stories.iter().filter_map(|story| Some(story.ended_ms? as f64)));
        if let (Some(first_ms), Some(last_ms)) = (first_ms, ends_ms.last()) {
            let hours = (last_ms - first_ms as f64) / 3.6e6 * seen.time_scale;
            measures.rate_per_hour = (hours > 0.0).then(|| done as f64 / hours);
            let over = ends_ms[((ends_ms.len() as f64 * OVER_AT) as usize).min(ends_ms.len() - 1)];
            measures.used = used(seen.fleets, first_ms as f64, over);
            measures.slot_hours = slot_hours(seen.fleets, first_ms as f64, *last_ms).map(|h| h * seen.time_scale);
        }
        measures
    }

    /// Finds the first decision for more after the first arrival, and when it was there.
    fn scale_up(&mut self, seen: Seen<'_>, first_ms: i64) {
        let before = |decided: &Decided| {
            let earlier = seen.changes.iter().rfind(|c| c.stage == decided.stage && c.at_ms < decided.at_ms);
            earlier.map_or(decided.had, |earlier| earlier.wanted)
        };
        let is_more = |decided: &&Decided| decided.at_ms >= first_ms && decided.wanted > before(decided);
        let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1000.0 * seen.time_scale;
        let until_last = |from_ms: i64| Some(seconds(from_ms, seen.fleets.last()?.at_ms));
        let Some(first) = seen.changes.iter().find(is_more) else {
            self.undecided_s = until_last(first_ms);
            return;
        };
        self.decision_s = Some(seconds(first_ms, first.at_ms));
        let is_there = |fleet: &&Fleet| {
            let slots = fleet.stages.get(&first.stage).map_or(0, |workers| workers.slots);
            fleet.at_ms >= first.at_ms && slots >= first.wanted
        };
        self.capacity_s = seen.fleets.iter().find(is_there).map(|fleet| seconds(first.at_ms, fleet.at_ms));
        self.unreached_s = until_last(first.at_ms).filter(|_| self.capacity_s.is_none());
    }
}

/// Returns how much more memory ingest had at the most from `first_ms` on than at the last look before it, in MiB.
fn ingest_growth_mib(machine: &[Machine], first_ms: i64) -> Option<f64> {
    let of = |seen: &Machine| seen.memory_mib.get("ingest").copied();
    let before = machine.iter().rfind(|seen| seen.at_ms <= first_ms).and_then(of)?;
    let after = machine.iter().filter(|seen| seen.at_ms > first_ms).filter_map(of);
    after.reduce(f64::max).map(|most| (most - before).max(0.0))
}

/// Returns the work stages' busy and open slots of `fleet`.
fn work(fleet: &Fleet) -> (f64, f64) {
    let workers = || WORK.iter().filter_map(|stage| fleet.stages.get(stage.as_str()));
    let busy: u32 = workers().map(|workers| workers.busy.min(workers.slots)).sum();
    let slots: u32 = workers().map(|workers| workers.slots).sum();
    (f64::from(busy), f64::from(slots))
}

fn used(fleets: &[Fleet], from_ms: f64, to_ms: f64) -> Option<f64> {
    let within = fleets.iter().filter(|fleet| (from_ms..=to_ms).contains(&(fleet.at_ms as f64)));
    let (busy, slots) = within.map(work).fold((0.0, 0.0), |sum, now| (sum.0 + now.0, sum.1 + now.1));
    (slots > 0.0).then_some(busy / slots)
}

/// Returns the real hours of slots, open or starting, of work stages.
fn slot_hours(fleets: &[Fleet], from_ms: f64, to_ms: f64) -> Option<f64> {
    let paid = |fleet: &Fleet| {
        let workers = WORK.iter().filter_map(|stage| fleet.stages.get(stage.as_str()));
        f64::from(workers.map(|workers| workers.slots + workers.starting).sum::<u32>())
    };
    let between = fleets.windows(2).filter(|pair| (from_ms..=to_ms).contains(&(pair[0].at_ms as f64)));
    let hours: f64 = between.map(|pair| paid(&pair[0]) * (pair[1].at_ms - pair[0].at_ms) as f64 / 3.6e6).sum();
    (hours > 0.0).then_some(hours)
}

#[cfg(test)]
mod tests;
