//! Messages about clips: what was chosen, how the camera moves, what became of them.

use super::{BlobRef, Event, Job, MediaInfo, Replay, Word};
use crate::failure::Code;
use crate::id::ClipId;
use crate::media_time::MediaTime;
use crate::stage_name::StageName;
use crate::topic::Topic;

/// A clip was chosen and its camera path solved.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClipPlanned {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// The source file.
    #[prost(message, required, tag = "2")]
    pub source: BlobRef,
    /// What was measured of it.
    #[prost(message, required, tag = "3")]
    pub media: MediaInfo,
    /// The clip; its files are empty until `cut` has made them.
    #[prost(message, required, tag = "4")]
    pub clip: Clip,
}

impl Event for ClipPlanned {
    const TOPIC: Topic = Topic::ClipPlanned;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        format!("clip/{}", self.clip.id)
    }

    fn media(&self) -> MediaTime {
        MediaTime::from_us(self.clip.end_us - self.clip.start_us)
    }
}

/// A clip: where it lies, why it was chosen, how it is cropped, and where its files are.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Clip {
    /// A [`ClipId`].
    #[prost(string, tag = "1")]
    pub id: String,
    /// Its place in the video's clips by time, from 0, within its window.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// The window it was chosen from.
    #[prost(uint32, tag = "3")]
    pub window: u32,
    /// Source time of its first frame, in microseconds.
    #[prost(int64, tag = "4")]
    pub start_us: i64,
    /// Source time after its last frame, in microseconds.
    #[prost(int64, tag = "5")]
    pub end_us: i64,
    /// How good it is, 0 to 1.
    #[prost(double, tag = "6")]
    pub score: f64,
    /// Why it was chosen, most important first.
    #[prost(message, repeated, tag = "7")]
    pub reasons: Vec<Reason>,
    /// How it is cropped: one framing a shot, in order, without gaps.
    #[prost(message, repeated, tag = "8")]
    pub framings: Vec<Framing>,
    /// The words inside, at source times.
    #[prost(message, repeated, tag = "9")]
    pub words: Vec<Word>,
    /// The finished video.
    #[prost(message, optional, tag = "10")]
    pub video: Option<BlobRef>,
    /// The captions, WebVTT.
    #[prost(message, optional, tag = "11")]
    pub captions: Option<BlobRef>,
    /// A still picture, JPEG.
    #[prost(message, optional, tag = "12")]
    pub poster: Option<BlobRef>,
    /// Hex SHA-256 of the finished video.
    #[prost(string, tag = "13")]
    pub sha256: String,
    /// Optional work was left out for it, see [`Job::degraded`].
    #[prost(bool, tag = "14")]
    pub degraded: bool,
    /// The whole source at the clip's first frame, a small JPEG: what the crop is taken from.
    #[prost(message, optional, tag = "15")]
    pub frame: Option<BlobRef>,
}

impl Clip {
    /// Returns its id. Plans are made with one, so this cannot fail for a clip that `moments` made.
    pub fn clip_id(&self) -> ClipId {
        self.id.parse().expect("clips are made with a valid id")
    }

    /// Returns its words as one line.
    pub fn transcript(&self) -> String {
        self.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// One reason for a choice, with its number.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reason {
    /// What was looked at: `speech`, `loudness`, `faces`, ..
    #[prost(string, tag = "1")]
    pub name: String,
    /// What was measured, in the unit the text names.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// What it added to the score.
    #[prost(double, tag = "3")]
    pub contribution: f64,
    /// One sentence for a person.
    #[prost(string, tag = "4")]
    pub text: String,
}

/// How the camera behaves in one shot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum FramingMode {
    /// Stands still.
    Still = 0,
    /// Moves once, evenly.
    Pan = 1,
    /// Follows somebody.
    Follow = 2,
    /// Shows all of the picture between bars, because nothing narrower fits.
    Pad = 3,
}

impl FramingMode {
    /// Returns the name used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Still => "still",
            Self::Pan => "pan",
            Self::Follow => "follow",
            Self::Pad => "pad",
        }
    }
}

/// The crop over one shot (or part of one). The crop jumps only from one framing to the next.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Framing {
    /// Source time of its start, in microseconds.
    #[prost(int64, tag = "1")]
    pub start_us: i64,
    /// Source time of its end, in microseconds.
    #[prost(int64, tag = "2")]
    pub end_us: i64,
    /// How the camera behaves.
    #[prost(enumeration = "FramingMode", tag = "3")]
    pub mode: i32,
    /// Width of the crop, in display pixels of the source; constant over the framing.
    #[prost(double, tag = "4")]
    pub width: f64,
    /// Height of the crop, in display pixels of the source; constant over the framing.
    #[prost(double, tag = "5")]
    pub height: f64,
    /// Where its top left corner is; linear between two, constant before the first and after the last. At least one.
    #[prost(message, repeated, tag = "6")]
    pub keyframes: Vec<Keyframe>,
    /// Why, in one sentence.
    #[prost(string, tag = "7")]
    pub reason: String,
}

/// Where the crop is at one time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Keyframe {
    /// Source time, in microseconds.
    #[prost(int64, tag = "1")]
    pub at_us: i64,
    /// Left edge, in display pixels of the source.
    #[prost(double, tag = "2")]
    pub x: f64,
    /// Top edge, in display pixels of the source.
    #[prost(double, tag = "3")]
    pub y: f64,
}

