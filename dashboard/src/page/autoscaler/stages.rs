//! How the autoscaler and each stage stand now.

use askama::Template;
use jiff::Timestamp;
use planning::decision::StageDecision;
use planning::observation::{Lane, Stage};
use planning::pin::Pin;
use planning::record::Recorded;
use planning::stages::STAGES;
use serde::Serialize;

use super::changes::{self, Change, Which};
use crate::part::counted;
use crate::say;
use crate::seen::State;

/// So many of the last changes are told in the part of the page that changes all the time.
const LAST_CHANGES: usize = 12;

/// What changes all the time.
#[derive(Serialize)]
pub struct Now {
    pub standing: Standing,
    /// When it last said something, in milliseconds since the Unix epoch.
    pub last_ms: Option<i64>,
    /// How long ago that was, in seconds.
    pub age_s: Option<f64>,
    /// As it last saw and decided them, in the order of the flow.
    pub stages: Vec<StageNow>,
    /// What is paused, in words.
    pub breakers: Vec<Breaker>,
    /// What all workers together may cost in an hour, if somebody said so.
    pub budget_per_hour: Option<f64>,
    /// What the workers that are to be cost in an hour, in the same currency, where their price is known.
    pub cost_per_hour: Option<f64>,
    /// The last changes of scale, newest first.
    pub changes: Vec<Change>,
}

/// Whether it works, as a part of the page.
#[derive(Template)]
#[template(path = "autoscaler_standing.html")]
pub struct StandingPart<'a> {
    now: &'a Now,
}

/// The stages, likewise.
#[derive(Template)]
#[template(path = "autoscaler_stages.html")]
pub struct StagesPart<'a> {
    now: &'a Now,
}

/// The last changes, likewise.
#[derive(Template)]
#[template(path = "autoscaler_last.html")]
pub struct ChangesPart<'a> {
    standing: Standing,
    changes: &'a [Change],
}

/// Whether the autoscaler does its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing was heard of one within the last hours.
    NeverHeard,
    /// There was one, and it says nothing any more.
    Silent,
    /// It runs, and what it sees of some stages cannot be true: it holds their scale, or only scales up.
    Holds,
    /// It runs.
    Runs,
}

/// What is paused because something that it needs is away.
#[derive(Serialize)]
pub struct Breaker {
    /// The stage, empty for all.
    pub stage: String,
    pub reason: String,
}

/// A stage as it was last seen and decided.
#[derive(Serialize)]
pub struct StageNow {
    pub stage: &'static str,
    /// How many workers it is to have.
    pub target: u32,
    pub ready: u32,
    pub starting: usize,
    /// Finish what is in hand and take no more.
    pub draining: u32,
    pub slots_busy: f64,
    /// Records that wait or are worked on.
    pub lag_records: f64,
    /// How long the oldest record waits that nobody has begun, in seconds.
    pub head_age_s: f64,
    /// How long it may, in seconds.
    pub wait_target_s: f64,
    pub min_workers: u32,
    /// Nothing where there is no limit.
    pub max_workers: Option<u32>,
    /// What a person has fixed.
    pub pin: Option<Pin>,
    /// Units that an outside API still allows this hour.
    pub quota_left: Option<f64>,
    /// Whether its data is bad, so that its scale is held.
    pub is_held: bool,
    pub reason: String,
}

impl Now {
    /// Describes how it stands at `now`.
    pub fn of(state: &State, now: Timestamp) -> Self {
        let last = state.scaling.ticks().next_back();
        let seen = last.map(|tick| &tick.recorded.seen);
        let stages: Vec<StageNow> = last.map_or(Vec::new(), |tick| {
            STAGES.iter().filter_map(|stage| one(state, stage.as_str(), &tick.recorded)).collect()
        });
        let standing = match last {
            None => Standing::NeverHeard,
            Some(_) if state.scaling.last(now).is_none() => Standing::Silent,
            Some(_) if stages.iter().any(|stage| stage.is_held) => Standing::Holds,
            Some(_) => Standing::Runs,
        };
        let breakers = seen.map_or(&[][..], |seen| seen.breakers.as_slice()).iter();
        let breakers =
            breakers.map(|breaker| Breaker { stage: breaker.stage.clone(), reason: breaker.reason.clone() }).collect();
        let ticks: Vec<_> = state.scaling.ticks().rev().collect();
        Self {
            standing,
            last_ms: last.map(|tick| tick.at_ms),
            age_s: last.map(|tick| say::between_s(tick.at_ms, now.as_millisecond())),
            stages,
            breakers,
            budget_per_hour: seen.and_then(|seen| seen.budget_per_hour),
            cost_per_hour: last.and_then(|tick| cost_per_hour(&tick.recorded)),
            changes: changes::newest(&ticks, None, Which::Changes, LAST_CHANGES),
        }
    }

