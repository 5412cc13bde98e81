//! Messages about segments: pieces of sound and picture, what became of them, and how many there are.

use super::{BlobRef, Event, Job, MediaInfo, Payload, Replay};
use crate::failure::Code;
use crate::media_time::MediaTime;
use crate::topic::Topic;

/// A piece of sound.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AudioSegment {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// Its place among the video's audio segments, from 0.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// The window it belongs to, from 0.
    #[prost(uint32, tag = "3")]
    pub window: u32,
    /// Source time of its first sample, in microseconds.
    #[prost(int64, tag = "4")]
    pub start_us: i64,
    /// Source time after its last sample, in microseconds.
    #[prost(int64, tag = "5")]
    pub end_us: i64,
    /// Signed 16-bit little-endian samples, 16 kHz, mono, no header.
    #[prost(message, required, tag = "6")]
    pub samples: Payload,
}

impl Event for AudioSegment {
    const TOPIC: Topic = Topic::SegmentAudio;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        format!("audio/{}", self.index)
    }

    fn media(&self) -> MediaTime {
        MediaTime::from_us(self.end_us - self.start_us)
    }
}

/// A piece of picture, stream-copied from keyframe to keyframe.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VideoSegment {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// Its place among the video's video segments, from 0.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// The window it belongs to, from 0.
    #[prost(uint32, tag = "3")]
    pub window: u32,
    /// Source time of its first presented frame, in microseconds.
    #[prost(int64, tag = "4")]
    pub start_us: i64,
    /// Source time after its last presented frame, in microseconds.
    #[prost(int64, tag = "5")]
    pub end_us: i64,
    /// What was measured of the source.
    #[prost(message, required, tag = "6")]
    pub media: MediaInfo,
    /// A small file with the one video stream; its timestamps are source times plus this message's
    /// `media.origin_us`. Frames outside of `start_us..end_us` are only there for others to be decoded: drop them.
    #[prost(message, required, tag = "7")]
    pub file: Payload,
    /// The demuxer to force for `file`.
    #[prost(string, tag = "8")]
    pub demuxer: String,
}

impl Event for VideoSegment {
    const TOPIC: Topic = Topic::SegmentVideo;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        format!("video/{}", self.index)
    }

    fn media(&self) -> MediaTime {
        MediaTime::from_us(self.end_us - self.start_us)
    }
}

/// Which of the two kinds of segments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum SegmentKind {
    /// Sound.
    Audio = 0,
    /// Picture.
    Video = 1,
}

impl SegmentKind {
    /// Returns its name in unit keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// What `join` gathers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentReport {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// The window this is about, from 0.
    #[prost(uint32, tag = "2")]
    pub window: u32,
    /// What is said.
    #[prost(oneof = "SegmentReportKind", tags = "3, 4, 5, 6")]
    pub kind: Option<SegmentReportKind>,
}

/// What is said about segments.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum SegmentReportKind {
    /// A segment was worked on.
    #[prost(message, tag = "3")]
    Done(SegmentDone),
    /// A segment was given up.
    #[prost(message, tag = "4")]
    Failed(SegmentFailed),
    /// `split` is past the window's end: this many segments it has.
    #[prost(message, tag = "5")]
    Total(SegmentTotal),
    /// A unit of the window that was given up is worked on again.
    #[prost(message, tag = "6")]
    Replayed(Replay),
}

/// A segment was worked on.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentDone {
    /// Sound or picture.
    #[prost(enumeration = "SegmentKind", tag = "1")]
    pub segment: i32,
    /// Its place among its kind.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// An encoded [`super::SegmentTranscript`] (sound) or [`super::SegmentAnalysis`] (picture).
    #[prost(message, required, tag = "3")]
    pub result: Payload,
}

/// A segment was given up.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentFailed {
    /// Sound or picture.
    #[prost(enumeration = "SegmentKind", tag = "1")]
    pub segment: i32,
    /// Its place among its kind.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// Source time of its start, in microseconds.
    #[prost(int64, tag = "3")]
    pub start_us: i64,
    /// Source time of its end, in microseconds.
    #[prost(int64, tag = "4")]
    pub end_us: i64,
    /// A [`Code`]'s name.
    #[prost(string, tag = "5")]
    pub code: String,
}

