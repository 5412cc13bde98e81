//! Decisions, those that changed something or all of them, each with what it was made from.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use planning::decision::Inputs;
use planning::stages::scaled;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;
use crate::seen::scaling::Tick;

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
            });
        }
        if changes.len() >= most {
            break;
        }
    }
    changes
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

    /// Says when it was.
    pub fn at(&self) -> String {
        say::moment(say::at(self.at_ms))
    }

    /// Returns what it was made from, a name and a value each.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let Some(inputs) = &self.inputs else { return Vec::new() };
        vec![
            ("records that waited", say::number(inputs.waiting)),
            ("time of a record in a slot", say::span(inputs.service_s)),
            ("start-up of a worker", say::span(inputs.startup_s)),
            ("looked ahead", say::span(inputs.horizon_s)),
            ("expected to come in that time", say::number(inputs.expected)),
            ("at most", say::number(inputs.expected_upper)),
            ("the forecast is led by", inputs.led_by.clone()),
            ("forecasts that held lately", say::percent(inputs.coverage)),
            ("longest wait with those there", say::span(inputs.wait_s)),
            ("enough for now, workers", inputs.enough.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use planning::decision::StageDecision;
    use planning::record::Recorded;

    use super::*;

    fn tick(at_ms: i64, scales: &[(&str, u32)]) -> Tick {
        let decided = scales.iter().map(|(stage, replicas)| StageDecision {
            stage: (*stage).to_owned(),
            replicas: *replicas,
            ..StageDecision::default()
        });
        Tick { at_ms, recorded: Arc::new(Recorded { decided: decided.collect(), ..Recorded::default() }) }
    }

    #[test]
    fn what_changed_is_told_newest_first_and_a_stage_that_was_not_seen_changes_nothing() {
        let ticks = [
            tick(0, &[("cut", 1), ("fetch", 1)]),
            tick(5000, &[("cut", 4)]),
            tick(10_000, &[("cut", 4), ("fetch", 2)]),
            tick(15_000, &[("cut", 2), ("fetch", 3)]),
        ];
        let newest_first: Vec<&Tick> = ticks.iter().rev().collect();
        let told = |stage, most| {
            let changes = newest(&newest_first, stage, Which::Changes, most);
            changes
                .into_iter()
                .map(|change| (change.at_ms / 1000, change.stage, change.from, change.to))
                .collect::<Vec<_>>()
        };
        let cut = |at, from, to| (at, "cut".to_owned(), from, to);
        assert_eq!(told(None, 9), [cut(15, 4, 2), (15, "fetch".to_owned(), 2, 3), cut(5, 1, 4)]);
        assert_eq!(told(Some("cut"), 1), [cut(15, 4, 2)]);
        let all = newest(&newest_first, Some("cut"), Which::All, 9);
        let all: Vec<String> = all.iter().map(Change::told).collect();
        assert_eq!(all, ["cut 4 → 2", "cut stays at 4", "cut 1 → 4"]);
        // A page ends with a whole tick, so that the next one misses nothing.
        assert_eq!(newest(&newest_first, None, Which::All, 1).len(), 2);
    }
}
