//! The analysis of one piece: every frame small, some frames larger.

use std::collections::VecDeque;

use bytes::Bytes;
use pipeline::event::{Edge, Face, Frame, MediaInfo, SegmentAnalysis, VideoSegment};
use pipeline::failure::Failure;

use super::AnalyzeArgs;
use super::change::{blend, brightness, change};
use super::mouth::Seen;
use crate::media::frames::{Frames, Rgb};
use crate::models::centerface::Detection;

/// A flash is over after fewer frames than this.
const FLASH_FRAMES: usize = 6;

/// How many frames are kept at each edge of a piece: an encoder likes to begin one with a flash.
const EDGE_FRAMES: usize = FLASH_FRAMES;

/// How far apart the ends are in which a dissolve is looked for: half a second.
const BLEND_SPAN_US: i64 = 500_000;

/// How long no larger picture is looked at after one that showed nobody.
const NOBODY_FOR_US: i64 = 1_000_000;

/// How far a frame may lie outside its piece: containers round times to a millisecond.
const ROUNDING_US: i64 = 2_000;

/// Analyses the frames of `segment`; `look` finds the faces in a picture.
///
/// # Errors
/// When the piece cannot be read, the work is told to stop, or faces cannot be looked for.
pub(super) fn analyze(
    segment: &VideoSegment,
    mut frames: Frames,
    args: &AnalyzeArgs,
    look: impl Fn(&Rgb) -> anyhow::Result<Vec<Detection>>,
) -> Result<SegmentAnalysis, Failure> {
    let mut analysis =
        SegmentAnalysis { start_us: segment.start_us, end_us: segment.end_us, ..SegmentAnalysis::default() };
    let mut eyes = Eyes::new(&segment.media, args, look);
    let looks = Looks { interval_us: ((1e6 / args.faces_per_second) as i64).max(1) };
    let mut recent = Recent::default();
    let mut seen: Vec<Seen> = Vec::new();
    while let Some(at) = frames.advance()? {
        let at_us = at.as_us();
        // A piece may hold frames of its neighbours, there to decode its own; a repeated time adds nothing.
        let outside = !(segment.start_us..segment.end_us).contains(&(at_us + ROUNDING_US));
        let last_us = analysis.frames.last().map(|frame| frame.at_us);
        if outside || last_us.is_some_and(|last_us| at_us <= last_us) {
            continue;
        }
        let thumbnail = Bytes::from(frames.thumbnail()?);
        analysis.frames.push(recent.compare(at_us, &thumbnail));
        recent.keep(at_us, thumbnail.clone());
        if analysis.head.thumbnails.len() < EDGE_FRAMES {
            analysis.head.thumbnails.push(thumbnail);
        }
        if looks.due(at_us, analysis.looked_us.last().copied()) {
            let (picture, found) = eyes.look(&mut frames, at_us)?;
            let now: Vec<Seen> = found.iter().map(|face| Seen::new(&picture, *face)).collect();
            for (face, here) in found.iter().zip(&now) {
                analysis.faces.push(in_source(face, here.motion(&seen), at_us, &picture, &segment.media));
            }
            analysis.looked_us.push(at_us);
            seen = now;
        }
    }
    analysis.tail = Edge { thumbnails: recent.last(EDGE_FRAMES) };
    Ok(analysis)
}

/// Returns the size of the picture in which faces are looked for, as a person sees it. Never larger than the source.
fn detection_size(media: &MediaInfo, longer_px: u32) -> (usize, usize) {
    let (width, height) = (f64::from(media.width.max(1)), f64::from(media.height.max(1)));
    let scale = (f64::from(longer_px) / width.max(height)).min(1.0);
    let size = |side: f64| ((side * scale).round() as usize).max(16);
    (size(width), size(height))
}

/// Finds the faces in frames: in a small picture, and where it shows none, in a larger one.
struct Eyes<L> {
    find: L,
    small: (usize, usize),
    large: (usize, usize),
    /// The next time at which a larger picture is worth its cost: where nobody is near or far, few are looked at.
    large_from_us: i64,
}

impl<L: Fn(&Rgb) -> anyhow::Result<Vec<Detection>>> Eyes<L> {
    fn new(media: &MediaInfo, args: &AnalyzeArgs, find: L) -> Self {
        let large_px = args.second_look_px.max(args.detection_px);
        let (small, large) = (detection_size(media, args.detection_px), detection_size(media, large_px));
        Self { find, small, large, large_from_us: i64::MIN }
    }

