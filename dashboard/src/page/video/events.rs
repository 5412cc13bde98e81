//! All that happened to a video, a page at a time, in order.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::EventShown;
use super::{Names, nowhere, read};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::page::videos::Row;

/// The most events on a page.
const ON_PAGE: usize = 200;

#[derive(Template, Serialize)]
#[template(path = "video_log.html")]
struct Log {
    #[serde(flatten)]
    frame: Frame,
    #[serde(skip)]
    path: String,
    /// What happened, in order.
    events: Vec<EventShown>,
    /// After which place the next page begins, if there is one.
    next_after: Option<i64>,
}

/// Which part is asked for.
#[derive(Deserialize)]
pub struct Part {
    /// The place in the log after which it begins.
    after: Option<i64>,
}

/// Shows the page.
///
/// # Errors
/// When there is no such video, or the store is away.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    names: Names,
    Query(part): Query<Part>,
) -> Result<Response, Fault> {
    let (tenant, video) = read(&names.0.0, &names.0.1)?;
    let row = app.store.video(&tenant, video).await?.ok_or_else(nowhere)?;
    let row = Row::of(&row, Timestamp::now());
    let entries = app.store.log_after(&tenant, video, part.after, ON_PAGE).await?;
    let next_after = entries.last().filter(|_| entries.len() == ON_PAGE).map(|entry| entry.seq);
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/videos", format!("Events of {}", row.called()), "bar");
    let events = entries.iter().map(EventShown::of).collect();
    answer(wants, &Log { frame, path: row.path(), events, next_after })
}
