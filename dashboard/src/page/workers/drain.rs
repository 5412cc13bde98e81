//! Lets one worker go: asked once, then told.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::{Worker, worker};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::form::Change;
use crate::frame::Frame;
use crate::reach::quoted;

#[derive(Template, Serialize)]
#[template(path = "workers_drain.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    one: Worker,
}

/// Which worker is meant.
#[derive(Deserialize)]
pub struct Meant {
    worker: String,
}

/// Shows what the worker has in hand, and asks.
pub async fn confirm(State(app): State<App>, viewer: Viewer, Query(meant): Query<Meant>) -> Result<Response, Fault> {
    let one = find(&app, &meant.worker)?;
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/workers", format!("Drain a worker of {}", one.stage), "bar");
    answer(wants, &Page { frame, one })
}

/// Tells the worker.
pub async fn drain(State(app): State<App>, change: Change) -> Result<Response, Fault> {
    let one = find(&app, change.get("worker"))?;
    let told = pipeline::workers::drain(&app.producer, &one.worker, "the dashboard").await;
    told.map_err(|failure| Fault::Away { what: "The broker", source: failure.into() })?;
    info!(worker = one.worker, "told to drain by an operator");
    Ok(Redirect::to(&format!("/workers?stage={}&drained=yes", one.stage)).into_response())
}

impl Page {
    fn command(&self) -> String {
        format!("spillway workers drain {}", quoted(&self.one.worker))
    }
}

fn find(app: &App, id: &str) -> Result<Worker, Fault> {
    let state = app.seen.read();
    let found = state.workers.one(id).map(|report| worker(report, Timestamp::now().as_millisecond()));
    found.ok_or_else(|| Fault::Nowhere("This worker is not there any more.".to_owned()))
}