    /// Returns the first stage that has something to do; the first of all if none has.
    pub fn first_at_work(&self) -> &'static str {
        let at_work = self.stages.iter().find(|stage| stage.lag_records > 0.0 || stage.slots_busy > 0.0);
        at_work.map_or(STAGES[0].as_str(), |stage| stage.stage)
    }

    /// Whether it works is told anew at each of its ticks, the stages where one is seen otherwise, the changes when there is
    /// another.
    pub const fn parts(&self) -> (StandingPart<'_>, StagesPart<'_>, ChangesPart<'_>) {
        let changes = ChangesPart { standing: self.standing, changes: self.changes.as_slice() };
        (StandingPart { now: self }, StagesPart { now: self }, changes)
    }

    fn age(&self) -> String {
        let last = self.last_ms.zip(self.age_s);
        last.map_or_else(|| say::UNKNOWN.to_owned(), |(last_ms, age_s)| counted(last_ms, age_s))
    }

    /// Says how long the oldest record of `stage` has waited that nobody has begun; of an autoscaler that is silent nobody knows
    /// whether it still does.
    fn oldest_waits(&self, stage: &StageNow) -> String {
        match self.last_ms.zip(self.age_s) {
            _ if stage.lag_records <= 0.0 || stage.head_age_s <= 0.0 => say::UNKNOWN.to_owned(),
            Some((last_ms, age_s)) if self.standing != Standing::Silent => {
                counted(last_ms - (stage.head_age_s * 1e3) as i64, stage.head_age_s + age_s)
            }
            _ => say::span(stage.head_age_s),
        }
    }

    fn last_at(&self) -> String {
        self.last_ms.map_or_else(String::new, |last_ms| say::moment(say::at(last_ms)))
    }

    fn held(&self) -> impl Iterator<Item = &StageNow> {
        self.stages.iter().filter(|stage| stage.is_held)
    }

    fn with_quota(&self) -> impl Iterator<Item = &StageNow> {
        self.stages.iter().filter(|stage| stage.quota_left.is_some())
    }

    /// Says what the workers that are to be cost, and what they may.
    fn spent(&self) -> String {
        match (self.cost_per_hour, self.budget_per_hour) {
            (Some(cost), Some(budget)) => {
                format!("All workers that are to be cost ${cost:.2} of ${budget:.2} an hour.")
            }
            (Some(cost), None) => format!("All workers that are to be cost ${cost:.2} an hour; no budget is set."),
            (None, Some(budget)) => format!("All workers may cost ${budget:.2} an hour; what one costs is not said."),
            (None, None) => "No budget for workers is set.".to_owned(),
        }
    }
}

impl Standing {
    pub fn is(self, name: &str) -> bool {
        let own = match self {
            Self::NeverHeard => "never_heard",
            Self::Silent => "silent",
            Self::Holds => "holds",
            Self::Runs => "runs",
        };
        own == name
    }
}

fn cost_per_hour(recorded: &Recorded) -> Option<f64> {
    let cost = |decided: &StageDecision| {
        let stage = recorded.seen.stages.iter().find(|stage| stage.stage == decided.stage)?;
        Some(f64::from(decided.replicas) * stage.cost_per_worker_hour?)
    };
    recorded.decided.iter().map(cost).sum()
}

fn one(state: &State, name: &'static str, recorded: &Recorded) -> Option<StageNow> {
    let stage: &Stage = recorded.seen.stages.iter().find(|stage| stage.stage == name)?;
    let decided = recorded.decided.iter().find(|decided| decided.stage == name);
    Some(StageNow {
        stage: name,
        target: decided.map_or(stage.replicas, |decided| decided.replicas),
        ready: stage.workers.ready,
        starting: stage.workers.starting.len(),
        draining: stage.workers.draining,
        slots_busy: stage.slots_busy,
        lag_records: stage.lanes.iter().map(Lane::lag_records).sum(),
        head_age_s: stage.lanes.iter().map(|lane| lane.head_age_s).fold(0.0, f64::max),
        wait_target_s: stage.wait_slo_s,
        min_workers: stage.min_replicas,
        max_workers: Some(stage.max_replicas).filter(|most| *most < u32::MAX),
        pin: state.scaling.pin(name),
        quota_left: stage.quota_left,
        is_held: decided.is_some_and(|decided| decided.inputs.is_none()),
        reason: decided.map_or_else(String::new, |decided| decided.reason.clone()),
    })
}

impl StageNow {
    fn lag(&self) -> String {
        say::number(self.lag_records)
    }

    fn is_late(&self) -> bool {
        self.lag_records > 0.0 && self.head_age_s > self.wait_target_s
    }

    fn bounds(&self) -> String {
        changes::bounds(self.min_workers, self.max_workers)
    }

    fn pinned(&self) -> String {
        self.pin.map_or_else(String::new, |pin| pin.to_string())
    }

    fn quota(&self) -> String {
        self.quota_left.map_or_else(|| say::UNKNOWN.to_owned(), say::number)
    }

    fn busy(&self) -> String {
        say::number(self.slots_busy)
    }
}

#[cfg(test)]
mod tests {
    use planning::decision::Inputs;

    use super::*;
    use crate::part::Part;
    use crate::seen::scaling::made;

    #[test]
    fn an_autoscaler_that_decides_the_same_again_changes_only_when_it_last_did() {
        let mut state = State::default();
        let mut hear = |at_ms: i64, head_age_s: f64, replicas: u32| {
            let lane = Lane { end_offset_total: 3.0, head_age_s, ..Lane::default() };
            let cut = Stage { lanes: vec![lane], ..made::stage("cut") };
            let decided = StageDecision { inputs: Some(Inputs::default()), ..made::decided("cut", replicas) };
            state.scaling.hear(at_ms, made::tick([cut], [decided]));
            let now = Now::of(&state, say::at(at_ms + 2000));
            let (standing, scaled, changes) = now.parts();
            let mark = |part: Result<Part, _>| part.unwrap().mark;
            assert!(scaled.to_string().contains(&format!(">{} s<", head_age_s + 2.0)), "{scaled}");
            [mark(Part::new("a", &standing)), mark(Part::new("b", &scaled)), mark(Part::new("c", &changes))]
        };
        let (first, again, another) = (hear(10_000, 10.0, 2), hear(15_000, 15.0, 2), hear(20_000, 20.0, 3));
        assert_eq!((first[0] == again[0], &first[1..]), (false, &again[1..]));
        assert!(again[1] != another[1] && again[2] != another[2]);
    }
}
