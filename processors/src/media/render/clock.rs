//! Lays frames that come at any time on an even grid of slots, the way a constant frame rate wants them.

use std::rc::Rc;

use ffmpeg::{Rational, frame};
use ffmpeg_next as ffmpeg;

use super::ROUNDING_US;

/// Frame rates that players and platforms know. Nothing above 60: it doubles the cost and shows on few screens.
const USUAL: [(i32, i32); 12] = [
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
];
const FASTEST: [(i32, i32); 2] = [(60_000, 1001), (60, 1)];

/// One output frame.
pub struct Slot {
    /// Its place, from 0.
    pub index: i64,
    /// Source time of the slot, in microseconds.
    pub at_us: i64,
    /// Source time of the frame shown in it, in microseconds.
    pub frame_us: i64,
    /// The frame shown in it.
    pub frame: Rc<frame::Video>,
}

/// Fills slots from frames: every slot gets the frame nearest to it.
pub struct Clock {
    rate: Rational,
    start_us: i64,
    end_us: i64,
    first_us: Option<i64>,
    held: Option<Slot>,
    /// The last frame before the start: at a low or variable rate it is still shown when the clip begins.
    before: Option<frame::Video>,
    complete: bool,
}

impl Clock {
    /// Makes the clock of a clip from `start_us` to `end_us` of a source with `measured` frames a second, which says of
    /// itself that it has `declared`.
    pub fn new(measured: f64, declared: f64, start_us: i64, end_us: i64) -> Self {
        Self {
            rate: usual_rate(measured, declared),
            start_us,
            end_us,
            first_us: None,
            held: None,
            before: None,
            complete: false,
        }
    }

    /// Returns output frames a second.
    pub fn rate(&self) -> Rational {
        self.rate
    }

    /// Returns about how many frames the clip will have.
    pub fn expected(&self) -> i64 {
        slot_at(self.end_us - self.start_us, self.rate)
    }

    /// Returns the source time of the first frame, in microseconds; the start before it came.
    pub fn first_us(&self) -> i64 {
        self.first_us.unwrap_or(self.start_us)
    }

    /// Says whether a frame past the end was seen.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes the frame presented at `at_us`; returns the slots that are decided by it.
    pub fn take(&mut self, frame: frame::Video, at_us: i64) -> Vec<Slot> {
        if self.complete {
            return Vec::new();
        }
        if at_us < self.start_us - ROUNDING_US {
            self.before = Some(frame);
            return Vec::new();
        }
        // Closer than a slot it is the clip's own first frame, to which the clip is exact.
        if at_us - self.start_us >= slot_us(1, self.rate) {
            self.begin_with_the_one_before();
        }
        if at_us >= self.end_us - ROUNDING_US && self.first_us.is_some() {
            self.complete = true;
            return self.finish_at(self.end_us);
        }
        let first_us = *self.first_us.get_or_insert(at_us);
        let index = slot_at(at_us - first_us, self.rate);
        // Of two frames in one slot the first stays: so the clip begins with its first frame. The last may round up to
        // a slot past the end.
        let past = index > 0 && slot_us(index, self.rate) >= self.end_us - ROUNDING_US - first_us;
        if past || self.held.as_ref().is_some_and(|held| index <= held.index) {
            return Vec::new();
        }
        let decided = self.fill(index);
        self.held = Some(Slot { index, at_us, frame_us: at_us, frame: Rc::new(frame) });
        decided
    }

    /// Ends the clip where the source ends, at `source_end_us`: returns the slots that are left.
    pub fn finish(&mut self, source_end_us: i64) -> Vec<Slot> {
        self.begin_with_the_one_before();
        self.finish_at(source_end_us.min(self.end_us))
    }

    /// Shows the frame from before the start in the first slot, unless the clip has begun.
    fn begin_with_the_one_before(&mut self) {
        if self.first_us.is_some() {
            return;
        }
        if let Some(frame) = self.before.take() {
            self.first_us = Some(self.start_us);
            let (at_us, frame_us) = (self.start_us, self.start_us);
            self.held = Some(Slot { index: 0, at_us, frame_us, frame: Rc::new(frame) });
        }
    }

    fn finish_at(&mut self, end_us: i64) -> Vec<Slot> {
        let Some(held) = &self.held else { return Vec::new() };
        let end = slot_at(end_us - self.first_us(), self.rate).max(held.index + 1);
        let decided = self.fill(end);
        self.held = None;
        decided
    }

    /// Shows the held frame until the slot `until`.
    fn fill(&self, until: i64) -> Vec<Slot> {
        let Some(held) = &self.held else { return Vec::new() };
        let show = |index| Slot {
            index,
            at_us: self.first_us() + slot_us(index, self.rate),
            frame_us: held.frame_us,
            frame: Rc::clone(&held.frame),
        };
        (held.index..until).map(show).collect()
    }
}

