//! Replaying and discarding letters: asked once, then done.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use futures::{StreamExt, stream};
use pipeline::dead_letter::{self, LetterId, Outcome, Settled};
use serde::Serialize;
use tracing::{info, warn};

use super::Row;
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::form::Change;
use crate::frame::Frame;

/// The most letters something is done with at once.
const MOST_AT_ONCE: usize = 500;
/// How many are replayed at the same time: each waits until its video is open again.
const SIDE_BY_SIDE: usize = 16;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Replay,
    Discard,
}

#[derive(Template, Serialize)]
#[template(path = "letters_confirm.html")]
struct Page {
    #[serde(skip)]
    frame: Frame,
    action: Action,
    letters: Vec<Row>,
    /// Letters that fit and are left for another time.
    more: usize,
}

/// Shows what would be done, and asks.
pub async fn confirm(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let value = |name: &str| asked.get(name).unwrap_or_default();
    let action = Action::parse(value("action"))?;
    let named: Vec<LetterId> =
        asked.all("id").map(str::parse).collect::<Result<_, String>>().map_err(Fault::Refused)?;
    let (stage, code) = (value("stage"), value("code"));
    if named.is_empty() && code.is_empty() {
        return Err(Fault::Refused("Choose at least one dead letter first.".to_owned()));
    }
    let title = format!("{} dead letters", action.title());
    let frame = Frame::new(&app, viewer, "/letters", title, "bar");
    let state = app.seen.read();
    let wanted = state.letters.open().filter(|(id, brief)| match named.is_empty() {
        true => brief.code == code && (stage.is_empty() || id.stage.as_str() == stage),
        false => named.contains(id),
    });
    let mut letters: Vec<Row> = wanted.map(|(id, brief)| Row::of(*id, brief)).collect();
    drop(state);
    if letters.is_empty() {
        return Err(Fault::Nowhere("None of these dead letters is open any more.".to_owned()));
    }
    let more = letters.len().saturating_sub(MOST_AT_ONCE);
    letters.truncate(MOST_AT_ONCE);
    answer(wants, &Page { frame, action, letters, more })
}

/// Does it.
pub async fn act(State(app): State<App>, change: Change) -> Result<Response, Fault> {
    let action = Action::parse(change.get("action"))?;
    let ids: Vec<LetterId> = change.all("id").map(str::parse).collect::<Result<_, String>>().map_err(Fault::Refused)?;
    if ids.len() > MOST_AT_ONCE {
        return Err(Fault::Refused(format!("At most {MOST_AT_ONCE} dead letters at once.")));
    }
    let app = &app;
    let acting = ids.into_iter().map(|id| act_on(app, action, id));
    let outcomes: Vec<bool> = stream::iter(acting).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let count = outcomes.iter().filter(|done| **done).count();
    info!(?action, count, not = outcomes.len() - count, "dead letters settled by an operator");
    let done = action.done();
    Ok(Redirect::to(&format!("/letters?done={done}&count={count}&not={}", outcomes.len() - count)).into_response())
}

/// Does it with one letter; says whether it is settled. Why it is not is told in the log, and the letter stays open.
async fn act_on(app: &App, action: Action, id: LetterId) -> bool {
    let result = match action {
        Action::Discard => {
            dead_letter::settle(&app.producer, id, Settled::Discarded).await.map_err(anyhow::Error::from)
        }
        Action::Replay => replay(app, id).await,
    };
    if let Err(error) = &result {
        warn!(%id, error = format!("{error:#}"), "a dead letter stays open");
    }
    result.is_ok()
}

async fn replay(app: &App, id: LetterId) -> anyhow::Result<()> {
    let letter = dead_letter::find(&app.brokers, id).await?;
    match dead_letter::replay(&app.producer, &app.store, &letter).await? {
        Outcome::Replayed | Outcome::Unneeded(_) => Ok(()),
        Outcome::Refused(why) => anyhow::bail!(why),
    }
}

impl Action {
    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "replay" => Ok(Self::Replay),
            "discard" => Ok(Self::Discard),
            _ => Err(Fault::Refused("Either replay or discard.".to_owned())),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Replay => "Replay",
            Self::Discard => "Discard",
        }
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Replay => "replayed",
            Self::Discard => "discarded",
        }
    }
}

impl Page {
    fn is_replay(&self) -> bool {
        self.action == Action::Replay
    }

    /// Returns the command line that does the same.
    fn command(&self) -> String {
        let ids: Vec<&str> = self.letters.iter().take(10).map(|row| row.id.as_str()).collect();
        let more = if self.letters.len() > ids.len() { " …" } else { "" };
        format!("spillway dead-letters {} {}{more}", self.action.as_str(), ids.join(" "))
    }
}