/// How many segments a window has; `join` has all it needs once as many are done or failed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentTotal {
    /// Audio segments in this window.
    #[prost(uint32, tag = "1")]
    pub audio: u32,
    /// Video segments in this window.
    #[prost(uint32, tag = "2")]
    pub video: u32,
    /// No window comes after this one.
    #[prost(bool, tag = "3")]
    pub last: bool,
    /// Source time of the window's start, in microseconds.
    #[prost(int64, tag = "4")]
    pub start_us: i64,
    /// Source time of the window's end, in microseconds.
    #[prost(int64, tag = "5")]
    pub end_us: i64,
    /// What was measured of the source.
    #[prost(message, required, tag = "6")]
    pub media: MediaInfo,
    /// The source file.
    #[prost(message, required, tag = "7")]
    pub source: BlobRef,
    /// The dead letters whose replay opened the window again after it was passed on; `join` adds them.
    #[prost(string, repeated, tag = "8")]
    pub reopened_by: Vec<String>,
}

impl SegmentReport {
    /// Says that the segment `index` was given up for `code`.
    pub fn failed(job: &Job, window: u32, segment: SegmentKind, index: u32, span_us: (i64, i64), code: Code) -> Self {
        let failed = SegmentFailed {
            segment: segment as i32,
            index,
            start_us: span_us.0,
            end_us: span_us.1,
            code: code.as_str().to_owned(),
        };
        Self { job: job.clone(), window, kind: Some(SegmentReportKind::Failed(failed)) }
    }

    /// Says that the segment `index` was worked on.
    pub fn done(job: &Job, window: u32, segment: SegmentKind, index: u32, result: Payload) -> Self {
        let done = SegmentDone { segment: segment as i32, index, result };
        Self { job: job.clone(), window, kind: Some(SegmentReportKind::Done(done)) }
    }
}

impl Event for SegmentReport {
    const TOPIC: Topic = Topic::SegmentDone;

    fn job(&self) -> &Job {
        &self.job
    }

    /// A segment that failed and then succeeded on replay has one key: the later answer takes the place of the first.
    fn unit_key(&self) -> String {
        match &self.kind {
            Some(SegmentReportKind::Done(d)) => format!("{}/{}", d.segment().as_str(), d.index),
            Some(SegmentReportKind::Failed(f)) => format!("{}/{}", f.segment().as_str(), f.index),
            Some(SegmentReportKind::Total(_)) => format!("total/{}", self.window),
            Some(SegmentReportKind::Replayed(r)) => format!("replayed/{}", r.letter),
            None => "empty".to_owned(),
        }
    }
}

/// A window's segments are gathered (or its deadline passed): `moments` reads the rows `join` wrote to the store.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WindowGathered {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// Which window, from 0.
    #[prost(uint32, tag = "2")]
    pub window: u32,
    /// How many segments, where the window lies, and the source.
    #[prost(message, required, tag = "3")]
    pub total: SegmentTotal,
    /// The share of its segments that were worked on, 0 to 1.
    #[prost(double, tag = "4")]
    pub completeness: f64,
}

impl WindowGathered {
    /// Returns how often the window was passed on before and opened again.
    pub fn round(&self) -> u32 {
        self.total.reopened_by.len() as u32
    }
}

impl Event for WindowGathered {
    const TOPIC: Topic = Topic::WindowGathered;

    fn job(&self) -> &Job {
        &self.job
    }

    /// Each round is a unit of its own: that the first is finished does not keep the next from being worked on.
    fn unit_key(&self) -> String {
        match self.round() {
            0 => format!("window/{}", self.window),
            round => format!("window/{}/again/{round}", self.window),
        }
    }

    fn media(&self) -> MediaTime {
        MediaTime::from_us(self.total.end_us - self.total.start_us)
    }
}
