//! The crop's size, the one direction it can move in, and where it should be to show a face well.

use pipeline::event::Aspect;
use pipeline::media_time::MediaTime;

use crate::moments::tracks::TrackBox;

/// Shapes that differ by less than this share count as the same: nothing worth moving is cut off.
const SAME_SHAPE: f64 = 0.02;

/// A face's centre belongs at this part of the crop's height: eyes at about the upper third, room above the head.
const UPPER_THIRD: f64 = 0.40;

/// Room kept beside a face, as a share of its own size: detectors leave ears out.
const ROOM_BESIDE: f64 = 0.15;

/// Room kept above and below a face, likewise: they leave hair out too.
const ROOM_ABOVE: f64 = 0.30;

/// The direction the crop can move in. The crop is as large as fits, so it fills the source in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The source is wider than the crop.
    Sideways,
    /// The source is higher than the crop.
    UpAndDown,
}

/// How a crop of one shape lies in a source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Width and height of the source as a person sees it, in pixels.
    pub source: (f64, f64),
    /// Width and height of the crop, in pixels of the source.
    pub crop: (f64, f64),
    /// Where it can move.
    pub axis: Axis,
}

/// What must be seen at one time, along the direction in which the crop moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// When.
    pub at: MediaTime,
    /// Where it begins, in pixels.
    pub from: f64,
    /// Where it ends, in pixels.
    pub to: f64,
}

/// Where the crop's corner may be to show something, along its direction, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// The best place.
    pub wanted: f64,
    /// The least at which all of it is inside.
    pub least: f64,
    /// The most at which all of it is inside; less than `least` when it does not fit.
    pub most: f64,
}

impl Reach {
    /// Says whether a crop at `corner` shows all of it.
    pub fn holds(&self, corner: f64) -> bool {
        self.least - 0.5 <= corner && corner <= self.most + 0.5
    }
}

impl View {
    /// Fits the largest crop of shape `aspect` into a source of `width` times `height` pixels.
    pub fn new(width: u32, height: u32, aspect: Aspect) -> Self {
        let source = (f64::from(width.max(1)), f64::from(height.max(1)));
        let (wide, high) = aspect.ratio();
        let shape = f64::from(wide) / f64::from(high);
        if source.0 / source.1 >= shape {
            Self { source, crop: (source.1 * shape, source.1), axis: Axis::Sideways }
        } else {
            Self { source, crop: (source.0, source.0 / shape), axis: Axis::UpAndDown }
        }
    }

    /// Returns the crop's size in the direction it moves in, in pixels.
    pub fn extent(&self) -> f64 {
        match self.axis {
            Axis::Sideways => self.crop.0,
            Axis::UpAndDown => self.crop.1,
        }
    }

    /// Returns how far the crop can move, in pixels.
    pub fn freedom(&self) -> f64 {
        match self.axis {
            Axis::Sideways => self.source.0 - self.crop.0,
            Axis::UpAndDown => self.source.1 - self.crop.1,
        }
    }

    /// Says whether the source has the crop's shape already.
    pub fn is_whole(&self) -> bool {
        self.freedom() <= SAME_SHAPE * self.extent()
    }

    /// Returns the top left corner of a crop that was moved by `along`, in pixels.
    pub fn corner(&self, along: f64) -> (f64, f64) {
        // Thousandths of a pixel are not seen, and keep the plan free of last bits.
        let along = (along.clamp(0.0, self.freedom()) * 1000.0).floor() / 1000.0;
        match self.axis {
            Axis::Sideways => (along, 0.0),
            Axis::UpAndDown => (0.0, along),
        }
    }

    /// Returns where `face` is, along the direction in which the crop moves.
    pub fn look(&self, face: &TrackBox) -> Look {
        let (from, size) = match self.axis {
            Axis::Sideways => (face.x, face.width),
            Axis::UpAndDown => (face.y, face.height),
        };
        Look { at: face.at, from: f64::from(from), to: f64::from(from + size) }
    }

    /// Returns where the crop should be to show `look`.
    pub fn reach(&self, look: &Look) -> Reach {
        let (extent, freedom) = (self.extent(), self.freedom());
        let (size, middle) = (look.to - look.from, (look.from + look.to) / 2.0);
        let (room, place) = match self.axis {
            Axis::Sideways => (ROOM_BESIDE, 0.5),
            Axis::UpAndDown => (ROOM_ABOVE, UPPER_THIRD),
        };
        let room = (room * size).min((extent - size) / 2.0).max(0.0);
        // A face at the very edge of the source, or partly outside, cannot be given room there.
        let least = (look.to + room - extent).clamp(0.0, freedom);
        let most = (look.from - room).clamp(0.0, freedom);
        let fits = size <= extent;
        let wanted = (middle - place * extent).clamp(0.0, freedom);
        let wanted = if fits && least <= most { wanted.clamp(least, most) } else { wanted };
        Reach { wanted, least, most: if fits { most.max(least) } else { -1.0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crop_is_the_largest_that_fits() {
        let wide = View::new(1280, 720, Aspect::Vertical);
        assert_eq!((wide.crop, wide.axis, wide.freedom()), ((405.0, 720.0), Axis::Sideways, 875.0));
        let high = View::new(720, 1280, Aspect::Square);
        assert_eq!((high.crop, high.axis, high.freedom()), ((720.0, 720.0), Axis::UpAndDown, 560.0));
        assert!(View::new(1080, 1920, Aspect::Vertical).is_whole());
        assert!(!View::new(1280, 720, Aspect::Square).is_whole());
    }

    #[test]
    fn a_face_at_the_edge_of_the_source_is_still_held() {
        let view = View::new(1280, 720, Aspect::Vertical);
        let reach = view.reach(&Look { at: MediaTime::ZERO, from: 1200.0, to: 1280.0 });
        assert_eq!((reach.wanted, reach.most), (875.0, 875.0));
        assert!(reach.holds(875.0));
        assert!(!view.reach(&Look { at: MediaTime::ZERO, from: 300.0, to: 800.0 }).holds(350.0));
    }

    #[test]
    fn faces_are_put_in_the_upper_part() {
        let view = View::new(720, 1280, Aspect::Square);
        let reach = view.reach(&Look { at: MediaTime::ZERO, from: 500.0, to: 700.0 });
        assert_eq!(reach.wanted, 600.0 - 0.4 * 720.0);
    }
}
