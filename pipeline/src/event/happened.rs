//! What happens to a video: the messages of `video.event`, which `record` alone writes to the store.

use super::{BlobRef, Clip, Event, Job, MediaInfo};
use crate::id::EventId;
use crate::stage_name::StageName;
use crate::topic::Topic;

/// Something happened to a video.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VideoEvent {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// An [`EventId`]: published twice, it is logged once.
    #[prost(string, tag = "2")]
    pub id: String,
    /// When, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// What.
    #[prost(oneof = "Happened", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16")]
    pub happened: Option<Happened>,
}

/// What happened.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Happened {
    /// The video was accepted.
    #[prost(message, tag = "4")]
    Created(Created),
    /// `fetch` measured it and set its lane for good.
    #[prost(message, tag = "5")]
    Ready(MediaInfo),
    /// A stage has this many units, as far as is known now.
    #[prost(message, tag = "6")]
    Total(StageTotal),
    /// A unit was finished.
    #[prost(message, tag = "7")]
    UnitDone(UnitDone),
    /// A unit failed and will be tried again.
    #[prost(message, tag = "8")]
    UnitRetried(UnitRetried),
    /// A unit was dead-lettered.
    #[prost(message, tag = "9")]
    UnitFailed(UnitFailed),
    /// A window's analysis (JSON) is in the blob store.
    #[prost(message, tag = "10")]
    Analyzed(BlobRef),
    /// A clip is in the blob store.
    #[prost(message, tag = "11")]
    ClipReady(Clip),
    /// The video ended; only [`Happened::Reopened`] changes it back.
    #[prost(message, tag = "12")]
    Ended(Ended),
    /// The user cancelled it.
    #[prost(bool, tag = "13")]
    Cancelled(bool),
    /// A unit that was given up is worked on again: its gatherer has forgotten that it failed.
    #[prost(message, tag = "14")]
    Replayed(Replay),
    /// `deliver` waits for answers again, so the video goes on.
    #[prost(message, tag = "15")]
    Reopened(Replay),
    /// The user deleted it; nothing of it is kept.
    #[prost(bool, tag = "16")]
    Deleted(bool),
}

/// A video was accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Created {
    /// The name the user gave; hostile text.
    #[prost(string, tag = "1")]
    pub name: String,
    /// `upload` or the URL.
    #[prost(string, tag = "2")]
    pub source: String,
    /// Bytes uploaded; 0 for a URL.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Key of the upload in the blob store; empty for a URL.
    #[prost(string, tag = "4")]
    pub source_key: String,
    /// Hash of the request, for one with an `Idempotency-Key`, else empty.
    #[prost(string, tag = "5")]
    pub request_hash: String,
}

/// How many units a stage has.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StageTotal {
    /// Which stage.
    #[prost(enumeration = "StageName", tag = "1")]
    pub stage: i32,
    /// Units so far.
    #[prost(uint32, tag = "2")]
    pub total: u32,
    /// The window they belong to: totals of several windows add up.
    #[prost(uint32, tag = "3")]
    pub window: u32,
    /// Ids of the clips that are planned (`cut` only).
    #[prost(string, repeated, tag = "4")]
    pub clips: Vec<String>,
    /// How often the window was planned before, see [`super::WindowGathered::round`].
    #[prost(uint32, tag = "5")]
    pub round: u32,
}

/// A unit was finished.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UnitDone {
    /// Which stage.
    #[prost(enumeration = "StageName", tag = "1")]
    pub stage: i32,
    /// Which unit, see [`Event::unit_key`].
    #[prost(string, tag = "2")]
    pub unit: String,
    /// Which worker.
    #[prost(string, tag = "3")]
    pub worker: String,
    /// The attempt that succeeded, from 1.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
    /// When it was published, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "5")]
    pub queued_ms: i64,
    /// When its work began, likewise.
    #[prost(int64, tag = "6")]
    pub started_ms: i64,
    /// When its work ended, likewise.
    #[prost(int64, tag = "7")]
    pub finished_ms: i64,
}

/// A unit failed and will be tried again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UnitRetried {
    /// Which stage.
    #[prost(enumeration = "StageName", tag = "1")]
    pub stage: i32,
    /// Which unit.
    #[prost(string, tag = "2")]
    pub unit: String,
    /// The attempt that failed, from 1.
    #[prost(uint32, tag = "3")]
    pub attempt: u32,
    /// Why, for a person.
    #[prost(string, tag = "4")]
    pub error: String,
    /// The dead letter whose replay this was, else empty.
    #[prost(string, tag = "5")]
    pub letter: String,
    /// When the attempt began, in milliseconds since the Unix epoch; 0 where it was not said.
    #[prost(int64, tag = "6")]
    pub started_ms: i64,
    /// Which worker made it; empty likewise.
    #[prost(string, tag = "7")]
    pub worker: String,
}

