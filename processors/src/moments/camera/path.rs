//! The camera's path in one framing: it stands still if it can, pans once if that does, and else follows smoothly.

use pipeline::event::{FramingMode, Keyframe};
use pipeline::media_time::{MediaRange, MediaTime};

use super::smooth::{self, Limits, Point};
use super::view::{Look, Reach, View};

/// A face may drift this far from its place in the crop before the camera moves, as a share of the crop.
const DEAD_ZONE: f64 = 0.12;

/// The camera holds a face when it is inside in this share of looks: a detector errs now and then.
const HELD: f64 = 0.97;

/// Below this share following has failed, and the picture is shown whole instead.
const LOST: f64 = 0.90;

/// The fastest pan, in crops a second; faster ones make the background smear.
const PAN_SPEED: f64 = 0.25;

/// The fastest move when following, in crops a frame: jumps begin at 0.04.
const FRAME_SPEED: f64 = 0.03;

/// The fastest move when following, in crops a second, whatever the frame rate.
const FOLLOW_SPEED: f64 = 1.0;

/// How quickly a following camera gains speed, in crops a second, a second.
const FOLLOW_ACCELERATION: f64 = 1.5;

/// Time between two points of a following path.
const STEP: MediaTime = MediaTime::from_us(100_000);

/// Between two looks at most this far apart a face is taken to move evenly.
const BRIDGE: MediaTime = MediaTime::from_us(1_000_000);

/// A straight part of a path is told by its ends if nothing between is further off than this, in pixels.
const STRAIGHT: f64 = 0.3;

/// How the camera moves in one framing.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// How it behaves.
    pub mode: FramingMode,
    /// Where the crop's corner is.
    pub keyframes: Vec<Keyframe>,
    /// Share of looks in which all of the face is inside.
    pub held: f64,
}

/// Finds the calmest path over `range` that holds what was seen. `looks` are in order and at least one.
/// Nothing means that no crop can hold it.
pub fn solve(view: &View, range: MediaRange, looks: &[Look], frame_rate: f64) -> Option<Path> {
    let reaches: Vec<(MediaTime, Reach)> = looks.iter().map(|l| (l.at, view.reach(l))).collect();
    let fitting = reaches.iter().filter(|(_, r)| r.least <= r.most).count();
    if (fitting as f64) < LOST * reaches.len() as f64 {
        return None;
    }
    let solver = Solver { view, range, reaches, frame_rate };
    solver.still().or_else(|| solver.pan()).or_else(|| solver.follow())
}

struct Solver<'a> {
    view: &'a View,
    range: MediaRange,
    reaches: Vec<(MediaTime, Reach)>,
    frame_rate: f64,
}