impl Framing {
    /// Returns the crop's top left corner at source time `at_us`, in display pixels.
    pub fn corner(&self, at_us: i64) -> (f64, f64) {
        let after = self.keyframes.partition_point(|k| k.at_us <= at_us);
        match (after.checked_sub(1).map(|i| &self.keyframes[i]), self.keyframes.get(after)) {
            (Some(a), Some(b)) => {
                let t = (at_us - a.at_us) as f64 / (b.at_us - a.at_us) as f64;
                (a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t)
            }
            (Some(only), None) | (None, Some(only)) => (only.x, only.y),
            (None, None) => (0.0, 0.0),
        }
    }
}

/// What `deliver` gathers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClipReport {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// What is said.
    #[prost(oneof = "ClipReportKind", tags = "2, 3, 4, 5, 6")]
    pub kind: Option<ClipReportKind>,
}

/// What is said about clips.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ClipReportKind {
    /// The clip with this id is in the blob store.
    #[prost(string, tag = "2")]
    Done(String),
    /// A clip was given up; `unit` is the clip's id.
    #[prost(message, tag = "3")]
    Failed(UnitFailure),
    /// `moments` is done with a window: this many clips it has.
    #[prost(message, tag = "4")]
    Total(ClipTotal),
    /// The video failed before it had clips; `unit` is empty.
    #[prost(message, tag = "5")]
    VideoFailed(UnitFailure),
    /// A unit that was given up is worked on again.
    #[prost(message, tag = "6")]
    Reopened(Reopened),
}

/// A unit that was given up is worked on again, so `deliver` has to wait for its answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reopened {
    /// Which.
    #[prost(message, required, tag = "1")]
    pub replay: Replay,
    /// The window that `join` opened again because of it; it will be planned anew.
    #[prost(uint32, optional, tag = "2")]
    pub window: Option<u32>,
    /// The round in which that window will be planned, see [`super::WindowGathered::round`].
    #[prost(uint32, tag = "3")]
    pub round: u32,
}

/// A unit was given up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UnitFailure {
    /// Which.
    #[prost(string, tag = "1")]
    pub unit: String,
    /// Where.
    #[prost(enumeration = "StageName", tag = "2")]
    pub stage: i32,
    /// A [`Code`]'s name.
    #[prost(string, tag = "3")]
    pub code: String,
    /// What was seen, for a person.
    #[prost(string, tag = "4")]
    pub detail: String,
}

/// How many clips a window has.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClipTotal {
    /// Which window, from 0.
    #[prost(uint32, tag = "1")]
    pub window: u32,
    /// No window comes after this one.
    #[prost(bool, tag = "2")]
    pub last: bool,
    /// Clips chosen in it.
    #[prost(uint32, tag = "3")]
    pub clips: u32,
    /// The share of the window's segments that were worked on, 0 to 1.
    #[prost(double, tag = "4")]
    pub completeness: f64,
    /// Length of the window in microseconds, to weigh its completeness.
    #[prost(int64, tag = "5")]
    pub length_us: i64,
    /// Ids of the clips chosen in it; older versions do not tell them.
    #[prost(string, repeated, tag = "6")]
    pub planned: Vec<String>,
    /// How often the window was planned before, see [`super::WindowGathered::round`].
    #[prost(uint32, tag = "7")]
    pub round: u32,
    /// The window was given up.
    #[prost(bool, tag = "8")]
    pub given_up: bool,
}

/// The key of [`ClipReportKind::VideoFailed`].
pub const VIDEO_FAILED: &str = "failed";

/// Says that `stage` gave the whole video up.
pub fn video_failed(job: &Job, stage: StageName, code: Code, detail: &str) -> ClipReport {
    let failure =
        UnitFailure { unit: String::new(), stage: stage as i32, code: code.to_string(), detail: detail.to_owned() };
    ClipReport { job: job.clone(), kind: Some(ClipReportKind::VideoFailed(failure)) }
}

/// Says that `stage` gave the clip `id` up.
pub fn clip_failed(job: &Job, id: &str, stage: StageName, code: Code, detail: &str) -> ClipReport {
    let failure =
        UnitFailure { unit: id.to_owned(), stage: stage as i32, code: code.to_string(), detail: detail.to_owned() };
    ClipReport { job: job.clone(), kind: Some(ClipReportKind::Failed(failure)) }
}

impl Event for ClipReport {
    const TOPIC: Topic = Topic::ClipReady;

    fn job(&self) -> &Job {
        &self.job
    }

    /// A clip that failed and then succeeded on replay has one key: the later answer takes the place of the first.
    fn unit_key(&self) -> String {
        match &self.kind {
            Some(ClipReportKind::Done(id)) => format!("clip/{id}"),
            Some(ClipReportKind::Failed(f)) => format!("clip/{}", f.unit),
            Some(ClipReportKind::Total(t)) => format!("total/{}", t.window),
            Some(ClipReportKind::VideoFailed(_)) => VIDEO_FAILED.to_owned(),
            Some(ClipReportKind::Reopened(r)) => format!("reopened/{}", r.replay.letter),
            None => "empty".to_owned(),
        }
    }
}
