//! Who works on what, and letting one go.

mod drain;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use pipeline::event::WorkerReport;
use pipeline::stage::StageName;
use serde::{Deserialize, Serialize};

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::{Part, counted};
use crate::say;
use crate::seen::FRESH_MS;

pub use drain::{confirm, drain};

/// The state of a worker that says nothing any more.
const SILENT: &str = "silent";

#[derive(Template, Serialize)]
#[template(path = "workers.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// The stage whose workers are shown, if not all are.
    stage: Option<&'static str>,
    #[serde(skip)]
    stages: [StageName; StageName::ALL.len()],
    /// The worker that was told to end just now.
    #[serde(skip)]
    drained: bool,
    now: Now,
}

/// What changes all the time.
#[derive(Template, Serialize)]
#[template(path = "workers_now.html")]
struct Now {
    workers: Vec<Worker>,
}

/// A worker, as it last said.
#[derive(Serialize)]
struct Worker {
    /// Unique for the life of its process.
    worker: String,
    stage: &'static str,
    version: String,
    /// `starting`, `ready`, `paused` or `draining`; `silent` if it was not heard of for a while, and then the rest is as it
    /// was before.
    state: &'static str,
    /// Units that it can work on at once.
    slots: u32,
    /// Slots that open soon.
    slots_starting: usize,
    /// Units that it works on.
    busy: u32,
    /// Records that it has fetched and not begun.
    queued: u32,
    /// How long the oldest of them waited then, in seconds.
    head_age_s: f64,
    /// Units finished since it started.
    done_total: u64,
    /// Resident memory, in bytes.
    memory_bytes: u64,
    /// Process id on its host.
    pid: u32,
    /// When it last spoke, in milliseconds since the Unix epoch.
    seen_ms: i64,
    /// Milliseconds since then.
    seen_ms_ago: i64,
    units: Vec<UnitInHand>,
}

/// A unit in hand.
#[derive(Serialize)]
struct UnitInHand {
    /// The video, as it is named in paths.
    video: String,
    unit: String,
    lane: &'static str,
    /// For how long, in seconds, when the worker last spoke.
    age_s: f64,
}

/// What is asked for.
#[derive(Deserialize)]
pub struct Asked {
    stage: Option<String>,
    /// There after a worker was told to end.
    drained: Option<String>,
}

/// Shows all workers, or those of a stage.
pub async fn show(State(app): State<App>, viewer: Viewer, Query(asked): Query<Asked>) -> Result<Response, Fault> {
    let drained = asked.drained.is_some();
    let stage = asked.stage.filter(|stage| !stage.is_empty());
    let stage: Option<StageName> = stage.map(|stage| stage.parse()).transpose().map_err(Fault::Nowhere)?;
    let (wants, view) = (viewer.wants, stage.map_or_else(|| "workers".to_owned(), |stage| format!("workers/{stage}")));
    let frame = Frame::new(&app, viewer, "/workers", "Workers", view);
    let now = now(&app, stage);
    answer(wants, &Page { frame, stage: stage.map(StageName::as_str), stages: StageName::ALL, drained, now })
}

/// Writes what changes all the time of all workers, or of those of a stage.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App, stage: Option<StageName>) -> Result<Part, Fault> {
    Part::new("now", &now(app, stage))
}

fn now(app: &App, stage: Option<StageName>) -> Now {
    let (state, now_ms) = (app.seen.read(), Timestamp::now().as_millisecond());
    let is_wanted = |report: &&WorkerReport| stage.is_none_or(|stage| report.stage == stage as i32);
    let heard = state.workers.all().into_iter().filter(is_wanted).map(|report| worker(report, now_ms));
    let silent = state.workers.silent().into_iter().filter(is_wanted);
    let silent = silent.map(|report| Worker { state: SILENT, ..worker(report, now_ms) });
    Now { workers: heard.chain(silent).collect() }
}

fn worker(report: &WorkerReport, now_ms: i64) -> Worker {
    let unit = |unit: &pipeline::event::UnitInHand| UnitInHand {
        video: unit.video.clone(),
        unit: unit.unit.clone(),
        lane: unit.lane().as_str(),
        age_s: unit.age_ms as f64 / 1e3,
    };
    Worker {
        worker: report.worker.clone(),
        stage: report.stage().as_str(),
        version: report.version.clone(),
        state: report.state().as_str(),
        slots: report.slots,
        slots_starting: report.slots_starting_ms.len(),
        busy: report.busy,
        queued: report.queued,
        head_age_s: report.head_age_ms as f64 / 1e3,
        done_total: report.done_total,
        memory_bytes: report.memory_bytes,
        pid: report.pid,
        seen_ms: report.at_ms,
        seen_ms_ago: (now_ms - report.at_ms).max(0),
        units: report.units.iter().map(unit).collect(),
    }
}

impl Page {
    fn is_chosen(&self, stage: &StageName) -> bool {
        self.stage == Some(stage.as_str())
    }
}

impl Worker {
    fn memory(&self) -> String {
        say::bytes(self.memory_bytes)
    }

    fn is_silent(&self) -> bool {
        self.state == SILENT
    }

    fn seen_at(&self) -> String {
        say::moment(say::at(self.seen_ms))
    }

    /// Says how long ago it last spoke. That it speaks every few seconds is nothing new.
    fn seen(&self) -> String {
        if self.seen_ms_ago <= FRESH_MS {
            return "just now".to_owned();
        }
        format!("{} ago", counted(self.seen_ms, self.seen_ms_ago as f64 / 1e3))
    }

    fn head_age(&self) -> String {
        self.lasting(self.head_age_s)
    }

    fn age(&self, unit: &UnitInHand) -> String {
        self.lasting(unit.age_s)
    }

    /// Says for how long something lasts that had lasted `seconds` when it last spoke. Of one that is silent nobody knows
    /// whether it does.
    fn lasting(&self, seconds: f64) -> String {
        if self.is_silent() {
            return say::span(seconds);
        }
        counted(self.seen_ms - (seconds * 1e3) as i64, seconds + self.seen_ms_ago as f64 / 1e3)
    }

    /// Its id without the name of its stage and most of what is random.
    fn short(&self) -> &str {
        let said = say::worker(&self.worker);
        said.rsplit('-').next().unwrap_or(said)
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::UnitInHand as Held;

    use super::*;

    #[test]
    fn a_worker_that_goes_on_with_the_same_is_the_same_part_of_the_page() {
        let part = |at_ms: i64, age_ms: u64, now_ms: i64, silent: bool| {
            let report = WorkerReport {
                worker: "cut-1".to_owned(),
                at_ms,
                queued: 1,
                head_age_ms: age_ms,
                units: vec![Held { unit: "clip/1".to_owned(), age_ms, ..Held::default() }],
                ..WorkerReport::default()
            };
            let worker = worker(&report, now_ms);
            let worker = if silent { Worker { state: SILENT, ..worker } } else { worker };
            Part::new("now", &Now { workers: vec![worker] }).unwrap()
        };
        let first = part(10_000, 4_000, 10_500, false);
        assert!(
            first.html.contains("just now") && first.html.contains("data-since-ms=\"6000\">4.5 s<"),
            "{}",
            first.html
        );
        assert_eq!(first.mark, part(12_000, 6_001, 13_000, false).mark, "it speaks again");
        assert_ne!(first.mark, part(10_000, 4_000, 21_000, false).mark, "it is late");
        let silent = part(10_000, 4_000, 70_000, true);
        assert!(silent.html.contains("4.0 s") && !silent.html.contains("data-since-ms=\"6000\""), "{}", silent.html);
    }
}
