//! What gatherers keep.

use jiff::Timestamp;

use crate::id::{TenantId, VideoId};

/// Who gathers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gatherer {
    /// Segments of a window.
    Join,
    /// Clips of a video; its window is always 0.
    Deliver,
}

impl Gatherer {
    /// Returns its name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Deliver => "deliver",
        }
    }
}

/// A gathering that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGather {
    /// The owner.
    pub tenant: TenantId,
    /// The video.
    pub video: VideoId,
    /// The window.
    pub window: u32,
    /// When to go on with what is there.
    pub deadline: Timestamp,
}
