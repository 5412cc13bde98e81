//! A clip: why it was chosen, how it is cropped, what is said in it.

use pipeline::event::{Clip, MediaInfo};
use serde::Serialize;

use super::crop::Crop;
use crate::say;

/// Words in a line of what is said.
const LINE: usize = 12;
/// Reasons that are told at once.
const REASONS: usize = 4;

/// A clip.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ClipShown {
    /// Its id.
    pub id: String,
    /// Its place among the video's clips by time, from 1.
    pub number: usize,
    /// Where it begins in the source, in seconds.
    pub start_s: f64,
    /// Where it ends in the source, in seconds.
    pub end_s: f64,
    /// How good it is, 0 to 1.
    pub score: f64,
    /// Why it was chosen, most important first.
    pub reasons: Vec<Reason>,
    /// How it is cropped.
    pub crop: Crop,
    /// What is said, word by word.
    pub words: Vec<Word>,
    /// Whether it was made with less work.
    pub is_degraded: bool,
    /// Bytes of its video, once that is there.
    pub video_bytes: Option<u64>,
    /// Whether there are captions.
    pub has_captions: bool,
    /// Whether there is a still picture.
    pub has_poster: bool,
    /// Whether there is a picture of the whole source where it begins.
    pub has_frame: bool,
}

/// A reason for the choice.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Reason {
    /// What was looked at.
    pub name: String,
    /// What was measured, in the unit that the text names.
    pub value: f64,
    /// What it added to the score.
    pub contribution: f64,
    /// In words.
    pub text: String,
}

/// A spoken word.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Word {
    /// When it begins in the source, in seconds.
    pub start_s: f64,
    /// When it ends, likewise.
    pub end_s: f64,
    /// As it is written.
    pub text: String,
    /// How sure the transcriber is, 0 to 1.
    pub confidence: f32,
}

impl ClipShown {
    /// Shows a clip, the `number`th of its video; `media` is what was measured of that.
    pub fn of(number: usize, clip: &Clip, media: Option<&MediaInfo>) -> Self {
        let reason = |reason: &pipeline::event::Reason| Reason {
            name: reason.name.clone(),
            value: reason.value,
            contribution: reason.contribution,
            text: reason.text.clone(),
        };
        let word = |word: &pipeline::event::Word| Word {
            start_s: say::seconds(word.start_us),
            end_s: say::seconds(word.end_us),
            text: word.text.clone(),
            confidence: word.confidence,
        };
        Self {
            id: clip.id.clone(),
            number,
            start_s: say::seconds(clip.start_us),
            end_s: say::seconds(clip.end_us),
            score: clip.score,
            reasons: clip.reasons.iter().map(reason).collect(),
            crop: Crop::of(clip, media),
            words: clip.words.iter().map(word).collect(),
            is_degraded: clip.degraded,
            video_bytes: clip.video.as_ref().map(|blob| blob.bytes),
            has_captions: clip.captions.is_some(),
            has_poster: clip.poster.is_some(),
            has_frame: clip.frame.is_some(),
        }
    }

    /// Says where it lies in the source.
    pub fn place(&self) -> String {
        format!("{:.1} s to {:.1} s, {:.1} s long", self.start_s, self.end_s, self.end_s - self.start_s)
    }

    /// Says how good it is.
    pub fn score_told(&self) -> String {
        format!("{:.3}", self.score)
    }

    /// Says why it was chosen before others.
    pub fn because(&self) -> String {
        let first: Vec<&str> = self.reasons.iter().take(REASONS).map(|reason| reason.text.as_str()).collect();
        format!("Chosen because {}.", first.join("; "))
    }

    /// Says how large its video is.
    pub fn size(&self) -> String {
        self.video_bytes.map_or_else(String::new, say::bytes)
    }

    /// Returns what is said, in lines with the time of each.
    pub fn lines(&self) -> Vec<(String, String)> {
        let line = |words: &[Word]| {
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            (format!("{:.1} s", words.first().map_or(0.0, |word| word.start_s)), text.join(" "))
        };
        self.words.chunks(LINE).map(line).collect()
    }
}

impl Reason {
    /// Says what was measured.
    pub fn value_told(&self) -> String {
        format!("{:.3}", self.value)
    }

    /// Says what it added.
    pub fn contribution_told(&self) -> String {
        format!("{:+.3}", self.contribution)
    }
}