/// A unit was dead-lettered.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UnitFailed {
    /// Which stage.
    #[prost(enumeration = "StageName", tag = "1")]
    pub stage: i32,
    /// Which unit.
    #[prost(string, tag = "2")]
    pub unit: String,
    /// A [`crate::failure::Code`]'s name.
    #[prost(string, tag = "3")]
    pub code: String,
    /// What was seen, for a person.
    #[prost(string, tag = "4")]
    pub detail: String,
    /// The dead letter whose replay this was, else empty.
    #[prost(string, tag = "5")]
    pub letter: String,
    /// When the attempt began that was the last, in milliseconds since the Unix epoch; 0 where that was not said, or the unit
    /// was given up without another attempt.
    #[prost(int64, tag = "6")]
    pub started_ms: i64,
    /// Which worker made that attempt; empty likewise.
    #[prost(string, tag = "7")]
    pub worker: String,
    /// How often the unit was tried; 0 where it was not said.
    #[prost(uint32, tag = "8")]
    pub attempts: u32,
}

/// A dead letter is replayed: one unit is worked on again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Replay {
    /// The stage that gave the unit up.
    #[prost(enumeration = "StageName", tag = "1")]
    pub stage: i32,
    /// The unit, see [`Event::unit_key`].
    #[prost(string, tag = "2")]
    pub unit: String,
    /// The letter: the same replay published twice is one.
    #[prost(string, tag = "3")]
    pub letter: String,
}

/// How a video ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum EndState {
    /// All of it was worked on and every clip is there.
    Done = 0,
    /// There are clips, but parts of the video or some clips failed.
    Partial = 1,
    /// There is no clip.
    Failed = 2,
}

/// A video ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ended {
    /// How.
    #[prost(enumeration = "EndState", tag = "1")]
    pub state: i32,
    /// The share of the video that was worked on, 0 to 1.
    #[prost(double, tag = "2")]
    pub completeness: f64,
    /// Why it is not `done`: a [`crate::failure::Code`]'s name, else empty.
    #[prost(string, tag = "3")]
    pub code: String,
    /// Where that happened.
    #[prost(enumeration = "StageName", optional, tag = "4")]
    pub stage: Option<i32>,
    /// What was seen, for a person.
    #[prost(string, tag = "5")]
    pub detail: String,
    /// How often the video was reopened before: each end is an event of its own.
    #[prost(uint32, tag = "6")]
    pub round: u32,
}

impl VideoEvent {
    /// Makes the event that says `what` happened to `job`'s video at `at`. Its id derives from the video and
    /// `what` is said (not from the time), so that a replay is logged once.
    pub fn new(job: &Job, at: jiff::Timestamp, what: Happened) -> Self {
        let id = EventId::derive(&["event", job.tenant().as_str(), &job.video().to_string(), &what.identity()]);
        Self { job: job.clone(), id: id.to_string(), at_ms: at.as_millisecond(), happened: Some(what) }
    }
}

impl Happened {
    /// Names what happened within its video.
    fn identity(&self) -> String {
        let stage = |s: i32| StageName::try_from(s).map_or("?", StageName::as_str);
        match self {
            Self::Created(_) => "created".to_owned(),
            Self::Ready(_) => "ready".to_owned(),
            Self::Total(t) => again(format!("total/{}/{}/{}", stage(t.stage), t.window, t.total), t.round),
            Self::UnitDone(u) => format!("done/{}/{}", stage(u.stage), u.unit),
            Self::UnitRetried(u) => replayed(format!("retried/{}/{}/{}", stage(u.stage), u.unit, u.attempt), &u.letter),
            Self::UnitFailed(u) => replayed(format!("failed/{}/{}", stage(u.stage), u.unit), &u.letter),
            Self::Analyzed(blob) => format!("analyzed/{}", blob.key),
            Self::ClipReady(clip) => format!("clip/{}", clip.id),
            Self::Ended(e) => again("ended".to_owned(), e.round),
            Self::Cancelled(_) => "cancelled".to_owned(),
            Self::Replayed(r) => format!("replayed/{}", r.letter),
            Self::Reopened(r) => format!("reopened/{}", r.letter),
            Self::Deleted(_) => "deleted".to_owned(),
        }
    }
}

/// Tells what is said in a later round from what was said in the first.
fn again(name: String, round: u32) -> String {
    if round == 0 { name } else { format!("{name}/again/{round}") }
}

/// Tells what happened to a replay from what happened before.
fn replayed(name: String, letter: &str) -> String {
    if letter.is_empty() { name } else { format!("{name}/replay/{letter}") }
}

impl Event for VideoEvent {
    const TOPIC: Topic = Topic::VideoEvent;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        self.id.clone()
    }
}
