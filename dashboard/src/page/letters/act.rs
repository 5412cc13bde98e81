//! Replaying and discarding letters: asked once, then done, and told letter by letter.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt, stream};
use pipeline::dead_letter::{self, LetterId, Outcome, Record, Settled};
use pipeline::failure::Code;
use serde::Serialize;
use tracing::{info, warn};

use super::{Chosen, Row, read};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::form::Change;
use crate::frame::Frame;
use crate::reach::quoted;
use crate::say;

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
    #[serde(flatten)]
    frame: Frame,
    action: Action,
    /// Which letters are meant, as the command line says it.
    #[serde(skip)]
    which: String,
    letters: Vec<Row>,
    /// Letters that fit and are left for another time.
    more: usize,
}

/// What came of it.
#[derive(Template, Serialize)]
#[template(path = "letters_done.html")]
struct Done {
    #[serde(flatten)]
    frame: Frame,
    letters: Vec<DoneRow>,
}

/// What became of a letter.
#[derive(Serialize)]
struct DoneRow {
    id: String,
    became: Became,
    /// Why, where there is something to say.
    why: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    Replayed,
    Unneeded,
    Discarded,
    /// It could not be done.
    Open,
    /// Somebody else was first.
    SettledBefore,
    /// There is none, or none any more.
    Gone,
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
    let error = Chosen { stage: stage.to_owned(), code: code.to_owned(), ..Chosen::default() };
    let which = which(Some(error).filter(|_| named.is_empty()), &letters);
    answer(wants, &Page { frame, action, which, letters, more })
}

/// Says to the command line which letters are meant: those of an error, or these one by one. It knows no codes of other
/// versions.
fn which(error: Option<Chosen>, letters: &[Row]) -> String {
    match error.filter(|error| Code::from_name(&error.code).is_some()) {
        Some(error) => error.flags(),
        None => letters.iter().map(|row| format!(" {}", quoted(&row.id))).collect(),
    }
}

/// Does it, and shows what came of it.
pub async fn act(State(app): State<App>, viewer: Viewer, change: Change) -> Result<Response, Fault> {
    let action = Action::parse(change.get("action"))?;
    let ids: Vec<LetterId> = change.all("id").map(str::parse).collect::<Result<_, String>>().map_err(Fault::Refused)?;
    if !(1..=MOST_AT_ONCE).contains(&ids.len()) {
        return Err(Fault::Refused(format!("Choose at least one dead letter, and at most {MOST_AT_ONCE} at once.")));
    }
    let acting = ids.into_iter().map(|id| {
        let app = &app;
        async move {
            let (became, why) = act_on(app, action, id).await;
            DoneRow { id: id.to_string(), became, why }
        }
    });
    let letters: Vec<DoneRow> = stream::iter(acting).buffered(SIDE_BY_SIDE).collect().await;
    let open = letters.iter().filter(|row| row.became == Became::Open).count();
    info!(?action, letters = letters.len(), open, "dead letters settled by an operator");
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/letters", action.done(), "bar");
    answer(wants, &Done { frame, letters })
}

/// Does it with one letter that is known and open; says what became of it, and why.
async fn act_on(app: &App, action: Action, id: LetterId) -> (Became, String) {
    let known = app.seen.read().letters.one(id).map(|brief| brief.settled);
    match known {
        None => return (Became::Gone, String::new()),
        Some(Some(how)) => return (Became::SettledBefore, how.as_str().to_owned()),
        Some(None) => {}
    }
    let acted = match action {
        Action::Discard => discard(app, id).await,
        Action::Replay => replay(app, id).await,
    };
    let (became, why) = acted.unwrap_or_else(|error| {
        warn!(%id, error = format!("{error:#}"), "a dead letter stays open");
        (Became::Open, format!("{error:#}"))
    });
    if let Some(how) = became.settled() {
        // The topic says it too, in a moment: nobody is to see it open until then.
        app.seen.write().letters.hear(Record::Settles(id, how));
    }
    (became, why)
}

async fn discard(app: &App, id: LetterId) -> anyhow::Result<(Became, String)> {
    dead_letter::settle(&app.producer, id, Settled::Discarded).await?;
    Ok((Became::Discarded, String::new()))
}

async fn replay(app: &App, id: LetterId) -> anyhow::Result<(Became, String)> {
    let Some(letter) = read(app, id).await? else { return Ok((Became::Gone, String::new())) };
    Ok(match dead_letter::replay(&app.producer, &app.store, &letter).await? {
        Outcome::Replayed => (Became::Replayed, String::new()),
        Outcome::Unneeded(why) => (Became::Unneeded, why.to_owned()),
        Outcome::Refused(why) => (Became::Open, why),
    })
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
            Self::Replay => "Replayed dead letters",
            Self::Discard => "Discarded dead letters",
        }
    }
}

impl Became {
    const ALL: [Self; 6] =
        [Self::Replayed, Self::Unneeded, Self::Discarded, Self::Open, Self::SettledBefore, Self::Gone];

    /// Says it in words, of one or several.
    const fn told(self) -> &'static str {
        match self {
            Self::Replayed => "sent to work again",
            Self::Unneeded => "settled: nothing was left to do",
            Self::Discarded => "discarded",
            Self::Open => "open still",
            Self::SettledBefore => "settled before",
            Self::Gone => "not there, or not any more",
        }
    }

    const fn settled(self) -> Option<Settled> {
        match self {
            Self::Replayed => Some(Settled::Replayed),
            Self::Unneeded => Some(Settled::Unneeded),
            Self::Discarded => Some(Settled::Discarded),
            Self::Open | Self::SettledBefore | Self::Gone => None,
        }
    }
}

impl Page {
    fn is_replay(&self) -> bool {
        self.action == Action::Replay
    }

    /// Returns the command line that does the same.
    fn command(&self) -> String {
        let command = format!("spillway dead-letters {}{}", self.action.as_str(), self.which);
        // Only what is sent to work again has a look at its video.
        if self.is_replay() { self.frame.flags.store(command) } else { self.frame.flags.brokers(command) }
    }
}

impl Done {
    /// Says how many became what.
    fn told(&self) -> String {
        let count = |became| self.letters.iter().filter(|row| row.became == became).count();
        let parts = Became::ALL.into_iter().map(|became| (count(became), became)).filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, became)| format!("{count} {}", became.told())).collect();
        format!("{}: {}.", say::many(self.letters.len(), "dead letter"), parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use pipeline::stage::StageName;

    use super::*;
    use crate::seen::letters::Brief;

    #[test]
    fn the_command_line_is_told_all_letters_or_what_they_have_in_common() {
        let brief = Brief::default();
        let row = |offset| Row::of(LetterId { stage: StageName::Cut, partition: 0, offset }, &brief);
        let letters: Vec<Row> = (0..12).map(row).collect();
        let all = which(None, &letters);
        let words: Vec<&str> = all.split_whitespace().collect();
        assert_eq!((words.len(), words[11]), (12, "cut/0/11"));
        assert!(words.iter().all(|word| word.parse::<LetterId>().is_ok()), "{all}");
        let error = |code: &str| Chosen { stage: "cut".to_owned(), code: code.to_owned(), ..Chosen::default() };
        let known = Code::ALL[0].as_str();
        assert_eq!(which(Some(error(known)), &letters), format!(" --stage cut --code {known}"));
        assert_eq!(which(Some(error("of another version")), &letters), all);
    }
}