    /// Returns the faces in the current frame, which is that of `at_us`, and the picture they were found in.
    fn look(&mut self, frames: &mut Frames, at_us: i64) -> Result<(Rgb, Vec<Detection>), Failure> {
        let (small, found) = self.look_at(frames, self.small)?;
        if !found.is_empty() || self.large == self.small || at_us < self.large_from_us {
            return Ok((small, found));
        }
        let (large, found) = self.look_at(frames, self.large)?;
        if found.is_empty() {
            self.large_from_us = at_us + NOBODY_FOR_US;
            return Ok((small, found));
        }
        Ok((large, found))
    }

    fn look_at(&self, frames: &mut Frames, size: (usize, usize)) -> Result<(Rgb, Vec<Detection>), Failure> {
        let picture = frames.picture(size.0, size.1)?;
        let found = (self.find)(&picture).map_err(Failure::Retry)?;
        Ok((picture, found))
    }
}

/// When faces are looked for: at the first frame of each interval of the source's clock, so that pieces agree.
struct Looks {
    interval_us: i64,
}

impl Looks {
    fn due(&self, at_us: i64, last_us: Option<i64>) -> bool {
        last_us.is_none_or(|last_us| at_us.div_euclid(self.interval_us) > last_us.div_euclid(self.interval_us))
    }
}

/// Says where a face of a small picture lies in the source.
fn in_source(face: &Detection, mouth_motion: f32, at_us: i64, picture: &Rgb, media: &MediaInfo) -> Face {
    let across = media.width as f32 / picture.width as f32;
    let down = media.height as f32 / picture.height as f32;
    Face {
        at_us,
        x: face.x * across,
        y: face.y * down,
        width: face.width * across,
        height: face.height * down,
        score: face.score,
        mouth_motion,
    }
}

/// The thumbnails of the last frames, as far back as anything compares.
#[derive(Default)]
struct Recent(VecDeque<(i64, Bytes)>);

impl Recent {
    /// Compares a new frame with those before it.
    fn compare(&self, at_us: i64, thumbnail: &Bytes) -> Frame {
        let back = |frames: usize| self.0.len().checked_sub(frames).map(|index| &self.0[index].1);
        let since = |frames: usize| back(frames).map_or(0.0, |older| change(older, thumbnail));
        let half_us = BLEND_SPAN_US / 2;
        let blended = match (self.at(at_us - BLEND_SPAN_US), self.at(at_us - half_us)) {
            (Some(first), Some(middle)) => blend(first, middle, thumbnail),
            _ => 0.0,
        };
        Frame {
            at_us,
            change: since(1),
            change_over_two: since(2),
            brightness: brightness(thumbnail),
            change_over_six: since(FLASH_FRAMES),
            blend: blended,
        }
    }

    /// Returns the last frame that was there at `at_us`.
    fn at(&self, at_us: i64) -> Option<&Bytes> {
        let after = self.0.partition_point(|(other_us, _)| *other_us <= at_us);
        Some(&self.0[after.checked_sub(1)?].1)
    }

    fn keep(&mut self, at_us: i64, thumbnail: Bytes) {
        self.0.push_back((at_us, thumbnail));
        while self.0.len() > FLASH_FRAMES && self.0[1].0 <= at_us - BLEND_SPAN_US {
            self.0.pop_front();
        }
    }

    fn last(&self, count: usize) -> Vec<Bytes> {
        self.0.iter().skip(self.0.len().saturating_sub(count)).map(|(_, thumbnail)| thumbnail.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_agree_on_when_faces_are_looked_for() {
        let looks = Looks { interval_us: 200_000 };
        let times = |from: i64, to: i64| {
            let mut looked: Vec<i64> = Vec::new();
            for at_us in (from..to).step_by(40_000) {
                if looks.due(at_us, looked.last().copied()) {
                    looked.push(at_us);
                }
            }
            looked
        };
        let whole = times(0, 2_000_000);
        assert_eq!(whole.len(), 10);
        assert_eq!([times(0, 1_000_000), times(1_000_000, 2_000_000)].concat(), whole);
    }

    #[test]
    fn small_pictures_keep_the_shape_and_are_never_larger_than_the_source() {
        let size = |width, height| detection_size(&MediaInfo { width, height, ..MediaInfo::default() }, 320);
        assert_eq!(size(1280, 720), (320, 180));
        assert_eq!(size(720, 1280), (180, 320));
        assert_eq!(size(160, 90), (160, 90));
        assert_eq!(size(8000, 10), (320, 16));
    }

    #[test]
    fn half_a_second_is_remembered_and_no_more() {
        let mut recent = Recent::default();
        for frame in 0..200 {
            recent.keep(frame * 10_000, Bytes::from_static(b"x"));
        }
        assert!(recent.at(1_990_000 - BLEND_SPAN_US).is_some());
        assert!(recent.0.len() < 55, "{}", recent.0.len());
    }
}
