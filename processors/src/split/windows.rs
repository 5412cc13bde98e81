//! Which window a piece belongs to, and when a window is complete.

use pipeline::event::VideoReady;

/// The length of a window of a video that asked for early clips, in microseconds.
const WINDOW_US: i64 = 600_000_000;

/// Counts the pieces of each window. Pieces of one kind come in order of their time.
pub(super) struct Windows {
    early: bool,
    duration_us: i64,
    count: u32,
    /// Windows before this one are closed.
    open: u32,
    audio: Kind,
    video: Kind,
}

/// The pieces of one kind.
#[derive(Default)]
struct Kind {
    pieces: u32,
    by_window: Vec<u32>,
    /// No piece of an earlier window will come; `None` when the kind is not there at all.
    at_window: Option<u32>,
    end_us: i64,
}

/// Where a piece belongs.
pub(super) struct Placed {
    /// Its place among its kind.
    pub index: u32,
    /// Its window.
    pub window: u32,
    /// How many of its kind are in that window now.
    pub in_window: u32,
    /// The windows that are complete by its coming.
    pub closed: Vec<Closed>,
}

/// A complete window.
#[derive(Debug, PartialEq)]
pub(super) struct Closed {
    /// Its place.
    pub index: u32,
    /// Pieces of sound.
    pub audio: u32,
    /// Pieces of picture.
    pub video: u32,
    /// Source time of its start, in microseconds.
    pub start_us: i64,
    /// Source time of its end, in microseconds.
    pub end_us: i64,
    /// None comes after it.
    pub last: bool,
}

impl Windows {
    /// Prepares for `ready`: one window, or, when early clips are asked for, one for each ten minutes. What is
    /// left at the end is a window of its own if it is half of one at least.
    pub(super) fn of(ready: &VideoReady) -> Self {
        Self::new(ready.job.options.early, ready.media.duration_us, ready.media.audio_stream.is_some())
    }

    fn new(early: bool, duration_us: i64, has_audio: bool) -> Self {
        let count = if early { ((duration_us + WINDOW_US / 2) / WINDOW_US).max(1) as u32 } else { 1 };
        let kind =
            |there: bool| Kind { by_window: vec![0; count as usize], at_window: there.then_some(0), ..Kind::default() };
        Self { early, duration_us, count, open: 0, audio: kind(has_audio), video: kind(true) }
    }

    /// Returns how many windows there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Places a piece of picture.
    pub(super) fn add_video(&mut self, start_us: i64, end_us: i64) -> Placed {
        let window = self.window_of(start_us);
        let placed = self.video.add(window, end_us);
        Placed { closed: self.close_passed(), ..placed }
    }

    /// Places a piece of sound.
    pub(super) fn add_audio(&mut self, start_us: i64, end_us: i64) -> Placed {
        let window = self.window_of(start_us);
        let placed = self.audio.add(window, end_us);
        Placed { closed: self.close_passed(), ..placed }
    }

    /// Stops waiting for pieces of sound: the stream that there is cannot be decoded.
    pub(super) fn expect_no_sound(&mut self) {
        self.audio.at_window = None;
    }

    /// Closes what is open, once the reading is at its end.
    pub(super) fn finish(&mut self) -> Vec<Closed> {
        self.close_until(self.count)
    }

    fn window_of(&self, start_us: i64) -> u32 {
        if self.early { ((start_us / WINDOW_US).max(0) as u32).min(self.count - 1) } else { 0 }
    }

    fn close_passed(&mut self) -> Vec<Closed> {
        let passed = [self.audio.at_window, self.video.at_window].into_iter().flatten().min();
        self.close_until(passed.unwrap_or(0))
    }

    fn close_until(&mut self, end: u32) -> Vec<Closed> {
        let closed = (self.open..end).map(|index| self.closed(index)).collect();
        self.open = self.open.max(end);
        closed
    }

    fn closed(&self, index: u32) -> Closed {
        let last = index + 1 == self.count;
        let end_us = if last { self.video.end_us.max(self.duration_us) } else { (i64::from(index) + 1) * WINDOW_US };
        Closed {
            index,
            audio: self.audio.by_window[index as usize],
            video: self.video.by_window[index as usize],
            start_us: i64::from(index) * WINDOW_US,
            end_us,
            last,
        }
    }
}

impl Kind {
    fn add(&mut self, window: u32, end_us: i64) -> Placed {
        let index = self.pieces;
        self.pieces += 1;
        // Never back into a window that may be closed: damaged timestamps can run backwards.
        let window = window.max(self.at_window.unwrap_or(0));
        self.at_window = Some(window);
        self.end_us = self.end_us.max(end_us);
        let count = &mut self.by_window[window as usize];
        *count += 1;
        Placed { index, window, in_window: *count, closed: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    #[test]
    fn without_early_all_is_one_window() {
        let mut windows = Windows::new(false, 50 * MINUTE, true);
        assert_eq!(windows.add_video(45 * MINUTE, 46 * MINUTE).window, 0);
        let closed = windows.finish();
        assert_eq!((closed.len(), closed[0].end_us, closed[0].last), (1, 50 * MINUTE, true));
    }

    #[test]
    fn a_window_closes_when_sound_and_picture_are_past_it() {
        let mut windows = Windows::new(true, 24 * MINUTE, true);
        assert_eq!(windows.count(), 2);
        assert!(windows.add_video(0, MINUTE).closed.is_empty());
        assert!(windows.add_audio(0, MINUTE).closed.is_empty());
        let placed = windows.add_video(10 * MINUTE, 11 * MINUTE);
        assert_eq!((placed.index, placed.window, placed.closed.len()), (1, 1, 0));
        let placed = windows.add_audio(10 * MINUTE, 11 * MINUTE);
        let expected = Closed { index: 0, audio: 1, video: 1, start_us: 0, end_us: 10 * MINUTE, last: false };
        assert_eq!(placed.closed, [expected]);
        assert_eq!(
            windows.finish().iter().map(|c| (c.index, c.end_us, c.last)).collect::<Vec<_>>(),
            [(1, 24 * MINUTE, true)]
        );
    }

    #[test]
    fn a_video_without_sound_does_not_wait_for_it() {
        let mut windows = Windows::new(true, 20 * MINUTE, false);
        windows.add_video(0, MINUTE);
        assert_eq!(windows.add_video(10 * MINUTE, 11 * MINUTE).closed.len(), 1);
        let mut windows = Windows::new(true, 20 * MINUTE, true);
        windows.expect_no_sound();
        windows.add_video(0, MINUTE);
        assert_eq!(windows.add_video(10 * MINUTE, 11 * MINUTE).closed.len(), 1);
    }

    #[test]
    fn counts_add_up_whatever_the_times() {
        for minutes in [1, 10, 14, 15, 31, 240] {
            let mut windows = Windows::new(true, minutes * MINUTE, true);
            let mut closed = Vec::new();
            for start in (0..minutes).map(|m| m * MINUTE) {
                closed.extend(windows.add_video(start, start + MINUTE).closed);
                closed.extend(windows.add_audio(start, start + MINUTE).closed);
            }
            closed.extend(windows.finish());
            assert_eq!(closed.iter().map(|c| c.video).sum::<u32>(), minutes as u32);
            assert_eq!(closed.iter().map(|c| c.index).collect::<Vec<_>>(), (0..windows.count()).collect::<Vec<_>>());
            assert_eq!(closed.iter().filter(|c| c.last).count(), 1);
        }
    }
}
