//! What stages say to each other as the first version of the program knew it, frozen: a message that it passes on lacks
//! every field that came later. What is inside them and is the same to this day passes as bytes.

use prost::Message;

/// Returns what the first version makes of a message that it knows as `M`.
///
/// # Panics
/// When it cannot read it.
pub fn passed_on<M: Message + Default>(body: &[u8]) -> Vec<u8> {
    M::decode(body).expect("the first version reads it").encode_to_vec()
}

#[derive(Clone, PartialEq, Message)]
pub struct Job {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    video: String,
    #[prost(int32, tag = "3")]
    lane: i32,
    #[prost(bytes = "vec", required, tag = "4")]
    options: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct VideoSubmitted {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(bytes = "vec", optional, tag = "2")]
    upload: Option<Vec<u8>>,
    #[prost(string, optional, tag = "3")]
    url: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct VideoReady {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(bytes = "vec", required, tag = "2")]
    source: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "3")]
    media: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AudioSegment {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(uint32, tag = "3")]
    window: u32,
    #[prost(int64, tag = "4")]
    start_us: i64,
    #[prost(int64, tag = "5")]
    end_us: i64,
    #[prost(bytes = "vec", required, tag = "6")]
    samples: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct VideoSegment {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(uint32, tag = "3")]
    window: u32,
    #[prost(int64, tag = "4")]
    start_us: i64,
    #[prost(int64, tag = "5")]
    end_us: i64,
    #[prost(bytes = "vec", required, tag = "6")]
    media: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "7")]
    file: Vec<u8>,
    #[prost(string, tag = "8")]
    demuxer: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SegmentReport {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(uint32, tag = "2")]
    window: u32,
    #[prost(bytes = "vec", optional, tag = "3")]
    done: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    failed: Option<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    total: Option<SegmentTotal>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SegmentTotal {
    #[prost(uint32, tag = "1")]
    audio: u32,
    #[prost(uint32, tag = "2")]
    video: u32,
    #[prost(bool, tag = "3")]
    last: bool,
    #[prost(int64, tag = "4")]
    start_us: i64,
    #[prost(int64, tag = "5")]
    end_us: i64,
    #[prost(bytes = "vec", required, tag = "6")]
    media: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "7")]
    source: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct WindowGathered {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(uint32, tag = "2")]
    window: u32,
    #[prost(message, required, tag = "3")]
    total: SegmentTotal,
    #[prost(double, tag = "4")]
    completeness: f64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClipPlanned {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(bytes = "vec", required, tag = "2")]
    source: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "3")]
    media: Vec<u8>,
    #[prost(message, required, tag = "4")]
    clip: Clip,
}

#[derive(Clone, PartialEq, Message)]
pub struct Clip {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(uint32, tag = "2")]
    index: u32,
    #[prost(uint32, tag = "3")]
    window: u32,
    #[prost(int64, tag = "4")]
    start_us: i64,
    #[prost(int64, tag = "5")]
    end_us: i64,
    #[prost(double, tag = "6")]
    score: f64,
    #[prost(bytes = "vec", repeated, tag = "7")]
    reasons: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    framings: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    words: Vec<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "10")]
    video: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "11")]
    captions: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "12")]
    poster: Option<Vec<u8>>,
    #[prost(string, tag = "13")]
    sha256: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClipReport {
    #[prost(message, required, tag = "1")]
    job: Job,
    #[prost(string, optional, tag = "2")]
    done: Option<String>,
    #[prost(bytes = "vec", optional, tag = "3")]
    failed: Option<Vec<u8>>,
    #[prost(message, optional, tag = "4")]
    total: Option<ClipTotal>,
    #[prost(bytes = "vec", optional, tag = "5")]
    video_failed: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ClipTotal {
    #[prost(uint32, tag = "1")]
    window: u32,
    #[prost(bool, tag = "2")]
    last: bool,
    #[prost(uint32, tag = "3")]
    clips: u32,
    #[prost(double, tag = "4")]
    completeness: f64,
    #[prost(int64, tag = "5")]
    length_us: i64,
}
