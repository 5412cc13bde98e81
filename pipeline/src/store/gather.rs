//! What gatherers keep.

use std::time::Duration;

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

/// How much later a deadline must be to replace the one that is kept: gatherings are listed by it, and a list that
/// changes with each of a thousand items costs more than the minute matters.
pub(super) const DEADLINE_STEP: Duration = Duration::from_secs(60);

/// A gathering that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenGather {
    /// The owner.
    pub tenant: TenantId,
    /// The video.
    pub video: VideoId,
    /// The window.
    pub window: u32,
    /// When to go on with what is there, if nothing more is heard.
    pub deadline: Timestamp,
}
