//! What is known of a window, ordered by time: the same whatever order it arrived in.

use pipeline::event::{SegmentAnalysis, SegmentTranscript, Word};
use pipeline::media_time::{MediaRange, MediaTime};

use super::shots::{Shot, shots};
use super::tracks::{Track, tracks};

/// A step of [`Timeline::loudness_dbfs`].
pub const LOUDNESS_STEP: MediaTime = MediaTime::from_us(100_000);

/// The loudness of what was not heard, in dB relative to full scale.
pub const SILENCE_DBFS: f32 = -100.0;

/// Pieces of picture closer than this are one piece; a frame at 4 frames a second is as long.
const SEAM: MediaTime = MediaTime::from_us(250_000);

/// How much the picture changed at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// When the frame is presented.
    pub at: MediaTime,
    /// Change against the frame before, 0 to 1.
    pub amount: f32,
}

/// All that was heard and seen in a window.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// The window.
    pub range: MediaRange,
    /// Where the picture was analysed: apart from each other, in order. Clips lie in one of them.
    pub covered: Vec<MediaRange>,
    /// The words in order, without overlap.
    pub words: Vec<Word>,
    /// Where nobody knows what was said: the sound was lost, or belongs to another window. No clip begins or ends there.
    pub unheard: Vec<MediaRange>,
    /// Where somebody speaks: apart from each other, in order.
    pub speech: Vec<MediaRange>,
    /// Root mean square of each [`LOUDNESS_STEP`] from the window's start; empty when nothing was heard.
    pub loudness_dbfs: Vec<f32>,
    /// The shots, which tile the window.
    pub shots: Vec<Shot>,
    /// The faces.
    pub tracks: Vec<Track>,
    /// When faces were looked for, in order.
    pub looked: Vec<MediaTime>,
    /// How the picture changes, in order.
    pub changes: Vec<Change>,
}

impl Timeline {
    /// Puts what was heard and seen between the ends of `range` in order. `lost_sound` is where sound was given up.
    pub fn new(
        range: MediaRange,
        mut transcripts: Vec<SegmentTranscript>,
        mut analyses: Vec<SegmentAnalysis>,
        lost_sound: Vec<MediaRange>,
    ) -> Self {
        transcripts.sort_by_key(|t| (t.start_us, t.end_us));
        analyses.sort_by_key(|a| (a.start_us, a.end_us));
        let shots = shots(&analyses, range);
        // Twelve hours have 150 MB of them, and only shots need them.
        for analysis in &mut analyses {
            (analysis.head, analysis.tail) = Default::default();
        }
        let tracks = tracks(&analyses, &shots);
        let words = in_order(transcripts.iter().flat_map(|t| t.words.iter().cloned()).collect());
        let heard = transcripts.iter().flat_map(|t| t.speech_us.as_chunks::<2>().0);
        let mut speech: Vec<MediaRange> = heard.map(|pair| span(pair[0], pair[1])).collect();
        // A transcriber without voice activity says nothing of speech; its words do.
        speech.extend(words.iter().map(|w| span(w.start_us, w.end_us)));
        let mut looked: Vec<MediaTime> =
            analyses.iter().flat_map(|a| a.looked_us.iter().map(|at| MediaTime::from_us(*at))).collect();
        looked.sort();
        looked.dedup();
        let changes = analyses.iter().flat_map(|a| &a.frames);
        Self {
            range,
            covered: merge(analyses.iter().map(|a| span(a.start_us, a.end_us)).collect(), SEAM, range),
            words,
            unheard: unheard(range, &transcripts, lost_sound),
            speech: merge(speech, MediaTime::ZERO, range),
            loudness_dbfs: loudness(range, &transcripts),
            shots,
            tracks,
            looked,
            changes: changes.map(|f| Change { at: MediaTime::from_us(f.at_us), amount: f.change }).collect(),
        }
    }

    /// Returns the words that lie wholly inside `range`.
    pub fn words_in(&self, range: MediaRange) -> &[Word] {
        let first = self.words.partition_point(|w| w.start_us < range.start.as_us());
        let after = self.words.partition_point(|w| w.end_us <= range.end.as_us());
        &self.words[first..after.max(first)]
    }

    /// Returns the parts of shots inside `range`, in order; they tile it.
    pub fn shots_in(&self, range: MediaRange) -> Vec<MediaRange> {
        let mut parts: Vec<MediaRange> =
            self.shots.iter().filter(|s| s.range.overlaps(range)).map(|s| within(s.range, range)).collect();
        // Shots tile the window; a clip that reaches over its edge belongs to the shots at the edge.
        match (parts.first_mut().map(|p| p.start = range.start), parts.last_mut()) {
            (Some(()), Some(last)) => last.end = range.end,
            _ => parts.push(range),
        }
        parts
    }

    /// Returns where shots change inside the window, in order.
    pub fn cuts(&self) -> impl Iterator<Item = MediaTime> {
        self.shots.iter().skip(1).map(|s| s.range.start)
    }
}

/// Makes a span from microseconds.
pub fn span(start_us: i64, end_us: i64) -> MediaRange {
    MediaRange::new(MediaTime::from_us(start_us), MediaTime::from_us(end_us))
}

/// Returns the part of `inner` that lies in `outer`.
pub fn within(inner: MediaRange, outer: MediaRange) -> MediaRange {
    MediaRange::new(inner.start.max(outer.start), inner.end.min(outer.end))
}

