//! How good a span is as a clip, and why.
//!
//! Each feature is measured in its own unit, mapped to 0 (worst) to 1 (best), and multiplied by its weight; the
//! weights add up to 1, and the sum is the score. So a score is absolute: a video without speech has no clip above
//! about a half. What decides between the clips of one video is the difference between them.

use pipeline::event::{Reason, Word};
use pipeline::media_time::{MediaRange, MediaTime};

use super::candidates::{Candidate, Lengths, Place};
use super::profile::{Profile, bare};
use super::timeline::Timeline;

/// What is looked at, what it weighs, and why it weighs that.
const WEIGHTS: [(Feature, f64); 12] = [
    // A clip of a talk is worth nothing without talk.
    (Feature::Speech, 0.20),
    // People scroll on after a bad first sentence, and after one that begins or ends in the middle.
    (Feature::Hook, 0.12),
    (Feature::Complete, 0.14),
    // A vertical clip is a picture of somebody; one clear speaker is what the camera can hold.
    (Feature::Faces, 0.14),
    (Feature::Speaker, 0.08),
    // What the video is about, as far as counting words tells.
    (Feature::Subject, 0.08),
    // Slow or breathless talk is hard to listen to.
    (Feature::Pace, 0.06),
    // Laughter, applause and emphasis are loud, and change loudness.
    (Feature::Loudness, 0.05),
    (Feature::Variation, 0.05),
    // Not too short to make a point, not at the limit either.
    (Feature::Length, 0.04),
    // All that is left to tell stretches without sound and faces apart.
    (Feature::Motion, 0.02),
    (Feature::Shots, 0.02),
];

/// A candidate that opens with one of these leans on what was said before.
const LEANING_WORDS: &[&str] =
    &["and", "but", "so", "because", "which", "or", "then", "it", "they", "he", "she", "that", "also", "him", "her"];

/// A sentence that opens with one of these asks, even where the transcriber writes no question marks.
const QUESTION_WORDS: &[&str] =
    &["what", "why", "how", "who", "when", "where", "which", "do", "does", "did", "is", "are", "can", "could", "would"];

/// Words that are numbers.
const NUMBER_WORDS: &[&str] = &[
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twenty", "thirty", "forty", "fifty",
    "sixty", "hundred", "thousand", "million", "billion", "percent", "half", "twice", "first",
];

/// Words that speak to the listener.
const ADDRESS_WORDS: &[&str] = &["you", "your", "youre", "imagine", "listen", "remember", "lets", "never", "secret"];

/// How much of a clip counts as its opening, in words.
const OPENING_WORDS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Speech,
    Hook,
    Complete,
    Faces,
    Speaker,
    Subject,
    Pace,
    Loudness,
    Variation,
    Length,
    Motion,
    Shots,
}

impl Feature {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Hook => "hook",
            Self::Complete => "complete",
            Self::Faces => "faces",
            Self::Speaker => "speaker",
            Self::Subject => "subject",
            Self::Pace => "pace",
            Self::Loudness => "loudness",
            Self::Variation => "variation",
            Self::Length => "length",
            Self::Motion => "motion",
            Self::Shots => "shots",
        }
    }
}

/// A feature as measured: its value in its unit, and how good that is, 0 to 1.
struct Measured {
    value: f64,
    worth: f64,
}

/// What the whole window is like, to compare with.
struct Usual {
    loudness_db: f64,
    variation_db: f64,
    motion: f64,
    main_words_a_minute: f64,
}

/// Scores candidates of one window.
pub struct Scorer<'a> {
    timeline: &'a Timeline,
    profile: &'a Profile,
    lengths: Lengths,
    usual: Usual,
    cuts: Vec<MediaTime>,
}

impl<'a> Scorer<'a> {
    /// Prepares to score candidates of `timeline`, of which `profile` was made.
    pub fn new(timeline: &'a Timeline, profile: &'a Profile, lengths: Lengths) -> Self {
        let whole = profile.whole();
        let (loudness_db, variation_db) = profile.loudness(whole).unwrap_or_default();
        let minutes = whole.length().as_seconds().max(1.0) / 60.0;
        let main_words_a_minute = profile.words(whole).1 / minutes;
        let usual = Usual { loudness_db, variation_db, motion: profile.motion(whole), main_words_a_minute };
        Self { timeline, profile, lengths, usual, cuts: timeline.cuts().collect() }
    }

