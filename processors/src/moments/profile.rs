//! The window in cells of a tenth of a second, summed up beforehand, so that any span is measured in constant time.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::event::Word;
use pipeline::media_time::{MediaRange, MediaTime};

use super::timeline::{LOUDNESS_STEP, Timeline};
use super::tracks::TrackBox;

/// A face counts for this long around the frame it was found in: half the time between two looks, and a little.
const FACE_REACH: MediaTime = MediaTime::from_us(120_000);

/// A mouth at rest still changes a little from look to look (noise, a turning head): what is taken from each.
const MOUTH_AT_REST: f32 = 0.02;

/// Somebody is the one clear speaker where this share of all mouths' movement, by area, is theirs.
const CLEAR_SHARE: f32 = 0.6;

/// A word is one of the video's main words when it is said this often at least.
const MAIN_WORD_TIMES: usize = 3;

/// How many main words a window has at the most.
const MAIN_WORDS: usize = 20;

/// Words that every talk is full of and that say nothing of its subject, beside those of under four letters.
const PLAIN_WORDS: &[&str] = &[
    "about",
    "after",
    "again",
    "also",
    "always",
    "another",
    "because",
    "been",
    "before",
    "being",
    "between",
    "came",
    "come",
    "could",
    "does",
    "doing",
    "done",
    "each",
    "even",
    "ever",
    "every",
    "everything",
    "from",
    "gets",
    "give",
    "goes",
    "going",
    "gonna",
    "good",
    "have",
    "having",
    "here",
    "into",
    "just",
    "kind",
    "know",
    "like",
    "little",
    "look",
    "made",
    "make",
    "makes",
    "many",
    "maybe",
    "mean",
    "more",
    "most",
    "much",
    "need",
    "never",
    "okay",
    "once",
    "only",
    "other",
    "over",
    "part",
    "people",
    "really",
    "right",
    "said",
    "same",
    "should",
    "some",
    "something",
    "still",
    "such",
    "sure",
    "take",
    "tell",
    "than",
    "that",
    "thats",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "thing",
    "things",
    "think",
    "this",
    "those",
    "through",
    "time",
    "today",
    "very",
    "want",
    "wanted",
    "well",
    "were",
    "what",
    "when",
    "where",
    "which",
    "while",
    "will",
    "with",
    "would",
    "yeah",
    "your",
];

/// Sums over cells, from the first cell to each.
#[derive(Debug, Default)]
struct Sums(Vec<f64>);

impl Sums {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let rest = values.map(|value| {
            sum += value;
            sum
        });
        Self(std::iter::once(0.0).chain(rest).collect())
    }

    fn between(&self, first: usize, after: usize) -> f64 {
        let last = self.0.len() - 1;
        self.0[after.min(last)] - self.0[first.min(last)]
    }
}

/// What is measured of the window, ready for any span of it.
#[derive(Debug)]
pub struct Profile {
    start: MediaTime,
    cells: usize,
    speech: Sums,
    loudness: Option<(Sums, Sums)>,
    looked: Sums,
    faced: Sums,
    clear: Sums,
    change: Sums,
    changes_at: Vec<MediaTime>,
    word_starts_us: Vec<i64>,
    main_words: Sums,
}

impl Profile {
    /// Measures `timeline`.
    pub fn new(timeline: &Timeline) -> Self {
        let start = timeline.range.start;
        let cells = (timeline.range.length().as_us().max(0) as usize).div_ceil(LOUDNESS_STEP.as_us() as usize);
        let grid = Grid { start, cells };
        let mut speech = vec![0.0; cells];
        for spoken in &timeline.speech {
            grid.each(*spoken, |cell| speech[cell] = 1.0);
        }
        let mut looked = vec![0.0; cells];
        for at in &timeline.looked {
            grid.each(around(*at), |cell| looked[cell] = 1.0);
        }
        let (faced, clear) = faces(&grid, timeline);
        let loud = &timeline.loudness_dbfs;
        let loudness = (!loud.is_empty()).then(|| {
            let db = || loud.iter().map(|v| f64::from(v.max(-70.0)));
            (Sums::of(db()), Sums::of(db().map(|v| v * v)))
        });
        let main = main_words(&timeline.words);
        let is_main = |word: &Word| if main.contains(&bare(&word.text)) { 1.0 } else { 0.0 };
        Self {
            start,
            cells,
            speech: Sums::of(speech.into_iter()),
            loudness,
            looked: Sums::of(looked.into_iter()),
            faced: Sums::of(faced.into_iter()),
            clear: Sums::of(clear.into_iter()),
            change: Sums::of(timeline.changes.iter().map(|c| f64::from(c.amount))),
            changes_at: timeline.changes.iter().map(|c| c.at).collect(),
            word_starts_us: timeline.words.iter().map(|w| w.start_us).collect(),
            main_words: Sums::of(timeline.words.iter().map(is_main)),
        }
    }

    /// Returns the share of `range` in which somebody speaks, 0 to 1.
    pub fn speech(&self, range: MediaRange) -> f64 {
        self.share(&self.speech, range)
    }

    /// Returns mean and standard deviation of the loudness, in dB; nothing when the window has no sound.
    pub fn loudness(&self, range: MediaRange) -> Option<(f64, f64)> {
        let (sums, squares) = self.loudness.as_ref()?;
        let (first, after) = self.span(range);
        let count = (after - first).max(1) as f64;
        let mean = sums.between(first, after) / count;
        let variance = squares.between(first, after) / count - mean * mean;
        Some((mean, variance.max(0.0).sqrt()))
    }

    /// Returns the share of looks that found a face, 0 to 1.
    pub fn faces(&self, range: MediaRange) -> f64 {
        self.looks(&self.faced, range)
    }

