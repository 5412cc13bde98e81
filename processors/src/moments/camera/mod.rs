//! The camera's path over a whole clip: one framing a shot, or more where the speaker changes in a long one. It jumps
//! only from one framing to the next.

mod path;
mod smooth;
mod speaker;
mod view;

#[cfg(test)]
mod tests;

use pipeline::event::{Aspect, Framing, FramingMode, Keyframe, MediaInfo};
use pipeline::media_time::MediaRange;

use speaker::{Part, Subject};
use view::{Axis, View};

use super::timeline::Timeline;

/// Frames a second when nothing sensible was measured.
const USUAL_FRAME_RATE: f64 = 25.0;

/// Frames the clip that lies at `range` in shape `aspect`: framings that tile it, in order.
pub fn framings(timeline: &Timeline, media: &MediaInfo, aspect: Aspect, range: MediaRange) -> Vec<Framing> {
    let view = View::new(media.width, media.height, aspect);
    if view.is_whole() {
        let corner = view.corner(view.freedom() / 2.0);
        let reason = "the picture has this shape already".to_owned();
        return vec![framing(&view, range, FramingMode::Still, vec![keyframe(range, corner)], reason)];
    }
    let rate = media.frame_rate;
    let frame_rate = if rate.is_finite() && rate >= 1.0 { rate.min(120.0) } else { USUAL_FRAME_RATE };
    let shots = timeline.shots_in(range);
    let parts = shots.into_iter().flat_map(|shot| speaker::parts(timeline, &view, shot));
    parts.map(|part| frame(&view, part, frame_rate)).collect()
}

fn frame(view: &View, part: Part, frame_rate: f64) -> Framing {
    let range = part.range;
    match part.subject {
        Subject::Nobody => {
            let (along, place) = match view.axis {
                Axis::Sideways => (view.freedom() / 2.0, "the middle"),
                Axis::UpAndDown => (view.freedom() / 3.0, "the upper middle"),
            };
            let reason = format!("no face in this shot: {place} of the picture");
            framing(view, range, FramingMode::Still, vec![keyframe(range, view.corner(along))], reason)
        }
        Subject::TooFarApart => {
            padded(view, range, "two people speak by turns and do not fit together: the whole picture")
        }
        Subject::Seen { looks, who } => match path::solve(view, range, &looks, frame_rate) {
            Some(path) => {
                let does = match path.mode {
                    FramingMode::Pan => "pans evenly with",
                    FramingMode::Follow => "follows",
                    FramingMode::Still | FramingMode::Pad => "stands still on",
                };
                let held = (path.held * 100.0).floor();
                let reason = format!("{does} {who}, inside in {held:.0} % of {} looks", looks.len());
                framing(view, range, path.mode, path.keyframes, reason)
            }
            None => padded(view, range, &format!("no crop holds {who}: the whole picture")),
        },
    }
}

fn padded(view: &View, range: MediaRange, reason: &str) -> Framing {
    Framing {
        width: view.source.0,
        height: view.source.1,
        ..framing(view, range, FramingMode::Pad, vec![keyframe(range, (0.0, 0.0))], reason.to_owned())
    }
}

fn framing(view: &View, range: MediaRange, mode: FramingMode, keyframes: Vec<Keyframe>, reason: String) -> Framing {
    Framing {
        start_us: range.start.as_us(),
        end_us: range.end.as_us(),
        mode: mode as i32,
        width: view.crop.0,
        height: view.crop.1,
        keyframes,
        reason,
    }
}

fn keyframe(range: MediaRange, (x, y): (f64, f64)) -> Keyframe {
    Keyframe { at_us: range.start.as_us(), x, y }
}
