//! What a speech service answers: OpenAI's `verbose_json`.

use std::ops::Range;

use serde::Deserialize;

use crate::models::transcriber::{HeardWord, SAMPLE_RATE};

/// How far ahead in the text a word is looked for.
const LOOK_AHEAD: usize = 4;

/// The answer to one request.
#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    text: String,
    /// An answer without it is not what was asked for, and words without times cannot be used.
    words: Vec<Word>,
    #[serde(default)]
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Word {
    word: String,
    start: f64,
    end: f64,
    probability: Option<f32>,
}

#[derive(Deserialize)]
struct Segment {
    start: f64,
    end: f64,
    avg_logprob: Option<f32>,
}

impl Answer {
    /// Returns the words as heard in `span`, with the punctuation of the text, which the list of words lacks.
    pub(super) fn words(self, span: &Range<usize>) -> Vec<HeardWord> {
        let written: Vec<&str> = self.text.split_whitespace().collect();
        let mut next = 0;
        let mut heard = Vec::with_capacity(self.words.len());
        for word in &self.words {
            let ahead = written.iter().skip(next).take(LOOK_AHEAD);
            let found = ahead.enumerate().find(|(_, token)| letters(token) == letters(&word.word));
            let text = match found {
                Some((distance, token)) => {
                    next += distance + 1;
                    (*token).to_owned()
                }
                None => word.word.trim().to_owned(),
            };
            let at = |seconds: f64| (span.start + (seconds.max(0.0) * SAMPLE_RATE as f64) as usize).min(span.end);
            let samples = at(word.start)..at(word.end.max(word.start));
            heard.push(HeardWord { samples, text, confidence: self.confidence(word) });
        }
        heard
    }

    /// The word's own probability where the service gives one, else its segment's mean; OpenAI gives the latter.
    fn confidence(&self, word: &Word) -> f32 {
        let middle = (word.start + word.end) / 2.0;
        let segment = || self.segments.iter().find(|s| s.start <= middle && middle < s.end)?.avg_logprob;
        word.probability.or_else(|| segment().map(f32::exp)).unwrap_or(1.0).clamp(0.0, 1.0)
    }
}

fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_take_punctuation_from_the_text_and_confidence_from_the_segment() {
        let body = r#"{"text": "Well, hello there. Bye!", "segments": [{"start": 0, "end": 2, "avg_logprob": -0.5}],
            "words": [{"word": "well", "start": 0.1, "end": 0.3}, {"word": "there", "start": 0.5, "end": 9.0},
                      {"word": "bye", "start": 1.5, "end": 1.9, "probability": 0.25}]}"#;
        let words = serde_json::from_str::<Answer>(body).unwrap().words(&(16_000..48_000));
        let texts: Vec<_> = words.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(texts, ["Well,", "there.", "Bye!"]);
        assert_eq!((words[0].samples.clone(), words[1].samples.clone()), (17_600..20_800, 24_000..48_000));
        assert_eq!((words[0].confidence, words[2].confidence), ((-0.5f32).exp(), 0.25));
    }

    #[test]
    fn an_answer_without_times_is_refused() {
        assert!(serde_json::from_str::<Answer>(r#"{"text": "hello"}"#).is_err());
    }
}
