//! Bytes and the media in them.

use bytes::Bytes;

use crate::media_time::MediaTime;

/// Names an object in the blob store.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct BlobRef {
    /// Its key: `tenant/video/kind/id`.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its length in bytes.
    #[prost(uint64, tag = "2")]
    pub bytes: u64,
}

/// Bytes that travel in the message when they fit, else in the blob store; [`crate::payload`] decides which.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    /// Where the bytes are.
    #[prost(oneof = "Place", tags = "1, 2")]
    pub place: Option<Place>,
}

/// Where the bytes of a [`Payload`] are.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Place {
    /// Here.
    #[prost(bytes = "bytes", tag = "1")]
    Inline(Bytes),
    /// In the blob store.
    #[prost(message, tag = "2")]
    Blob(BlobRef),
}

/// What was measured of a video's container and streams. Nothing in it is taken from a declaration alone:
/// durations and rates were clamped on entry and measured from packets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MediaInfo {
    /// The demuxer to force when the source is opened again, such as `mov,mp4,m4a,3gp,3g2,mj2`.
    #[prost(string, tag = "1")]
    pub demuxer: String,
    /// From the first presented frame to the end of the last, in microseconds.
    #[prost(int64, tag = "2")]
    pub duration_us: i64,
    /// The container's own time of the first presented frame, in microseconds: subtract it to get a [`MediaTime`].
    #[prost(int64, tag = "3")]
    pub origin_us: i64,
    /// Index of the video stream in the container.
    #[prost(uint32, tag = "4")]
    pub video_stream: u32,
    /// Index of the chosen audio stream in the container, if there is sound.
    #[prost(uint32, optional, tag = "5")]
    pub audio_stream: Option<u32>,
    /// Width as a person sees it, rotation and sample aspect applied, in pixels.
    #[prost(uint32, tag = "6")]
    pub width: u32,
    /// Height as a person sees it, rotation and sample aspect applied, in pixels.
    #[prost(uint32, tag = "7")]
    pub height: u32,
    /// Width of the coded picture, in samples.
    #[prost(uint32, tag = "8")]
    pub coded_width: u32,
    /// Height of the coded picture, in samples.
    #[prost(uint32, tag = "9")]
    pub coded_height: u32,
    /// Degrees clockwise by which the coded picture must be turned: 0, 90, 180 or 270.
    #[prost(uint32, tag = "10")]
    pub rotation_degrees: u32,
    /// Mean frames a second, measured.
    #[prost(double, tag = "11")]
    pub frame_rate: f64,
    /// The picture is interlaced.
    #[prost(bool, tag = "12")]
    pub interlaced: bool,
    /// FFmpeg's name of the video codec.
    #[prost(string, tag = "13")]
    pub video_codec: String,
    /// FFmpeg's name of the audio codec, empty without sound.
    #[prost(string, tag = "14")]
    pub audio_codec: String,
    /// Length of the file in bytes.
    #[prost(uint64, tag = "15")]
    pub bytes: u64,
}

impl MediaInfo {
    /// Returns the measured duration.
    pub fn duration(&self) -> MediaTime {
        MediaTime::from_us(self.duration_us)
    }
}
