//! Load tests that were kept: all of them, one, and two side by side.

mod compare;
pub mod kept;
mod measures;
mod one;
mod plots;
mod report;
mod summary;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;

pub use compare::show as compare;
pub use one::{show as one, stored};
use summary::Summary;

/// What starts a run whose report is kept.
const COMMAND: &str = "spillway loadtest viral-500 --emulate";

#[derive(Template, Serialize)]
#[template(path = "loadtests.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// What starts a run that is kept here.
    #[serde(skip)]
    command: String,
    /// Where they are kept.
    folder: String,
    /// The newest first.
    runs: Vec<Summary>,
    /// How many older ones are there that are not shown.
    more: usize,
}

/// Shows all runs.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/loadtests", "Load tests", "bar");
    let (runs, more) = app.kept.list().await?;
    let command = format!("{COMMAND}{}", app.kept.flag());
    answer(wants, &Page { frame, command, folder: app.kept.folder(), runs, more })
}
