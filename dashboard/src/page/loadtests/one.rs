//! One run: how it did by each target, its numbers and curves, and its page as it was stored.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::measures::{self, Measure};
use super::plots;
use super::report::{About, Limit, Target};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::Plot;
use crate::say;

/// A stored page has its style and pictures in it, and nothing else: no script, no origin.
const STORED_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox";

#[derive(Template, Serialize)]
#[template(path = "loadtest.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    name: String,
    /// What runs it again.
    #[serde(skip)]
    command: String,
    about: About,
    targets: Vec<Target>,
    /// How near each resource was to its end.
    limits: Vec<Limit>,
    measures: Vec<Measure>,
    #[serde(skip)]
    has_page: bool,
    plots: Vec<Plot>,
}

/// Shows a run.
pub async fn show(State(app): State<App>, viewer: Viewer, Path(name): Path<String>) -> Result<Response, Fault> {
    let report = app.kept.read(&name).await?;
    let has_page = app.kept.has_page(&name).await;
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/loadtests", format!("Load test {}", report.about.schedule), "bar");
    let (measures, plots) = (measures::of(&report), plots::of(&report));
    let command = report.about.command() + &app.kept.flag();
    let (about, targets, limits) = (report.about, report.targets, report.limits);
    answer(wants, &Page { frame, name, command, about, targets, limits, measures, has_page, plots })
}

/// Serves the page of a run as it was stored.
pub async fn stored(State(app): State<App>, _viewer: Viewer, Path(name): Path<String>) -> Result<Response, Fault> {
    let page = app.kept.page(&name).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, STORED_POLICY),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, page).into_response())
}

impl Page {
    fn begun(&self) -> String {
        self.about.begun_at.map_or_else(|| say::UNKNOWN.to_owned(), say::moment)
    }

    fn workers(&self) -> String {
        let what = if self.about.emulated.is_some() { "emulated" } else { "real" };
        let most = self.about.max_workers.map_or_else(String::new, |most| format!(", at most {most} slots a stage"));
        format!("{what}{most}")
    }
}
