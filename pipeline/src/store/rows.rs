//! What the store's rows hold.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Job, VideoSource};
use crate::failure::Code;
use crate::id::VideoId;
use crate::lane::Lane;
use crate::stage::StageName;

/// A video as ingest accepted it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewVideo {
    /// Whose it is, and what was asked for.
    pub job: Job,
    /// Where its bytes come from.
    pub source: VideoSource,
    /// The name the user gave; hostile text.
    pub name: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Hash of the request, to tell a repeated `Idempotency-Key` from one used for something else; empty without key.
    pub request_hash: String,
}

/// What is in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing.
    Nothing,
    /// What a rebuild that has not ended wrote so far.
    Unfinished,
    /// What a service works with.
    Used,
}

/// What creating a video gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// It is new.
    New,
    /// The same request made it before.
    Existing,
    /// Its idempotency key was used for a different request.
    Conflict,
}

/// A video and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Video {
    /// As it was accepted.
    pub new: NewVideo,
    /// What became of it, as far as it is recorded.
    pub state: VideoState,
    /// When the user cancelled it; overrides a state that is not final.
    pub cancelled_at: Option<Timestamp>,
}

impl Video {
    /// Returns where it is in lists: [`Page::after`].
    pub fn place(&self) -> (Timestamp, VideoId) {
        (self.new.created_at, self.new.job.video())
    }

    /// Returns the state a caller sees: a cancelled video is cancelled even before that is recorded.
    pub fn state(&self) -> State {
        match (self.state.state, self.cancelled_at) {
            (State::Queued | State::Processing, Some(_)) => State::Cancelled,
            (state, _) => state,
        }
    }
}

/// Where a video is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; no unit of it was finished.
    Queued,
    /// Being worked on.
    Processing,
    /// Finished in whole.
    Done,
    /// Finished with parts missing.
    Partial,
    /// Ended without a clip.
    Failed,
    /// Cancelled by the user.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Processing, Self::Done, Self::Partial, Self::Failed, Self::Cancelled];

    /// Returns its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Says whether nothing changes it any more.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }
}

/// What follows from a video's log. [`VideoState::default`] is that of an empty one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoState {
    /// Where it is.
    pub state: State,
    /// The lane `fetch` chose, or the guess before that.
    pub lane: Option<String>,
    /// Measured length, in seconds.
    pub duration_s: Option<f64>,
    /// Progress, in the order of the flow; only stages that are known to have units.
    pub stages: Vec<StageProgress>,
    /// The share of the video that was worked on, 0 to 1; known at its end.
    pub completeness: Option<f64>,
    /// Why it did not end well.
    pub error: Option<VideoError>,
    /// Keys of its analyses in the blob store, by window.
    pub analyses: Vec<String>,
    /// The clips that are planned, by window.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plans: BTreeMap<u32, Plan>,
    /// Ids of clips that were planned once and are not any more: they are not the video's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// When the last thing happened.
    pub updated_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Default for VideoState {
    fn default() -> Self {
        Self {
            state: State::Queued,
            lane: None,
            duration_s: None,
            stages: Vec::new(),
            completeness: None,
            error: None,
            analyses: Vec::new(),
            plans: BTreeMap::new(),
            dropped: Vec::new(),
            updated_at: None,
            ended_at: None,
        }
    }
}

/// How far a stage is with a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageProgress {
    /// The stage's name.
    pub stage: String,
    /// Units finished or given up.
    pub done: u32,
    /// Units of it given up.
    pub failed: u32,
    /// Units known of; grows while `split` reads. By window.
    pub totals: Vec<u32>,
    /// Of stages with few units, each one's last answer by its name: whether it was given up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, bool>,
}

/// The clips planned in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How often the window was planned before.
    pub round: u32,
    /// Their ids.
    pub clips: Vec<String>,
}

/// Why a video did not end well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoError {
    /// A [`Code`]'s name.
    pub code: String,
    /// The stage's name.
    pub stage: String,
    /// What is wrong and what to do, one sentence.
    pub message: String,
}

impl VideoError {
    /// Explains `code` at `stage`.
    pub fn new(code: Code, stage: StageName) -> Self {
        Self { code: code.to_string(), stage: stage.to_string(), message: code.message().to_owned() }
    }
}

/// An entry of a video's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEntry {
    /// Its place: the event's offset in `video.event`. Grows, with gaps.
    pub seq: i64,
    /// The event.
    pub event: crate::event::VideoEvent,
}

/// Which videos to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoFilter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those in this lane.
    pub lane: Option<Lane>,
    /// Only those that ended with this code, see [`VideoError::code`].
    pub error: Option<String>,
    /// Only those created then or later.
    pub from: Option<Timestamp>,
    /// Only those created before.
    pub until: Option<Timestamp>,
    /// Look at no more rows than so many for a page, where that is less than [`MOST_EXAMINED`].
    pub examine: Option<usize>,
}

impl VideoFilter {
    /// Lists those in `state`.
    pub fn in_state(state: State) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    /// Returns the place before which a page begins: where the page before it ended, or `until`.
    pub(super) fn start(&self, page: &Page) -> (i64, String) {
        let until = self.until.map(|until| (until.as_microsecond(), String::new()));
        let after = page.after.map(|(at, video)| (at.as_microsecond(), video.to_string()));
        until.into_iter().chain(after).min().unwrap_or((i64::MAX, String::new()))
    }

    /// Returns how many rows may be looked at for a page.
    pub(super) fn most_examined(&self) -> usize {
        self.examine.unwrap_or(MOST_EXAMINED).min(MOST_EXAMINED)
    }

    /// Returns the earliest time that is listed, in microseconds since the Unix epoch.
    pub(super) fn earliest_us(&self) -> i64 {
        self.from.map_or(i64::MIN, Timestamp::as_microsecond)
    }
}

/// The most rows that are looked at for one page. Of a filter that fits few, a page has what is among them.
pub const MOST_EXAMINED: usize = 500;

/// Which part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Where the page before ended: [`Paged::next`].
    pub after: Option<(Timestamp, VideoId)>,
    /// How many at the most.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. A page may have fewer items than it could, or none, and a next one:
    /// [`MOST_EXAMINED`].
    pub next: Option<(Timestamp, VideoId)>,
    /// How many rows were looked at.
    pub examined: usize,
}