    /// Returns the share of looks in which one face is clearly the one that speaks, 0 to 1.
    pub fn clear_speaker(&self, range: MediaRange) -> f64 {
        self.looks(&self.clear, range)
    }

    /// Returns the mean change from frame to frame, 0 to 1.
    pub fn motion(&self, range: MediaRange) -> f64 {
        let first = self.changes_at.partition_point(|at| *at < range.start);
        let after = self.changes_at.partition_point(|at| *at < range.end);
        self.change.between(first, after) / (after - first).max(1) as f64
    }

    /// Returns how many words begin in `range`, and how many of them are among the video's main words.
    pub fn words(&self, range: MediaRange) -> (usize, f64) {
        let first = self.word_starts_us.partition_point(|at| *at < range.start.as_us());
        let after = self.word_starts_us.partition_point(|at| *at < range.end.as_us());
        (after - first, self.main_words.between(first, after))
    }

    /// Returns the whole span that was measured.
    pub fn whole(&self) -> MediaRange {
        MediaRange::new(self.start, self.start + MediaTime::from_us(self.cells as i64 * LOUDNESS_STEP.as_us()))
    }

    fn share(&self, sums: &Sums, range: MediaRange) -> f64 {
        let (first, after) = self.span(range);
        sums.between(first, after) / (after - first).max(1) as f64
    }

    fn looks(&self, sums: &Sums, range: MediaRange) -> f64 {
        let (first, after) = self.span(range);
        let looked = self.looked.between(first, after);
        if looked > 0.0 { (sums.between(first, after) / looked).min(1.0) } else { 0.0 }
    }

    fn span(&self, range: MediaRange) -> (usize, usize) {
        let grid = Grid { start: self.start, cells: self.cells };
        let first = grid.cell(range.start);
        (first, grid.cell(range.end).max(first))
    }
}

/// Cells of a tenth of a second.
struct Grid {
    start: MediaTime,
    cells: usize,
}

impl Grid {
    fn cell(&self, at: MediaTime) -> usize {
        let step = LOUDNESS_STEP.as_us();
        let index = ((at - self.start).as_us() + step / 2).div_euclid(step);
        usize::try_from(index).unwrap_or(0).min(self.cells)
    }

    fn each(&self, range: MediaRange, act: impl FnMut(usize)) {
        (self.cell(range.start)..self.cell(range.end)).for_each(act);
    }
}

fn around(at: MediaTime) -> MediaRange {
    MediaRange::new(at - FACE_REACH, at + FACE_REACH)
}

/// Returns how much a face has to say at this look: its area times how its mouth moves beyond rest.
pub fn activity(face: &TrackBox) -> f32 {
    face.width * face.height * (face.mouth_motion - MOUTH_AT_REST).max(0.002)
}

/// Returns for each cell whether there is a face, and whether one clearly speaks.
fn faces(grid: &Grid, timeline: &Timeline) -> (Vec<f64>, Vec<f64>) {
    let mut total = vec![0.0_f32; grid.cells];
    let mut most = vec![0.0_f32; grid.cells];
    for track in &timeline.tracks {
        // A track's neighbouring looks share cells: it counts once in each, with its most active look.
        let mut own: BTreeMap<usize, f32> = BTreeMap::new();
        for face in &track.boxes {
            grid.each(around(face.at), |cell| {
                let seen = own.entry(cell).or_default();
                *seen = seen.max(activity(face));
            });
        }
        for (cell, active) in own {
            total[cell] += active;
            most[cell] = most[cell].max(active);
        }
    }
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    let faced = total.iter().map(|t| flag(*t > 0.0)).collect();
    let clear = total.iter().zip(&most).map(|(t, m)| flag(*t > 0.0 && m / t >= CLEAR_SHARE)).collect();
    (faced, clear)
}

/// Returns a word as it is compared: lower case, letters and digits only.
pub fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Finds the words the video is about: those said most often that are not said in every talk.
fn main_words(words: &[Word]) -> BTreeSet<String> {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for word in words {
        let word = bare(&word.text);
        if word.chars().count() >= 4 && !PLAIN_WORDS.contains(&word.as_str()) {
            *times.entry(word).or_default() += 1;
        }
    }
    let mut often: Vec<(String, usize)> = times.into_iter().filter(|(_, n)| *n >= MAIN_WORD_TIMES).collect();
    often.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    often.into_iter().take(MAIN_WORDS).map(|(word, _)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::timeline::span;

    #[test]
    fn spans_are_measured_from_their_own_cells() {
        let mut timeline = Timeline::new(span(0, 10_000_000), Vec::new(), Vec::new(), Vec::new());
        timeline.speech = vec![span(2_000_000, 4_000_000)];
        timeline.loudness_dbfs = [vec![-30.0; 50], vec![-10.0; 50]].concat();
        let profile = Profile::new(&timeline);
        assert_eq!(profile.speech(span(2_000_000, 4_000_000)), 1.0);
        assert_eq!(profile.speech(span(0, 10_000_000)), 0.2);
        let (mean, deviation) = profile.loudness(span(0, 10_000_000)).expect("there is sound");
        assert!((mean + 20.0).abs() < 1e-9 && (deviation - 10.0).abs() < 1e-9);
        assert_eq!(profile.faces(span(0, 10_000_000)), 0.0);
    }

    #[test]
    fn main_words_are_said_often_and_mean_something() {
        let said = "the gravity of this planet because gravity bends and gravity pulls because because";
        let word = |text: &str| Word { text: text.into(), ..Default::default() };
        let words: Vec<Word> = said.split(' ').map(word).collect();
        assert_eq!(main_words(&words).into_iter().collect::<Vec<_>>(), ["gravity"]);
    }
}
