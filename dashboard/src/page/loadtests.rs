//! Load tests that were kept: all of them, one, and two side by side.

mod compare;
mod kept;
mod measures;
mod one;
mod plots;
mod report;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;

pub use compare::show as compare;
pub use kept::Kept;
pub use one::{show as one, stored};

/// What starts a run whose report is kept.
const COMMAND: &str = "spillway loadtest viral-500 --emulate";

#[derive(Template, Serialize)]
#[template(path = "loadtests.html")]
struct Page {
    #[serde(skip)]
    frame: Frame,
    /// Where they are kept.
    folder: String,
    /// The newest first.
    runs: Vec<Summary>,
    /// How many older ones are there that are not shown.
    more: usize,
}

/// A run in the list.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Its files are called so.
    pub name: String,
    /// Why its report cannot be read.
    pub trouble: Option<String>,
    pub schedule: String,
    /// When its schedule began, in milliseconds since the Unix epoch.
    pub begun_ms: Option<i64>,
    /// Whether workers were emulated.
    pub is_emulated: bool,
    /// Videos that were to come.
    pub planned: Option<f64>,
    pub done: Option<f64>,
    /// Queue wait to the first segment, in seconds.
    pub queue_wait_p50_s: Option<f64>,
    pub queue_wait_p95_s: Option<f64>,
    /// From the first worker to the end, in seconds.
    pub processing_p50_s: Option<f64>,
    pub processing_p95_s: Option<f64>,
    /// Targets that were met.
    pub met: usize,
    pub missed: usize,
}

/// Shows all runs.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/loadtests", "Load tests", "bar");
    let (runs, more) = app.kept.list().await?;
    answer(wants, &Page { frame, folder: app.kept.folder(), runs, more })
}

impl Page {
    fn command(&self) -> &'static str {
        COMMAND
    }
}

impl Summary {
    fn begun(&self) -> String {
        self.begun_ms.map_or_else(|| say::UNKNOWN.to_owned(), |begun_ms| say::moment(say::at(begun_ms)))
    }

    fn videos(&self) -> String {
        let number = |count: Option<f64>| count.map_or_else(|| say::UNKNOWN.to_owned(), say::number);
        format!("{} of {}", number(self.done), number(self.planned))
    }

    fn both(&self, p50_s: &Option<f64>, p95_s: &Option<f64>) -> String {
        format!("{} / {}", say::maybe_span(*p50_s), say::maybe_span(*p95_s))
    }
}
