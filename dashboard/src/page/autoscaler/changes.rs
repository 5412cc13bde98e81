//! Decisions, those that changed something or all of them, each with what it was made from.

use std::cmp::Ordering;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use planning::decision::{InLane, Inputs};
use planning::pin::Pin;
use planning::stages::scaled;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;
use crate::seen::scaling::{Keda, Tick};

/// So many are shown at once, those of the last tick among them whole.
const MOST: usize = 200;
/// The last moment that can be asked for, in milliseconds since the Unix epoch: until there milliseconds are exact.
const LATEST_MS: f64 = 9e15;

/// Which decisions are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those that changed a stage's scale.
    Changes,
    /// Those that kept it, too.
    All,
}

/// A decision on a stage's scale.
#[derive(Serialize)]
pub struct Change {
    /// When it was published, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    pub stage: String,
    /// What was decided before, in workers.
    pub from: u32,
    pub to: u32,
    pub reason: String,
    /// What it was made from; nothing where the data was not good.
    pub inputs: Option<Inputs>,
    /// Within what it was made; nothing where the stage was not seen.
    pub within: Option<Within>,
    /// How many workers KEDA would have had then.
    pub keda: Option<Keda>,
}

/// Within what a decision was made, as it was at that moment.
#[derive(Serialize)]
pub struct Within {
    pub min_workers: u32,
    /// Nothing where there is no limit.
    pub max_workers: Option<u32>,
    /// What a person had fixed.
    pub pin: Option<Pin>,
    /// What all workers together could cost in an hour, if somebody said so.
    pub budget_per_hour: Option<f64>,
    /// What one worker of the stage costs in an hour, in the same currency.
    pub cost_per_worker_hour: Option<f64>,
    /// Units that an outside API still allowed within the hour, where one is asked.
    pub quota_left: Option<f64>,
    /// How long records could wait, in seconds.
    pub wait_target_s: f64,
    pub lanes: Vec<Waiting>,
}

/// What waited in a lane.
#[derive(Serialize)]
pub struct Waiting {
    pub lane: String,
    /// Records that waited or were worked on.
    pub lag_records: f64,
    /// How long the oldest one waited that nobody had begun, in seconds.
    pub head_age_s: f64,
}

#[derive(Template, Serialize)]
#[template(path = "autoscaler_decisions.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// The stage whose decisions are shown, if not those of all are.
    stage: Option<&'static str>,
    which: Which,
    #[serde(skip)]
    stages: [&'static str; planning::stages::STAGES.len()],
    changes: Vec<Change>,
    /// Where earlier ones are.
    next: Option<String>,
}

/// Shows the decisions of the last hours, of all stages or one: those that changed something, or all.
pub async fn show(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let stage = asked.get("stage").map(scaled).transpose().map_err(Fault::Refused)?.map(|stage| stage.as_str());
    let which = match asked.get("which") {
        None | Some("changes") => Which::Changes,
        Some("all") => Which::All,
        Some(_) => return Err(Fault::Refused("Either changes are shown or all.".to_owned())),
    };
    let before_ms = asked.number("before", "The moment, in milliseconds since the Unix epoch,", 0.0..=LATEST_MS)?;
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/autoscaler", "Decisions of the autoscaler", "bar");
    let state = app.seen.read();
    let is_wanted = |tick: &&Tick| before_ms.is_none_or(|before_ms| (tick.at_ms as f64) < before_ms);
    let ticks: Vec<&Tick> = state.scaling.ticks().rev().filter(is_wanted).collect();
    let changes = newest(&ticks, stage, which, MOST);
    drop(ticks);
    drop(state);
    let stages = planning::stages::STAGES.map(|stage| stage.as_str());
    let last = changes.last().filter(|_| changes.len() >= MOST);
    let next = last.map(|last| format!("{}&before={}", path(stage, which), last.at_ms));
    answer(wants, &Page { frame, stage, which, stages, changes, next })
}

fn path(stage: Option<&str>, which: Which) -> String {
    let which = if which == Which::All { "all" } else { "changes" };
    let stage = stage.map_or_else(String::new, |stage| format!("&stage={stage}"));
    format!("/autoscaler/decisions?which={which}{stage}")
}

/// Returns the newest decisions on a stage, or on all, the newest first: those of each tick whole until there are `most`.
/// `ticks` are in that order too.
pub fn newest(ticks: &[&Tick], stage: Option<&str>, which: Which, most: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    for pair in ticks.windows(2) {
        let (tick, before) = (pair[0], pair[1]);
        for decided in &tick.recorded.decided {
            if stage.is_some_and(|stage| stage != decided.stage) {
                continue;
            }
            let earlier = before.recorded.decided.iter().find(|earlier| earlier.stage == decided.stage);
            let Some(earlier) = earlier else { continue };
            if which == Which::Changes && earlier.replicas == decided.replicas {
                continue;
            }
            changes.push(Change {
                at_ms: tick.at_ms,
                stage: decided.stage.clone(),
                from: earlier.replicas,
                to: decided.replicas,
                reason: decided.reason.clone(),
                inputs: decided.inputs.clone(),
                within: Within::of(tick, &decided.stage),
                keda: tick.keda(&decided.stage),
            });
        }
        if changes.len() >= most {
            break;
        }
    }
    changes
}