/// Joins spans that are at most `gap` apart, and keeps what lies in `range`.
fn merge(mut spans: Vec<MediaRange>, gap: MediaTime, range: MediaRange) -> Vec<MediaRange> {
    spans.sort_by_key(|s| (s.start, s.end));
    let mut merged: Vec<MediaRange> = Vec::new();
    for next in spans.into_iter().map(|s| within(s, range)).filter(|s| s.start < s.end) {
        match merged.last_mut() {
            Some(last) if next.start <= last.end + gap => last.end = last.end.max(next.end),
            _ => merged.push(next),
        }
    }
    merged
}

/// Finds where sound is missing between pieces of it, and before the first unless that is the video's start: where
/// sound ends before the picture does, silence follows.
fn unheard(range: MediaRange, transcripts: &[SegmentTranscript], mut lost: Vec<MediaRange>) -> Vec<MediaRange> {
    let mut heard_to = (range.start > MediaTime::ZERO).then_some(range.start);
    for piece in transcripts {
        let (start, end) = (MediaTime::from_us(piece.start_us), MediaTime::from_us(piece.end_us));
        lost.extend(heard_to.filter(|to| *to + SEAM < start).map(|to| MediaRange::new(to, start)));
        heard_to = Some(heard_to.map_or(end, |to| to.max(end)));
    }
    merge(lost, SEAM, range)
}

/// Orders words and takes overlaps away: where two pieces of sound meet, both may have heard a word.
fn in_order(mut words: Vec<Word>) -> Vec<Word> {
    words.sort_by(|a, b| (a.start_us, a.end_us, &a.text).cmp(&(b.start_us, b.end_us, &b.text)));
    let mut ordered: Vec<Word> = Vec::with_capacity(words.len());
    for mut word in words {
        if let Some(last) = ordered.last() {
            word.start_us = word.start_us.max(last.end_us);
        }
        if word.start_us < word.end_us {
            ordered.push(word);
        }
    }
    ordered
}

/// Puts the loudness of all pieces on one grid.
fn loudness(range: MediaRange, transcripts: &[SegmentTranscript]) -> Vec<f32> {
    let step = LOUDNESS_STEP.as_us();
    let cells = (range.length().as_us().max(0) as usize).div_ceil(step as usize);
    if transcripts.iter().all(|t| t.loudness.dbfs.is_empty()) {
        return Vec::new();
    }
    let mut grid = vec![SILENCE_DBFS; cells];
    for piece in transcripts.iter().filter(|t| t.loudness.step_us > 0) {
        let first = (piece.start_us - range.start.as_us()).max(0) / step;
        for (index, cell) in grid.iter_mut().enumerate().skip(first as usize) {
            let middle = range.start.as_us() + index as i64 * step + step / 2;
            let Ok(at) = usize::try_from((middle - piece.start_us).div_euclid(piece.loudness.step_us)) else {
                continue;
            };
            let Some(dbfs) = piece.loudness.dbfs.get(at) else { break };
            *cell = if dbfs.is_finite() { dbfs.clamp(SILENCE_DBFS, 0.0) } else { SILENCE_DBFS };
        }
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::event::Loudness;

    fn word(start_us: i64, end_us: i64, text: &str) -> Word {
        Word { start_us, end_us, text: text.into(), confidence: 1.0 }
    }

    #[test]
    fn order_of_arrival_changes_nothing() {
        let piece = |start_us: i64, text: &str| SegmentTranscript {
            start_us,
            end_us: start_us + 1_000_000,
            words: vec![word(start_us + 100_000, start_us + 500_000, text)],
            loudness: Loudness { step_us: 200_000, dbfs: vec![-20.0, -21.0, -22.0, -23.0, -24.0] },
            ..Default::default()
        };
        let range = span(0, 2_000_000);
        let forth = Timeline::new(range, vec![piece(0, "a"), piece(1_000_000, "b")], Vec::new(), Vec::new());
        let back = Timeline::new(range, vec![piece(1_000_000, "b"), piece(0, "a")], Vec::new(), Vec::new());
        assert_eq!(format!("{forth:?}"), format!("{back:?}"));
        assert_eq!(forth.loudness_dbfs[..4], [-20.0, -20.0, -21.0, -21.0]);
        assert_eq!(forth.loudness_dbfs.len(), 20);
    }

    #[test]
    fn overlapping_words_are_put_apart() {
        let words = in_order(vec![word(50, 90, "b"), word(0, 60, "a"), word(10, 40, "gone")]);
        let spans: Vec<_> = words.iter().map(|w| (w.start_us, w.end_us, w.text.as_str())).collect();
        assert_eq!(spans, [(0, 60, "a"), (60, 90, "b")]);
    }

    #[test]
    fn words_cut_by_an_edge_are_not_inside() {
        let mut timeline = Timeline::new(span(0, 100), Vec::new(), Vec::new(), Vec::new());
        timeline.words = vec![word(0, 10, "a"), word(20, 30, "b"), word(40, 50, "c")];
        let texts = |start, end| timeline.words_in(span(start, end)).iter().map(|w| w.text.clone()).collect::<String>();
        assert_eq!(texts(0, 50), "abc");
        assert_eq!(texts(1, 49), "b");
        assert_eq!(texts(12, 18), "");
    }
}
