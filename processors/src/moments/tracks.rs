//! Tracks: one person's face over time, within a shot and across the edges of segments.

use pipeline::event::SegmentAnalysis;
use pipeline::media_time::{MediaRange, MediaTime};

use super::shots::Shot;

/// A face over time. Its boxes lie within one shot.
#[derive(Clone, PartialEq, Debug)]
pub struct Track {
    /// Its place among the video's tracks, ordered by start, then from left to right, from 0.
    pub id: u32,
    /// From its first box to the end of its last look.
    pub range: MediaRange,
    /// Where the face is, one box a look, in order of time; a look that missed it has none.
    pub boxes: Vec<TrackBox>,
}

/// A face at one time, smoothed over its neighbours, in display pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrackBox {
    /// When.
    pub at: MediaTime,
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
    /// How sure the detector was, 0 to 1.
    pub score: f32,
    /// How much the mouth moved since the look before, 0 to 1.
    pub mouth_motion: f32,
}

/// Joins the faces of `segments` (sorted by their start) into tracks, each within one of `shots`.
pub fn tracks(segments: &[SegmentAnalysis], shots: &[Shot]) -> Vec<Track> {
    let _ = (segments, shots);
    Vec::new()
}
