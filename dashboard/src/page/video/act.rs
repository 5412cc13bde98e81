//! What operators do to a video. Each is asked once before it is done, on a page of its own.

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use pipeline::store;
use serde::Serialize;

use super::{nowhere, read};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::form::Change;
use crate::frame::Frame;
use crate::page::videos::Row;
use crate::problem::Problem;

/// What can be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Cancel,
    Delete,
}

impl Act {
    fn named(name: &str) -> Result<Self, Fault> {
        match name {
            "cancel" => Ok(Self::Cancel),
            "delete" => Ok(Self::Delete),
            _ => Err(nowhere()),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Cancel => "Cancel the video",
            Self::Delete => "Delete the video",
        }
    }

    const fn question(self) -> &'static str {
        match self {
            Self::Cancel => "Cancel this video?",
            Self::Delete => "Delete this video?",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Cancel => {
                "Work on it stops within moments, and it cannot be gone on with. Clips that are ready stay until it is deleted."
            }
            Self::Delete => {
                "It is cancelled if it is in work; its source, its clips and its log are removed, for good."
            }
        }
    }

    /// Returns how the API is asked for it.
    fn request(self, video: &str) -> (Method, String) {
        match self {
            Self::Cancel => (Method::POST, format!("/v1/videos/{video}/cancel")),
            Self::Delete => (Method::DELETE, format!("/v1/videos/{video}")),
        }
    }
}

/// Says what was done, by the word for it in the URL.
pub fn done(word: &str) -> Option<&'static str> {
    match word {
        "ended-before" => Some("The video had ended before; nothing was cancelled."),
        "cancelled" => Some("The video is cancelled. Work in hand stops within moments."),
        "accepted" => Some("Accepted. This page follows it; first clips play while the rest is in work."),
        _ => None,
    }
}

#[derive(Template, Serialize)]
#[template(path = "video_ask.html")]
struct Question {
    #[serde(flatten)]
    frame: Frame,
    act: Act,
    /// What it means.
    meaning: &'static str,
    video: Row,
}

/// Asks whether it is to be done.
///
/// # Errors
/// When there is no such video or no such thing to do, or the store is away.
pub async fn ask(
    State(app): State<App>,
    viewer: Viewer,
    Path((tenant, video, act)): Path<(String, String, String)>,
) -> Result<Response, Fault> {
    let act = Act::named(&act)?;
    let (tenant, video) = read(&tenant, &video)?;
    let found = app.store.video(&tenant, video).await?.ok_or_else(nowhere)?;
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/videos", act.question(), "bar");
    let video = Row::of(&found, Timestamp::now());
    answer(wants, &Question { frame, act, meaning: act.meaning(), video })
}

/// Does it.
///
/// # Errors
/// When the viewer may not, there is no such video, or the API does not do it.
pub async fn act(
    State(app): State<App>,
    Path((tenant, video, act)): Path<(String, String, String)>,
    _change: Change,
) -> Result<Response, Fault> {
    let act = Act::named(&act)?;
    let (tenant, video) = read(&tenant, &video)?;
    let (method, path) = act.request(&video.to_string());
    let request = Request::builder().method(method).uri(path).body(Body::empty());
    let response = app.api.ask(tenant.clone(), request.map_err(|error| Fault::Internal(error.into()))?).await;
    if !response.status().is_success() {
        return Err(Problem::read(response).await.into());
    }
    let to = match act {
        Act::Cancel => {
            // The API is content with a video that ended in another way.
            let row = app.store.video(&tenant, video).await?.ok_or_else(nowhere)?;
            let done = if row.state() == store::State::Cancelled { "cancelled" } else { "ended-before" };
            format!("/videos/{tenant}/{video}?done={done}")
        }
        Act::Delete => "/videos?done=deleted".to_owned(),
    };
    Ok(Redirect::to(&to).into_response())
}
