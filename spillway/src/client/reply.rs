//! What is used of the answers.

use serde::Deserialize;

/// What is used of a video.
#[derive(Clone, Debug, Deserialize)]
pub struct VideoReply {
    /// Its id.
    pub id: String,
    /// Where it is on its way.
    pub state: String,
    /// Its lane.
    pub lane: String,
    /// Why it did not end well.
    pub error: Option<VideoErrorReply>,
}

/// Why a video did not end well.
#[derive(Clone, Debug, Deserialize)]
pub struct VideoErrorReply {
    /// The stable name of the reason.
    pub code: String,
    /// Where it happened.
    pub stage: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What is used of a clip.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipReply {
    /// Its id.
    pub id: String,
    /// Where it begins in the source, in seconds.
    pub start_s: f64,
    /// Where it ends in the source, in seconds.
    pub end_s: f64,
    /// How good it is, 0 to 1.
    pub score: f64,
    /// Why it was chosen.
    pub reasons: Vec<ReasonReply>,
    /// Its files.
    pub links: ClipLinksReply,
}

/// One reason for a choice.
#[derive(Clone, Debug, Deserialize)]
pub struct ReasonReply {
    /// One sentence.
    pub text: String,
}

/// Paths of a clip's files.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipLinksReply {
    /// The video.
    pub video: Option<String>,
    /// The captions.
    pub captions: Option<String>,
    /// A still picture.
    pub poster: Option<String>,
}
