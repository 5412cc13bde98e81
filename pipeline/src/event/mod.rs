//! What travels through Kafka: protobuf messages, one type a topic, and what they have in common.
//!
//! Fields are only ever added, with new tags: a newer reader must understand the records an older one left
//! in the topics (`tests/it/compatibility.rs` holds their bytes).

mod analysis;
mod clip;
mod happened;
mod job;
mod media;
mod segment;
mod system;
mod video;
mod worker;

pub use analysis::{Edge, Face, Frame, Loudness, SegmentAnalysis, SegmentTranscript, Word};
pub use clip::{
    Clip, ClipPlanned, ClipReport, ClipReportKind, ClipTotal, Framing, FramingMode, Keyframe, Reason, Reopened,
    UnitFailure, VIDEO_FAILED, clip_failed, video_failed,
};
pub use happened::{
    Created, EndState, Ended, Happened, Replay, StageTotal, UnitDone, UnitFailed, UnitRetried, VideoEvent,
};
pub use job::{Aspect, Captions, Job, Options, OptionsError};
pub use media::{BlobRef, MediaInfo, Payload, Place};
pub use segment::{
    AudioSegment, SegmentDone, SegmentFailed, SegmentKind, SegmentReport, SegmentReportKind, SegmentTotal,
    VideoSegment, WindowGathered,
};
pub use system::SystemState;
pub use video::{VideoReady, VideoSource, VideoSubmitted};
pub use worker::{LaneDone, UnitInHand, WorkerCommand, WorkerOrder, WorkerReport, WorkerState};

use bytes::Bytes;

use crate::id::VideoId;
use crate::lane::Lane;
use crate::media_time::MediaTime;
use crate::topic::{Spread, Topic};

/// A message of one family of topics.
pub trait Event: prost::Message + Default + Clone + 'static {
    /// The topics it travels in.
    const TOPIC: Topic;

    /// Returns whose work this is.
    fn job(&self) -> &Job;

    /// Names this message within its video: the same on every redelivery, different from every other one's.
    fn unit_key(&self) -> String;

    /// Returns how much media it stands for; zero where that has no meaning.
    fn media(&self) -> MediaTime {
        MediaTime::ZERO
    }

    /// Reads a message and checks the ids in it.
    ///
    /// # Errors
    /// When the bytes are not this message, or its ids are not ids.
    fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        checked(Self::decode(bytes)?)
    }

    /// Does the same without copying a payload: it shares the memory of `bytes`.
    ///
    /// # Errors
    /// As [`Event::read`].
    fn take(bytes: Bytes) -> Result<Self, ReadError> {
        checked(Self::decode(bytes)?)
    }
}

fn checked<E: Event>(event: E) -> Result<E, ReadError> {
    event.job().check()?;
    Ok(event)
}

/// Bytes that are not the message they should be.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not protobuf of this type.
    #[error("message is not of its topic's type")]
    Protobuf(#[from] prost::DecodeError),
    /// The ids inside are not ids.
    #[error("message names no valid video")]
    Id(#[from] crate::id::ParseError),
}

/// A message ready to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The family of topics.
    pub topic: Topic,
    /// Whose work it is.
    pub lane: Lane,
    /// The key, for topics spread by video.
    pub key: Option<VideoId>,
    /// Names the message within its video, see [`Event::unit_key`].
    pub unit_key: String,
    /// The encoded message.
    pub body: Vec<u8>,
}

impl Envelope {
    /// Wraps `event` for its topic.
    pub fn of<E: Event>(event: &E) -> Self {
        let job = event.job();
        let key = (E::TOPIC.spec().spread == Spread::ByVideo).then(|| job.video());
        Self { topic: E::TOPIC, lane: job.lane(), key, unit_key: event.unit_key(), body: event.encode_to_vec() }
    }
}

/// What a stage may send. A stage that says several things has an enum of them.
pub trait Outgoing: Send + 'static {
    /// Wraps it for its topic.
    fn envelope(&self) -> Envelope;
}

impl<E: Event> Outgoing for E {
    fn envelope(&self) -> Envelope {
        Envelope::of(self)
    }
}