    /// Returns how good `candidate` is, 0 to 1.
    pub fn score(&self, candidate: &Candidate) -> f64 {
        let worth = |(feature, weight): &(Feature, f64)| weight * self.measure(*feature, candidate).worth;
        rounded(WEIGHTS.iter().map(worth).sum())
    }

    /// Returns what made `candidate`'s score, what added most first.
    pub fn reasons(&self, candidate: &Candidate) -> Vec<Reason> {
        let reason = |(feature, weight): &(Feature, f64)| {
            let measured = self.measure(*feature, candidate);
            Reason {
                name: feature.as_str().to_owned(),
                value: rounded(measured.value),
                contribution: rounded(weight * measured.worth),
                text: self.explain(*feature, candidate, measured.value),
            }
        };
        let mut reasons: Vec<Reason> = WEIGHTS.iter().map(reason).filter(|r| r.contribution > 0.0).collect();
        reasons.sort_by(|a, b| b.contribution.total_cmp(&a.contribution).then_with(|| a.name.cmp(&b.name)));
        reasons
    }

    fn measure(&self, feature: Feature, candidate: &Candidate) -> Measured {
        let range = candidate.range;
        let seconds = range.length().as_seconds();
        let same = |value: f64| Measured { value, worth: value.clamp(0.0, 1.0) };
        match feature {
            Feature::Speech => same(self.profile.speech(range)),
            Feature::Hook => same(hook(self.opening(range), range.start == self.timeline.range.start)),
            Feature::Complete => same((cleanness(candidate.opens) + cleanness(candidate.closes)) / 2.0),
            Feature::Faces => same(self.profile.faces(range)),
            Feature::Speaker => same(self.profile.clear_speaker(range)),
            Feature::Subject => {
                let value = self.profile.words(range).1 / seconds * 60.0;
                Measured { value, worth: (value / (2.0 * self.usual.main_words_a_minute.max(1.0))).min(1.0) }
            }
            Feature::Pace => {
                let value = self.profile.words(range).0 as f64 / seconds;
                Measured { value, worth: plateau(value, [0.5, 1.8, 3.4, 5.5]) }
            }
            Feature::Loudness => match self.profile.loudness(range) {
                // Six decibels over the usual is as loud as need be.
                Some((mean, _)) => {
                    let value = mean - self.usual.loudness_db;
                    Measured { value, worth: ((value + 6.0) / 12.0).clamp(0.0, 1.0) }
                }
                None => same(0.0),
            },
            Feature::Variation => match self.profile.loudness(range) {
                Some((_, value)) => {
                    Measured { value, worth: (value / (2.0 * self.usual.variation_db.max(1.0))).min(1.0) }
                }
                None => same(0.0),
            },
            Feature::Length => {
                let (min, max) = (self.lengths.min.as_seconds(), self.lengths.max.as_seconds());
                let part = |share: f64| min + (max - min) * share;
                Measured { value: seconds, worth: plateau(seconds, [min * 0.5, part(0.25), part(0.75), max * 1.25]) }
            }
            Feature::Motion => {
                let value = self.profile.motion(range);
                Measured { value, worth: (value / (2.0 * self.usual.motion.max(1e-6))).min(1.0) }
            }
            Feature::Shots => {
                let value = self.cuts_in(range) as f64 / seconds * 60.0;
                Measured { value, worth: plateau(value, [0.0, 3.0, 15.0, 60.0]) }
            }
        }
    }

    fn explain(&self, feature: Feature, candidate: &Candidate, value: f64) -> String {
        let percent = value * 100.0;
        match feature {
            Feature::Speech => format!("somebody speaks in {percent:.0} % of it"),
            Feature::Hook => format!("opens with \u{201c}{}\u{201d}", text_of(self.opening(candidate.range))),
            Feature::Complete => {
                format!("begins {} and ends {}", named(candidate.opens), named(candidate.closes))
            }
            Feature::Faces => format!("a face is seen in {percent:.0} % of it"),
            Feature::Speaker => format!("it is clear who speaks in {percent:.0} % of it"),
            Feature::Subject => {
                let usual = self.usual.main_words_a_minute;
                format!("says the video's main words {value:.1} times a minute, the whole video {usual:.1} times")
            }
            Feature::Pace => format!("{value:.1} words a second"),
            Feature::Loudness => format!("{value:+.1} dB against the video's mean loudness"),
            Feature::Variation => format!("loudness varies by {value:.1} dB"),
            Feature::Length => format!("{value:.1} s long"),
            Feature::Motion => format!("{percent:.1} % of the picture changes from frame to frame"),
            Feature::Shots => format!("{value:.1} cuts a minute"),
        }
    }

