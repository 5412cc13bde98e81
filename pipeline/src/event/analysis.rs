//! What was heard and seen in a segment. All times are source times in microseconds.

/// What was heard in a piece of sound.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentTranscript {
    /// Source time of the piece's start.
    #[prost(int64, tag = "1")]
    pub start_us: i64,
    /// Source time of its end.
    #[prost(int64, tag = "2")]
    pub end_us: i64,
    /// The words in order, without overlap.
    #[prost(message, repeated, tag = "3")]
    pub words: Vec<Word>,
    /// How loud it is.
    #[prost(message, required, tag = "4")]
    pub loudness: Loudness,
    /// Where somebody speaks, as pairs of start and end: `[start, end, start, end, ..]`.
    #[prost(int64, repeated, tag = "5")]
    pub speech_us: Vec<i64>,
    /// Which transcriber heard it: `pocketsphinx`, `whisper:base.en`, `http:...`, or `none` where nobody speaks.
    #[prost(string, tag = "6")]
    pub transcriber: String,
}

/// A spoken word.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Word {
    /// When it begins.
    #[prost(int64, tag = "1")]
    pub start_us: i64,
    /// When it ends.
    #[prost(int64, tag = "2")]
    pub end_us: i64,
    /// As it is written, with the punctuation that follows it where the transcriber knows any.
    #[prost(string, tag = "3")]
    pub text: String,
    /// How sure the transcriber is, 0 to 1.
    #[prost(float, tag = "4")]
    pub confidence: f32,
}

/// Loudness over time.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Loudness {
    /// Time between two values, in microseconds.
    #[prost(int64, tag = "1")]
    pub step_us: i64,
    /// Root mean square of each step, in dB relative to full scale, -100 for silence.
    #[prost(float, repeated, tag = "2")]
    pub dbfs: Vec<f32>,
}

/// What was seen in a piece of picture.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentAnalysis {
    /// Source time of the piece's first frame.
    #[prost(int64, tag = "1")]
    pub start_us: i64,
    /// Source time after its last frame.
    #[prost(int64, tag = "2")]
    pub end_us: i64,
    /// Every decoded frame, in order of presentation.
    #[prost(message, repeated, tag = "3")]
    pub frames: Vec<Frame>,
    /// Faces, ordered by time, then by `x`.
    #[prost(message, repeated, tag = "4")]
    pub faces: Vec<Face>,
    /// When faces were looked for, so that no face there can be told from not looked.
    #[prost(int64, repeated, tag = "5")]
    pub looked_us: Vec<i64>,
    /// The first frames, small, to compare with the end of the piece before.
    #[prost(message, required, tag = "6")]
    pub head: Edge,
    /// The last frames, small, to compare with the start of the next piece.
    #[prost(message, required, tag = "7")]
    pub tail: Edge,
}

/// What changed from one frame to the next.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// When it is presented.
    #[prost(int64, tag = "1")]
    pub at_us: i64,
    /// Change of content against the frame before, 0 (same) to 1; 0 for a piece's first frame.
    #[prost(float, tag = "2")]
    pub change: f32,
    /// Change against two frames before; together with `change` it tells a flash (returns) from a cut (stays).
    #[prost(float, tag = "3")]
    pub change_over_two: f32,
    /// Mean brightness, 0 to 1; tells fades.
    #[prost(float, tag = "4")]
    pub brightness: f32,
    /// Change against six frames before; tells a longer flash from a cut.
    #[prost(float, tag = "5")]
    pub change_over_six: f32,
    /// How far the last half second turned one picture into another by mixing them, 0 to 1; tells dissolves and fades.
    #[prost(float, tag = "6")]
    pub blend: f32,
}

/// A face in one frame, in display pixels (rotation and sample aspect applied).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Face {
    /// When the frame is presented.
    #[prost(int64, tag = "1")]
    pub at_us: i64,
    /// Left edge.
    #[prost(float, tag = "2")]
    pub x: f32,
    /// Top edge.
    #[prost(float, tag = "3")]
    pub y: f32,
    /// Width.
    #[prost(float, tag = "4")]
    pub width: f32,
    /// Height.
    #[prost(float, tag = "5")]
    pub height: f32,
    /// How sure the detector is, 0 to 1.
    #[prost(float, tag = "6")]
    pub score: f32,
    /// How much the lower third of the face changed since the last look, 0 to 1: somebody who speaks moves the mouth.
    #[prost(float, tag = "7")]
    pub mouth_motion: f32,
}

/// A few small frames at an edge of a piece, in order of presentation: 32x18 pixels, planar YUV 4:4:4, 1728 bytes each.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Edge {
    /// The frames.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub thumbnails: Vec<bytes::Bytes>,
}
