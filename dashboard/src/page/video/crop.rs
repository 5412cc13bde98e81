//! Where the camera is in the source: drawn on the frame that the clip begins with, an empty one where that was not kept, and told
//! framing by framing.

use pipeline::event::{Clip, Framing, MediaInfo};
use serde::Serialize;

use crate::say;

/// The most points of a path that are drawn.
const POINTS: usize = 40;

/// How a clip is cropped.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Crop {
    /// Width of the source as a person sees it, in pixels; 0 if it is not known.
    pub width: u32,
    /// Height of the source, likewise.
    pub height: u32,
    /// One framing a shot, or part of one, in order.
    pub framings: Vec<Shot>,
}

/// A framing.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Shot {
    /// Its place, from 1.
    pub number: usize,
    /// Where it begins in the source, in seconds.
    pub start_s: f64,
    /// Where it ends in the source, in seconds.
    pub end_s: f64,
    /// `still`, `pan`, `follow` or `pad`.
    pub mode: &'static str,
    /// Width of the crop, in pixels of the source.
    pub width: f64,
    /// Height of the crop, likewise.
    pub height: f64,
    /// Where its top left corner is, over time.
    pub keyframes: Vec<Corner>,
    /// Why.
    pub reason: String,
}

/// Where a crop is.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Corner {
    /// Source time, in seconds.
    pub at_s: f64,
    /// Left edge, in pixels of the source.
    pub x: f64,
    /// Top edge, likewise.
    pub y: f64,
}

impl Crop {
    /// Tells how `clip` is cropped; `media` is what was measured of its source.
    pub fn of(clip: &Clip, media: Option<&MediaInfo>) -> Self {
        let shots = clip.framings.iter().enumerate();
        Self {
            width: media.map_or(0, |media| media.width),
            height: media.map_or(0, |media| media.height),
            framings: shots.map(|(place, framing)| Shot::of(place + 1, framing)).collect(),
        }
    }

    /// Says whether it can be drawn.
    pub fn is_known(&self) -> bool {
        self.width > 0 && self.height > 0 && !self.framings.is_empty()
    }

    /// Returns the size of letters in the picture.
    pub fn letters(&self) -> u32 {
        (self.width / 24).max(12)
    }

    /// Says what is drawn, for who does not see it.
    pub fn told(&self) -> String {
        let modes: Vec<_> = self.framings.iter().map(|shot| format!("{} {}", shot.number, shot.mode)).collect();
        format!("The crop on the source of {}x{}: {}", self.width, self.height, modes.join(", "))
    }
}

impl Shot {
    fn of(number: usize, framing: &Framing) -> Self {
        let corner = |keyframe: &pipeline::event::Keyframe| Corner {
            at_s: say::seconds(keyframe.at_us),
            x: keyframe.x,
            y: keyframe.y,
        };
        Self {
            number,
            start_s: say::seconds(framing.start_us),
            end_s: say::seconds(framing.end_us),
            mode: framing.mode().as_str(),
            width: framing.width,
            height: framing.height,
            keyframes: framing.keyframes.iter().map(corner).collect(),
            reason: framing.reason.clone(),
        }
    }

    /// Returns where it begins.
    pub fn first(&self) -> Corner {
        self.keyframes.first().copied().unwrap_or(Corner { at_s: self.start_s, x: 0.0, y: 0.0 })
    }

    /// Returns where it ends, if that is elsewhere.
    pub fn last(&self) -> Option<Corner> {
        let (first, last) = (self.first(), *self.keyframes.last()?);
        ((last.x - first.x).abs() >= 1.0 || (last.y - first.y).abs() >= 1.0).then_some(last)
    }

    /// Returns the middles of the crop over time, as points of a line; empty while it stands.
    pub fn path(&self) -> String {
        if self.last().is_none() && self.keyframes.len() < 3 {
            return String::new();
        }
        let step = self.keyframes.len().div_ceil(POINTS).max(1);
        let last = self.keyframes.len() - 1;
        let kept = self.keyframes.iter().enumerate().filter(|(place, _)| place % step == 0 || *place == last);
        let point = |(_, corner): (usize, &Corner)| {
            format!("{:.0},{:.0}", corner.x + self.width / 2.0, corner.y + self.height / 2.0)
        };
        kept.map(point).collect::<Vec<_>>().join(" ")
    }

    /// Says from when to when.
    pub fn span(&self) -> String {
        format!("{:.1} s to {:.1} s", self.start_s, self.end_s)
    }

    /// Says where it is and how large.
    pub fn place(&self) -> String {
        let first = self.first();
        let mut said = format!("{:.0}x{:.0} at {:.0}, {:.0}", self.width, self.height, first.x, first.y);
        if self.keyframes.len() > 1 {
            let across = |value: fn(&Corner) -> f64| {
                let values = self.keyframes.iter().map(value);
                values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
            };
            let ((left, right), (top, bottom)) = (across(|corner| corner.x), across(|corner| corner.y));
            said = format!("{:.0}x{:.0}, left edge {left:.0} to {right:.0}", self.width, self.height);
            if bottom - top >= 1.0 {
                said.push_str(&format!(", top edge {top:.0} to {bottom:.0}"));
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::{FramingMode, Keyframe};

    use super::*;

    #[test]
    fn a_path_keeps_its_ends_and_few_points_and_what_stands_has_none() {
        let keyframes = (0..1000).map(|at| Keyframe { at_us: at * 10_000, x: at as f64, y: 0.0 }).collect();
        let mut framing = Framing {
            start_us: 0,
            end_us: 10_000_000,
            mode: FramingMode::Follow as i32,
            width: 400.0,
            height: 700.0,
            keyframes,
            reason: String::new(),
        };
        let shot = Shot::of(1, &framing);
        let path = shot.path();
        let points: Vec<&str> = path.split(' ').collect();
        assert_eq!((points[0], points.last()), ("200,350", Some(&"1199,350")));
        assert!(points.len() <= POINTS + 1, "{}", points.len());
        assert_eq!(shot.place(), "400x700, left edge 0 to 999");
        framing.keyframes.truncate(1);
        let still = Shot::of(1, &framing);
        assert_eq!((still.path(), still.last(), still.place()), (String::new(), None, "400x700 at 0, 0".to_owned()));
    }
}