impl Solver<'_> {
    fn still(&self) -> Option<Path> {
        let mut wanted: Vec<f64> = self.reaches.iter().map(|(_, r)| r.wanted).collect();
        wanted.sort_by(f64::total_cmp);
        // Between the extremes, so that a face that sways is as far from either edge.
        let trimmed = wanted.len() / 40;
        let middle = (wanted[trimmed] + wanted[wanted.len() - 1 - trimmed]) / 2.0;
        let held = self.calm(|_| middle)?;
        Some(Path { mode: FramingMode::Still, keyframes: vec![self.keyframe(self.range.start, middle)], held })
    }

    fn pan(&self) -> Option<Path> {
        let seconds = self.range.length().as_seconds();
        let (offset, slope) = self.line();
        let place = |at: MediaTime| offset + slope * (at - self.range.start).as_seconds();
        let speed = slope.abs() / self.view.extent();
        // Where the line leaves the source the crop would stop before the end: that is no even pan.
        let inside = |at| (-1.0..=self.view.freedom() + 1.0).contains(&place(at));
        let slow = speed <= PAN_SPEED.min(self.frame_rate * FRAME_SPEED) && seconds >= 1.0;
        if !slow || !inside(self.range.start) || !inside(self.range.end) {
            return None;
        }
        let held = self.calm(place)?;
        let ends = [self.range.start, self.range.end].map(|at| self.keyframe(at, place(at)));
        Some(Path { mode: FramingMode::Pan, keyframes: ends.to_vec(), held })
    }

    fn follow(&self) -> Option<Path> {
        let extent = self.view.extent();
        let steps = (self.range.length().as_us() / STEP.as_us()).max(1) as usize;
        let at =
            |i: usize| self.range.start + MediaTime::from_us(self.range.length().as_us() * i as i64 / steps as i64);
        let step_s = self.range.length().as_seconds() / steps as f64;
        let points: Vec<Point> = (0..=steps).map(|i| self.point(at(i))).collect();
        let speed = FOLLOW_SPEED.min(self.frame_rate * FRAME_SPEED) * extent * step_s;
        let acceleration = FOLLOW_ACCELERATION * extent * step_s * step_s;
        let places = smooth::path(&points, Limits { speed, acceleration, most: self.view.freedom() }, extent);
        let place = |time: MediaTime| {
            let exact = (time - self.range.start).as_seconds() / step_s;
            let before = (exact.max(0.0) as usize).min(steps - 1);
            let share = (exact - before as f64).clamp(0.0, 1.0);
            places[before] + (places[before + 1] - places[before]) * share
        };
        let held = self.held(place);
        if held < LOST {
            return None;
        }
        let all: Vec<Keyframe> = places.iter().enumerate().map(|(i, p)| self.keyframe(at(i), *p)).collect();
        Some(Path { mode: FramingMode::Follow, keyframes: straightened(&all), held })
    }

    /// Returns what the camera should do at `at`: between looks that are near, what lies between them.
    fn point(&self, at: MediaTime) -> Point {
        let after = self.reaches.partition_point(|(time, _)| *time <= at);
        let before = after.checked_sub(1).map(|i| self.reaches[i]);
        let next = self.reaches.get(after).copied();
        let near = |reach: Reach, time: MediaTime| {
            let away = MediaTime::from_us((time - at).as_us().abs());
            (away <= BRIDGE).then_some(reach)
        };
        let (nearest, wanted) = match (before, next) {
            (Some((from, a)), Some((to, b))) => {
                let share = (at - from).as_seconds() / (to - from).as_seconds();
                let mix = |a: f64, b: f64| a + (b - a) * share;
                let between =
                    Reach { wanted: mix(a.wanted, b.wanted), least: mix(a.least, b.least), most: mix(a.most, b.most) };
                ((to - from <= BRIDGE).then_some(between), between.wanted)
            }
            (Some((time, reach)), None) | (None, Some((time, reach))) => (near(reach, time), reach.wanted),
            (None, None) => (None, self.view.freedom() / 2.0),
        };
        let room = DEAD_ZONE * self.view.extent();
        match nearest.filter(|r| r.least <= r.most) {
            Some(reach) => {
                Point { wanted, least: (wanted - room).max(reach.least), most: (wanted + room).min(reach.most) }
            }
            None => Point { wanted, least: 0.0, most: self.view.freedom() },
        }
    }

    /// Fits a straight line to where the crop should be: its place at the start, and pixels a second.
    fn line(&self) -> (f64, f64) {
        let count = self.reaches.len() as f64;
        let times = || self.reaches.iter().map(|(at, r)| ((*at - self.range.start).as_seconds(), r.wanted));
        let mean_time = times().map(|(t, _)| t).sum::<f64>() / count;
        let mean_place = times().map(|(_, p)| p).sum::<f64>() / count;
        let spread: f64 = times().map(|(t, _)| (t - mean_time).powi(2)).sum();
        let together: f64 = times().map(|(t, p)| (t - mean_time) * (p - mean_place)).sum();
        let slope = if spread > 1e-9 { together / spread } else { 0.0 };
        (mean_place - slope * mean_time, slope)
    }

    /// Returns the share of looks that are held, if the face is held and keeps within the dead zone.
    fn calm(&self, place: impl Fn(MediaTime) -> f64) -> Option<f64> {
        let near = |(at, r): &&(MediaTime, Reach)| (place(*at) - r.wanted).abs() <= DEAD_ZONE * self.view.extent();
        let near = self.reaches.iter().filter(near).count() as f64;
        let held = self.held(place);
        (held >= HELD && near >= HELD * self.reaches.len() as f64).then_some(held)
    }

    fn held(&self, place: impl Fn(MediaTime) -> f64) -> f64 {
        let held = self.reaches.iter().filter(|(at, r)| r.holds(place(*at).clamp(0.0, self.view.freedom()))).count();
        held as f64 / self.reaches.len() as f64
    }

    fn keyframe(&self, at: MediaTime, along: f64) -> Keyframe {
        let (x, y) = self.view.corner(along);
        Keyframe { at_us: at.as_us(), x, y }
    }
}

/// Drops the keyframes that lie on a straight line between those kept (Douglas and Peucker's way).
fn straightened(all: &[Keyframe]) -> Vec<Keyframe> {
    let mut keep = vec![false; all.len()];
    let mut spans = vec![(0, all.len() - 1)];
    while let Some((first, last)) = spans.pop() {
        (keep[first], keep[last]) = (true, true);
        let (a, b) = (&all[first], &all[last]);
        let off = |index: &usize| {
            let share = (all[*index].at_us - a.at_us) as f64 / (b.at_us - a.at_us) as f64;
            let (x, y) = (a.x + (b.x - a.x) * share, a.y + (b.y - a.y) * share);
            (all[*index].x - x).abs().max((all[*index].y - y).abs())
        };
        let furthest = (first + 1..last).max_by(|i, j| off(i).total_cmp(&off(j)));
        if let Some(index) = furthest.filter(|i| off(i) > STRAIGHT) {
            spans.extend([(first, index), (index, last)]);
        }
    }
    all.iter().zip(keep).filter(|(_, kept)| *kept).map(|(keyframe, _)| keyframe.clone()).collect()
}