impl Within {
    fn of(tick: &Tick, stage: &str) -> Option<Self> {
        let seen = tick.seen(stage)?;
        let waiting = |lane: &planning::observation::Lane| Waiting {
            lane: lane.lane.clone(),
            lag_records: lane.lag_records(),
            head_age_s: lane.head_age_s,
        };
        Some(Self {
            min_workers: seen.min_replicas,
            max_workers: Some(seen.max_replicas).filter(|most| *most < u32::MAX),
            pin: tick.recorded.seen.pins.get(stage).copied(),
            budget_per_hour: tick.recorded.seen.budget_per_hour,
            cost_per_worker_hour: seen.cost_per_worker_hour,
            quota_left: seen.quota_left,
            wait_target_s: seen.wait_slo_s,
            lanes: seen.lanes.iter().map(waiting).collect(),
        })
    }

    fn facts(&self) -> Vec<(String, String)> {
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let price = |price: f64| format!("${price:.2}");
        let or = |value: Option<String>, none: &str| value.unwrap_or_else(|| none.to_owned());
        let mut facts = vec![
            fact("workers it may have", bounds(self.min_workers, self.max_workers)),
            fact("pin", or(self.pin.map(|pin| pin.to_string()), "none")),
            fact("budget for all workers, an hour", or(self.budget_per_hour.map(price), "none")),
            fact("a worker, an hour", or(self.cost_per_worker_hour.map(price), say::UNKNOWN)),
            fact(
                "units that an outside service still allowed",
                or(self.quota_left.map(say::number), "no limit is known"),
            ),
            fact("longest wait there may be", say::span(self.wait_target_s)),
        ];
        for lane in &self.lanes {
            let oldest = if lane.lag_records > 0.0 {
                format!(", the oldest for {}", say::span(lane.head_age_s))
            } else {
                String::new()
            };
            let waits = format!("{}{oldest}", say::number(lane.lag_records));
            facts.push((format!("waited or in work, {}", lane.lane), waits));
        }
        facts
    }
}

/// Says between what a scale may be.
pub fn bounds(least: u32, most: Option<u32>) -> String {
    let most = most.map_or_else(|| "no limit".to_owned(), |most| most.to_string());
    format!("{least} to {most}")
}

impl Page {
    fn is_chosen(&self, stage: &&'static str) -> bool {
        self.stage == Some(*stage)
    }

    fn is_all(&self) -> bool {
        self.which == Which::All
    }

    /// Returns where decisions on a stage are, or on all.
    fn of(&self, stage: Option<&&'static str>) -> String {
        path(stage.copied(), self.which)
    }

    /// Returns where the others are.
    fn others(&self) -> String {
        path(self.stage, if self.is_all() { Which::Changes } else { Which::All })
    }
}

impl Change {
    /// Names it in the page, so that it stays open while others come.
    pub fn id(&self) -> String {
        format!("change-{}-{}", self.at_ms, self.stage)
    }

    /// Says what it makes of the stage's scale.
    pub fn told(&self) -> String {
        match (self.from, self.to) {
            (from, to) if from == to => format!("{} stays at {to}", self.stage),
            (from, to) => format!("{} {from} → {to}", self.stage),
        }
    }

    /// Says why, without what [`Change::told`] says.
    pub fn why(&self) -> &str {
        let told = match self.from.cmp(&self.to) {
            Ordering::Less => format!("up {} -> {}", self.from, self.to),
            Ordering::Equal => format!("keep {}", self.to),
            Ordering::Greater => format!("down {} -> {}", self.from, self.to),
        };
        self.reason.strip_prefix(&told).map_or(&self.reason, |why| why.trim_start_matches([':', ',', ' ']))
    }

    /// Says when it was.
    pub fn at(&self) -> String {
        say::moment(say::at(self.at_ms))
    }

    /// Returns what it was made from, within what, and what KEDA would have had, a name and a value each.
    pub fn facts(&self) -> Vec<(String, String)> {
        let mut facts = self.inputs.as_ref().map_or_else(Vec::new, made_from);
        facts.extend(self.within.iter().flat_map(Within::facts));
        if let Some(keda) = self.keda {
            let told = format!("{} by default, {} tuned", keda.default, keda.tuned);
            facts.push(("workers KEDA would have had".to_owned(), told));
        }
        facts
    }
}

fn made_from(inputs: &Inputs) -> Vec<(String, String)> {
    let variation = inputs.record_variation.map_or_else(|| say::UNKNOWN.to_owned(), say::number);
    let facts = [
        ("records that waited", say::number(inputs.waiting)),
        ("time of a record in a slot", say::span(inputs.service_s)),
        ("how that varies, variance over the square of the mean", variation),
        ("start-up of a worker", say::span(inputs.startup_s)),
        ("looked ahead", say::span(inputs.horizon_s)),
        ("expected to come in that time", say::number(inputs.expected)),
        ("at most", say::number(inputs.expected_upper)),
        ("the forecast is led by", inputs.led_by.clone()),
        ("forecasts that held lately", say::percent(inputs.coverage)),
        ("longest wait with those there", say::span(inputs.wait_s)),
        ("enough for now, workers", inputs.enough.to_string()),
    ];
    let lane = |lane: &InLane| (format!("a record of {}", lane.lane), say::span(lane.cost.service_s));
    facts.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(inputs.lanes.iter().map(lane)).collect()
}

#[cfg(test)]
mod tests;
