//! Decisions that changed something, each with what it was made from.

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

/// The most that are shown at once.
const MOST: usize = 500;

/// A decision that changed a stage's scale.
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
    #[serde(skip)]
    frame: Frame,
    /// The stage whose decisions are shown, if not those of all are.
    stage: Option<&'static str>,
    #[serde(skip)]
    stages: [&'static str; planning::stages::STAGES.len()],
    changes: Vec<Change>,
}

/// Shows all changes of the last hours, or those of a stage.
pub async fn show(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let stage = asked.get("stage").map(scaled).transpose().map_err(Fault::Refused)?.map(|stage| stage.as_str());
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/autoscaler", "Decisions of the autoscaler", "bar");
    let state = app.seen.read();
    let ticks: Vec<&Tick> = state.scaling.ticks().rev().collect();
    let changes = newest(&ticks, stage, MOST);
    drop(ticks);
    drop(state);
    let stages = planning::stages::STAGES.map(|stage| stage.as_str());
    answer(wants, &Page { frame, stage, stages, changes })
}

/// Returns at most `most` changes of a stage, or of all, the newest first; `ticks` are in that order too.
pub fn newest(ticks: &[&Tick], stage: Option<&str>, most: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    for pair in ticks.windows(2) {
        let (tick, before) = (pair[0], pair[1]);
        for decided in &tick.recorded.decided {
            if stage.is_some_and(|stage| stage != decided.stage) {
                continue;
            }
            let earlier = before.recorded.decided.iter().find(|earlier| earlier.stage == decided.stage);
            let Some(earlier) = earlier.filter(|earlier| earlier.replicas != decided.replicas) else { continue };
            changes.push(Change {
                at_ms: tick.at_ms,
                stage: decided.stage.clone(),
                from: earlier.replicas,
                to: decided.replicas,
                reason: decided.reason.clone(),
                inputs: decided.inputs.clone(),
            });
            if changes.len() == most {
                return changes;
            }
        }
    }
    changes
}

impl Page {
    fn is_chosen(&self, stage: &&'static str) -> bool {
        self.stage == Some(*stage)
    }
}

impl Change {
    /// Names it in the page, so that it stays open while others come.
    pub fn id(&self) -> String {
        format!("change-{}-{}", self.at_ms, self.stage)
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
            ("forecasts that held lately", say::percent(Some(inputs.coverage))),
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
            let changes = newest(&newest_first, stage, most);
            changes
                .into_iter()
                .map(|change| (change.at_ms / 1000, change.stage, change.from, change.to))
                .collect::<Vec<_>>()
        };
        let cut = |at, from, to| (at, "cut".to_owned(), from, to);
        assert_eq!(told(None, 9), [cut(15, 4, 2), (15, "fetch".to_owned(), 2, 3), cut(5, 1, 4)]);
        assert_eq!(told(Some("cut"), 1), [cut(15, 4, 2)]);
    }
}
