//! Dead letters: what was given up, by error; what a message means; replaying and discarding.

mod act;
mod one;

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use jiff::Timestamp;
use pipeline::dead_letter::{self, Letter, LetterId, Settled};
use pipeline::failure::Code;
use pipeline::stage::StageName;
use serde::{Deserialize, Serialize};

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::Part;
use crate::reach::quoted;
use crate::say;
use crate::seen::State as Seen;
use crate::seen::letters::Brief;

pub use act::{act, confirm};
pub use one::show as one;

/// The most letters on a page.
const MOST_SHOWN: usize = 100;

#[derive(Template, Serialize)]
#[template(path = "letters.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    asked: Chosen,
    now: Now,
    /// Those that fit what is asked for, newest first.
    letters: Vec<Row>,
    /// How many more there are.
    more: usize,
    #[serde(skip)]
    stages: [StageName; StageName::ALL.len()],
}

/// What changes all the time.
#[derive(Template, Serialize)]
#[template(path = "letters_now.html")]
struct Now {
    groups: Vec<Group>,
    /// Letters that are not known because there are too many.
    forgotten: usize,
    /// Why there may be others that were not heard yet.
    unheard: Option<String>,
}

/// Open letters that were given up at the same stage for the same reason.
#[derive(Serialize)]
struct Group {
    stage: &'static str,
    code: String,
    /// What is wrong and what to do.
    advice: String,
    open: usize,
    /// Videos that they are of.
    videos: usize,
    /// When the first and the last was given up, in milliseconds since the Unix epoch.
    first_ms: i64,
    /// Likewise.
    last_ms: i64,
    /// What was seen with the last one.
    detail: String,
}

/// A letter in the list.
#[derive(Serialize)]
pub struct Row {
    id: String,
    stage: &'static str,
    at_ms: i64,
    code: String,
    detail: String,
    tenant: String,
    video: String,
    unit: String,
    attempts: String,
    /// What became of it; `open` if nothing.
    state: &'static str,
}

/// Which letters are asked for.
#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
pub struct Chosen {
    /// Only those of this stage.
    stage: String,
    /// Only those given up for this reason.
    code: String,
    /// Only those of this video.
    video: String,
    /// `open`, which is what is shown unless something else is said, or `all`.
    state: String,
}

/// Shows the letters.
pub async fn show(State(app): State<App>, viewer: Viewer, Query(asked): Query<Chosen>) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/letters", "Dead letters", "letters");
    let state = app.seen.read();
    let mut fitting: Vec<(&LetterId, &Brief)> =
        state.letters.all().filter(|(id, brief)| asked.fits(id, brief)).collect();
    fitting.sort_by_key(|(_, brief)| std::cmp::Reverse(brief.at_ms));
    let more = fitting.len().saturating_sub(MOST_SHOWN);
    let letters = fitting.into_iter().take(MOST_SHOWN).map(|(id, brief)| Row::of(*id, brief)).collect();
    let now = now(&state);
    drop(state);
    answer(wants, &Page { frame, asked, now, letters, more, stages: StageName::ALL })
}

/// Writes what changes all the time.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App) -> Result<Part, Fault> {
    Part::new("now", &now(&app.seen.read()))
}

/// Reads a letter from the brokers, if they keep it still.
///
/// # Errors
/// When they do not answer.
async fn read(app: &App, id: LetterId) -> anyhow::Result<Option<Letter>> {
    let letter = dead_letter::find(&app.reach.brokers, id).await?;
    if letter.is_none() {
        app.seen.write().letters.forget(id);
    }
    Ok(letter)
}

fn now(state: &Seen) -> Now {
    let letters = &state.letters;
    let mut groups: BTreeMap<(StageName, &str), Vec<&Brief>> = BTreeMap::new();
    for (id, brief) in letters.open() {
        groups.entry((id.stage, &brief.code)).or_default().push(brief);
    }
    let mut groups: Vec<Group> =
        groups.into_iter().map(|((stage, code), briefs)| group(stage, code, &briefs)).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.last_ms));
    let unheard = state.hearing.gap(Timestamp::now().as_millisecond());
    Now { groups, forgotten: letters.forgotten, unheard }
}

fn group(stage: StageName, code: &str, briefs: &[&Brief]) -> Group {
    let last = briefs.iter().max_by_key(|brief| brief.at_ms);
    let mut videos: Vec<&str> = briefs.iter().map(|brief| brief.video.as_str()).collect();
    videos.sort_unstable();
    videos.dedup();
    Group {
        stage: stage.as_str(),
        code: code.to_owned(),
        advice: dead_letter::advice(Code::from_name(code)),
        open: briefs.len(),
        videos: videos.len(),
        first_ms: briefs.iter().map(|brief| brief.at_ms).min().unwrap_or_default(),
        last_ms: last.map_or(0, |brief| brief.at_ms),
        detail: last.map_or(String::new(), |brief| brief.detail.clone()),
    }
}

impl Chosen {
    fn fits(&self, id: &LetterId, brief: &Brief) -> bool {
        (self.stage.is_empty() || self.stage == id.stage.as_str())
            && (self.code.is_empty() || self.code == brief.code)
            && (self.video.is_empty() || self.video == brief.video)
            && (self.state == "all" || brief.settled.is_none())
    }

    fn is_chosen(&self, stage: &StageName) -> bool {
        self.stage == stage.as_str()
    }

    /// Says the same to `spillway dead-letters`.
    fn flags(&self) -> String {
        let named = [("--stage", &self.stage), ("--code", &self.code), ("--video", &self.video)];
        let given = named.into_iter().filter(|(_, value)| !value.is_empty());
        let mut flags: String = given.map(|(flag, value)| format!(" {flag} {}", quoted(value))).collect();
        if self.state == "all" {
            flags += " --all";
        }
        flags
    }
}

impl Page {
    /// Returns the command line that lists the same.
    fn command(&self) -> String {
        self.frame.flags.brokers(format!("spillway dead-letters list{}", self.asked.flags()))
    }
}

impl Row {
    /// Makes the row of a letter.
    pub fn of(id: LetterId, brief: &Brief) -> Self {
        Self {
            id: id.to_string(),
            stage: id.stage.as_str(),
            at_ms: brief.at_ms,
            code: brief.code.clone(),
            detail: brief.detail.clone(),
            tenant: brief.tenant.clone(),
            video: brief.video.clone(),
            unit: brief.unit.clone(),
            attempts: brief.attempts.clone(),
            state: brief.settled.map_or("open", Settled::as_str),
        }
    }

    fn at(&self) -> String {
        say::moment(say::at(self.at_ms))
    }
}

impl Group {
    fn told(&self) -> String {
        format!("{} of {}", say::many(self.open, "unit"), say::many(self.videos, "video"))
    }

    fn last(&self) -> String {
        say::moment(say::at(self.last_ms))
    }

    fn first(&self) -> String {
        say::moment(say::at(self.first_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_count_units_of_videos() {
        let brief = Brief::default();
        let group = group(StageName::Cut, "damaged", &[&brief, &brief]);
        assert_eq!(group.told(), "2 units of 1 video");
    }

    #[test]
    fn the_command_line_gets_the_filters_of_the_page() {
        let chosen = Chosen { stage: "cut".to_owned(), code: "attempts exhausted".to_owned(), ..Chosen::default() };
        assert_eq!(chosen.flags(), " --stage cut --code 'attempts exhausted'");
        let chosen = Chosen { video: "v1".to_owned(), state: "all".to_owned(), ..Chosen::default() };
        assert_eq!(chosen.flags(), " --video v1 --all");
        assert_eq!(Chosen::default().flags(), "");
    }
}
