//! One dead letter: what it means.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use pipeline::dead_letter::{self, LetterId, Settled};
use pipeline::kafka::Header;
use pipeline::stage::StageName;
use serde::Serialize;

use super::read;
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;

#[derive(Template, Serialize)]
#[template(path = "letter.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    id: String,
    stage: &'static str,
    /// What became of it; `open` if nothing.
    state: &'static str,
    at_ms: i64,
    code: String,
    /// What is wrong and what to do.
    advice: String,
    /// What was seen.
    detail: String,
    /// What its message is about; why it cannot be read, if it cannot.
    about: String,
    tenant: String,
    video: String,
    unit: String,
    /// How often it was tried, if that is said.
    attempts: Option<u32>,
    /// Bytes of the message.
    bytes: usize,
    headers: Vec<(String, String)>,
}

/// Shows a letter with what its message means.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Path((stage, partition, offset)): Path<(String, i32, i64)>,
) -> Result<Response, Fault> {
    let stage: StageName = stage.parse().map_err(Fault::Nowhere)?;
    let id = LetterId { stage, partition, offset };
    let settled = app.seen.read().letters.one(id).map(|brief| brief.settled);
    let settled = settled.ok_or_else(|| Fault::Nowhere(format!("There is no dead letter {id}, or none any more.")))?;
    let letter = read(&app, id).await.map_err(|source| Fault::Away { what: "The broker", source })?;
    let letter = letter.ok_or_else(|| {
        Fault::Nowhere(format!("The dead letter {id} is not there any more: the broker keeps them for some time only."))
    })?;
    let described = dead_letter::describe(&letter);
    let header = |name| letter.header(name).to_owned();
    let wants = viewer.wants;
    let page = Page {
        frame: Frame::new(&app, viewer, "/letters", format!("Dead letter {id}"), "bar"),
        id: id.to_string(),
        stage: stage.as_str(),
        state: settled.map_or("open", Settled::as_str),
        at_ms: letter.at.as_millisecond(),
        code: described.code,
        advice: described.advice,
        detail: described.detail,
        about: described.about,
        tenant: header(Header::Tenant),
        video: header(Header::Video),
        unit: described.unit,
        attempts: described.attempts,
        bytes: letter.body.len(),
        headers: letter.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    };
    answer(wants, &page)
}

impl Page {
    /// Returns the command line that does the same; only a replay needs the store.
    fn command(&self, action: &str) -> String {
        let command = format!("spillway dead-letters {action} {}", self.id);
        if action == "replay" { self.frame.flags.store(command) } else { self.frame.flags.brokers(command) }
    }

    fn at(&self) -> String {
        say::moment(say::at(self.at_ms))
    }

    /// Says after how many attempts it was given up.
    fn tried(&self) -> String {
        let tried = self.attempts.map(|attempts| format!(" after {}", say::many(attempts as usize, "attempt")));
        tried.unwrap_or_default()
    }

    fn size(&self) -> String {
        say::bytes(self.bytes as u64)
    }
}