/// Returns the usual rate nearest to `measured`, within 2 %, else the next above it. Of several within 2 % (24 and its
/// 1000/1001st are) it is the one `declared`: a few frames lost or late must not make a wrong rate of a right one.
fn usual_rate(measured: f64, declared: f64) -> Rational {
    let rates = USUAL.iter().chain(&FASTEST).map(|&(n, d)| (Rational(n, d), f64::from(n) / f64::from(d)));
    let near: Vec<(Rational, f64)> = rates.clone().filter(|(_, r)| (r - measured).abs() <= r * 0.02).collect();
    let nearest_to = |to: f64| near.iter().min_by(|a, b| (a.1 - to).abs().total_cmp(&(b.1 - to).abs()));
    let said = near.iter().find(|(_, rate)| (rate - declared).abs() < rate * 0.0002);
    if let Some((rate, _)) = said.or_else(|| nearest_to(measured)) {
        return *rate;
    }
    rates.clone().find(|(_, rate)| *rate > measured).map_or(Rational(60, 1), |(rate, _)| rate)
}

/// Returns the slot nearest to `us` microseconds after the first frame.
fn slot_at(us: i64, rate: Rational) -> i64 {
    let scale = 1_000_000 * i128::from(rate.denominator());
    let ticks = i128::from(us) * i128::from(rate.numerator());
    (ticks + scale / 2).div_euclid(scale) as i64
}

/// Returns when the slot `index` begins, in microseconds after the first frame.
pub fn slot_us(index: i64, rate: Rational) -> i64 {
    let (n, d) = (i128::from(rate.numerator()), i128::from(rate.denominator()));
    ((i128::from(index) * 1_000_000 * d + n / 2) / n) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rate: f64, span: (i64, i64), frames_us: &[i64]) -> Vec<i64> {
        let mut clock = Clock::new(rate, rate, span.0, span.1);
        let mut slots = Vec::new();
        for &at in frames_us {
            slots.extend(clock.take(frame::Video::empty(), at));
        }
        slots.extend(clock.finish(frames_us.last().copied().unwrap_or(0)));
        assert!(slots.iter().enumerate().all(|(i, s)| s.index == i as i64));
        slots.iter().map(|s| s.frame_us).collect()
    }

    #[track_caller]
    fn check_rate(measured: f64, expected: (i32, i32)) {
        assert_eq!(usual_rate(measured, 0.0), Rational(expected.0, expected.1), "{measured}");
    }

    #[test]
    fn rates_are_snapped_to_usual_ones() {
        check_rate(29.97, (30_000, 1001));
        check_rate(30.001, (30, 1));
        check_rate(23.98, (24_000, 1001));
        check_rate(24.9, (25, 1));
        check_rate(27.0, (30_000, 1001));
        check_rate(59.94, (60_000, 1001));
        check_rate(120.0, (60, 1));
        check_rate(1.0, (10, 1));
        check_rate(f64::NAN, (60, 1));
        assert_eq!(usual_rate(29.8, 30.0), Rational(30, 1), "some frames were lost");
        assert_eq!(usual_rate(14.0, 30.0), Rational(15, 1), "half of them were");
    }

    #[test]
    fn even_frames_are_shown_once_each_from_the_start_to_before_the_end() {
        let frames: Vec<i64> = (0..100).map(|i| slot_us(i, Rational(25, 1))).collect();
        assert_eq!(shown(25.0, (400_000, 1_200_000), &frames), frames[10..30]);
        assert_eq!(shown(25.0, (390_000, 1_210_000), &frames), frames[10..31]);
        let rounded: Vec<i64> = (0..100).map(|i| i * 1_001_000 / 30 / 1000 * 1000).collect();
        assert_eq!(shown(29.97, (rounded[20], rounded[80]), &rounded), rounded[20..80]);
    }

    #[test]
    fn a_frame_shown_since_before_the_start_begins_the_clip_and_the_last_one_is_shown_to_its_end() {
        let mut clock = Clock::new(10.0, 10.0, 2_000_000, 4_000_000);
        let mut slots = clock.take(frame::Video::empty(), 0);
        slots.extend(clock.take(frame::Video::empty(), 3_000_000));
        assert_eq!(clock.first_us(), 2_000_000);
        slots.extend(clock.finish(3_500_000));
        let shown: Vec<i64> = slots.iter().map(|slot| slot.frame_us).collect();
        assert_eq!(shown, [[2_000_000; 10].as_slice(), &[3_000_000; 5]].concat());
    }

    #[test]
    fn late_frames_are_held_and_crowded_ones_dropped() {
        let slots = shown(10.0, (0, 1_000_000), &[0, 100_000, 110_000, 120_000, 600_000, 900_000, 1_100_000]);
        assert_eq!(slots, [0, 100_000, 100_000, 100_000, 100_000, 100_000, 600_000, 600_000, 600_000, 900_000]);
    }
}
