//! Messages about a whole video on its way in.

use super::{BlobRef, Event, Job, MediaInfo};
use crate::media_time::MediaTime;
use crate::topic::Topic;

/// A video was accepted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VideoSubmitted {
    /// Whose work it is; its lane is a guess until `fetch` has measured the duration.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// Where the bytes come from.
    #[prost(oneof = "VideoSource", tags = "2, 3")]
    pub source: Option<VideoSource>,
}

/// Where a video's bytes come from.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum VideoSource {
    /// Uploaded, and already in the blob store.
    #[prost(message, tag = "2")]
    Upload(BlobRef),
    /// To be fetched from this URL.
    #[prost(string, tag = "3")]
    Url(String),
}

impl Event for VideoSubmitted {
    const TOPIC: Topic = Topic::VideoSubmitted;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        "video".to_owned()
    }
}

/// A video is in the blob store, measured, and in its final lane.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VideoReady {
    /// Whose work it is.
    #[prost(message, required, tag = "1")]
    pub job: Job,
    /// The source file.
    #[prost(message, required, tag = "2")]
    pub source: BlobRef,
    /// What was measured.
    #[prost(message, required, tag = "3")]
    pub media: MediaInfo,
}

impl Event for VideoReady {
    const TOPIC: Topic = Topic::VideoReady;

    fn job(&self) -> &Job {
        &self.job
    }

    fn unit_key(&self) -> String {
        "video".to_owned()
    }

    fn media(&self) -> MediaTime {
        self.media.duration()
    }
}