    fn opening(&self, range: MediaRange) -> &[Word] {
        let words = &self.timeline.words;
        let first = words.partition_point(|w| w.start_us < range.start.as_us());
        let after = words.partition_point(|w| w.end_us <= range.end.as_us());
        &words[first..after.clamp(first, first + OPENING_WORDS)]
    }

    fn cuts_in(&self, range: MediaRange) -> usize {
        let after = self.cuts.partition_point(|c| *c < range.end);
        after - self.cuts.partition_point(|c| *c <= range.start).min(after)
    }
}

/// Rises from the first to the second bound, is 1 up to the third, and falls to the fourth.
fn plateau(value: f64, [zero, full, full_to, zero_from]: [f64; 4]) -> f64 {
    let rise = (value - zero) / (full - zero);
    let fall = (zero_from - value) / (zero_from - full_to);
    rise.min(fall).clamp(0.0, 1.0)
}

/// Says how much the first words make one listen, 0 to 1.
fn hook(opening: &[Word], is_first: bool) -> f64 {
    let words: Vec<String> = opening.iter().map(|w| bare(&w.text)).collect();
    let Some(first) = words.first().map(String::as_str) else { return 0.0 };
    let asks = opening.iter().any(|w| w.text.contains('?')) || QUESTION_WORDS.contains(&first);
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    let counts = has(NUMBER_WORDS) || words.iter().any(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let strongest = match () {
        () if asks => 1.0,
        () if counts => 0.8,
        () if has(ADDRESS_WORDS) => 0.7,
        () if is_first => 0.6,
        () => 0.4,
    };
    if LEANING_WORDS.contains(&first) { strongest * 0.5 } else { strongest }
}

/// Says how cleanly a clip is cut off at `place`, 0 to 1.
fn cleanness(place: Place) -> f64 {
    match place {
        Place::Stop => 1.0,
        Place::Pause => 0.85,
        Place::Video => 0.8,
        Place::Cut => 0.7,
        Place::Quiet => 0.4,
        Place::Words => 0.1,
    }
}

fn named(place: Place) -> &'static str {
    match place {
        Place::Stop => "with a whole sentence",
        Place::Pause => "at a pause between sentences",
        Place::Video => "with the video",
        Place::Cut => "at a cut",
        Place::Quiet => "at a quiet moment",
        Place::Words => "between two words",
    }
}

fn text_of(words: &[Word]) -> String {
    words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Rounds to what is worth telling, which also keeps a plan the same where sums differ in their last bits.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::timeline::span;

    #[test]
    fn weights_add_up_to_one() {
        let sum: f64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }

    #[track_caller]
    fn hook_of(text: &str, expected: f64) {
        let words: Vec<Word> = text.split(' ').map(|t| Word { text: t.to_owned(), ..Default::default() }).collect();
        assert_eq!(hook(&words, false), expected, "{text}");
    }

    #[test]
    fn questions_numbers_and_address_hook() {
        hook_of("why do cats purr", 1.0);
        hook_of("Cats purr, right?", 1.0);
        hook_of("there are 3 ways", 0.8);
        hook_of("nobody told you this", 0.7);
        hook_of("cats purr", 0.4);
        hook_of("and cats purr", 0.2);
    }

    #[test]
    fn contributions_add_up_to_the_score() {
        let mut timeline = Timeline::new(span(0, 60_000_000), Vec::new(), Vec::new(), Vec::new());
        timeline.speech = vec![span(0, 30_000_000)];
        timeline.loudness_dbfs = (0..600).map(|i| -30.0 + (i % 7) as f32).collect();
        let profile = Profile::new(&timeline);
        let lengths = Lengths { min: MediaTime::from_seconds(10.0), max: MediaTime::from_seconds(30.0) };
        let scorer = Scorer::new(&timeline, &profile, lengths);
        let candidate = Candidate { range: span(20_000_000, 40_000_000), opens: Place::Pause, closes: Place::Cut };
        let reasons = scorer.reasons(&candidate);
        let sum: f64 = reasons.iter().map(|r| r.contribution).sum();
        assert!((sum - scorer.score(&candidate)).abs() < 1e-5);
        assert!(reasons.is_sorted_by(|a, b| a.contribution >= b.contribution));
        assert_eq!(reasons.iter().find(|r| r.name == "speech").map(|r| r.value), Some(0.5));
        assert!((0.0..=1.0).contains(&sum));
    }
}
