//! Words to sentences: at punctuation where the transcriber gives any, else at pauses.

use pipeline::event::Word;

/// A pause that ends a sentence where the transcriber gives no punctuation, in microseconds. Readers pause
/// 0.3-0.5 s between sentences and less than 0.2 s between words.
const PAUSE_US: i64 = 300_000;

/// A pause that ends a sentence although there is punctuation elsewhere, in microseconds.
const LONG_PAUSE_US: i64 = 700_000;

/// A sentence longer than this is divided at its longest pause, so that clips find somewhere to begin and end.
const LONGEST_US: i64 = 12_000_000;

/// Punctuation is trusted when there is a full stop for this many words at least.
const WORDS_A_STOP: usize = 40;

/// How a sentence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// At a full stop, question mark or exclamation mark, or with the last word.
    Stop,
    /// At a pause.
    Pause,
    /// Where it was divided because it is too long.
    Divided,
}

/// Some words that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// Index of its first word.
    pub first: usize,
    /// Index after its last word.
    pub after: usize,
    /// How it ends.
    pub ending: Ending,
}

impl Sentence {
    /// Returns its words.
    pub fn words<'a>(&self, words: &'a [Word]) -> &'a [Word] {
        &words[self.first..self.after]
    }
}

/// Divides `words`, which are in order, into sentences; every word is in exactly one.
pub fn sentences(words: &[Word]) -> Vec<Sentence> {
    let stops = words.iter().filter(|w| ends_sentence(&w.text)).count();
    let pause_us = if stops * WORDS_A_STOP >= words.len() { LONG_PAUSE_US } else { PAUSE_US };
    let mut found = Vec::new();
    let mut first = 0;
    for (index, word) in words.iter().enumerate() {
        let ending = match words.get(index + 1) {
            None => Ending::Stop,
            Some(_) if ends_sentence(&word.text) => Ending::Stop,
            Some(next) if next.start_us - word.end_us >= pause_us => Ending::Pause,
            Some(_) => continue,
        };
        divide(words, Sentence { first, after: index + 1, ending }, &mut found);
        first = index + 1;
    }
    found
}

/// Says whether `text` ends with what ends a sentence, quotes and brackets aside.
fn ends_sentence(text: &str) -> bool {
    let bare = text.trim_end_matches(['"', '\'', ')', ']', '\u{201d}', '\u{2019}', '\u{bb}']);
    bare.ends_with(['.', '?', '!', '\u{2026}', '\u{3002}', '\u{ff1f}', '\u{ff01}'])
}

/// Divides a sentence that is too long at its longest inner pause, and again; the middle breaks ties.
fn divide(words: &[Word], sentence: Sentence, found: &mut Vec<Sentence>) {
    let mut rest = vec![sentence];
    while let Some(part) = rest.pop() {
        let inside = part.words(words);
        let length_us = inside[inside.len() - 1].end_us - inside[0].start_us;
        if length_us <= LONGEST_US || inside.len() < 2 {
            found.push(part);
            continue;
        }
        let middle = inside.len() / 2;
        let pause_before = |index: usize| inside[index].start_us - inside[index - 1].end_us;
        let split = (1..inside.len())
            .max_by_key(|index| (pause_before(*index), std::cmp::Reverse(index.abs_diff(middle))))
            .unwrap_or(middle);
        let at = part.first + split;
        // The later part is pushed first, so the earlier one is looked at (and found) first.
        rest.push(Sentence { first: at, ..part });
        rest.push(Sentence { first: part.first, after: at, ending: Ending::Divided });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spoken(parts: &[(&str, i64)]) -> Vec<Word> {
        let mut at = 0;
        let word = |(text, pause_ms): &(&str, i64)| {
            let start_us = at + pause_ms * 1000;
            at = start_us + 250_000;
            Word { start_us, end_us: at, text: (*text).to_owned(), confidence: 0.9 }
        };
        parts.iter().map(word).collect()
    }

    fn texts(words: &[Word]) -> Vec<String> {
        let text = |s: Sentence| s.words(words).iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
        sentences(words).into_iter().map(text).collect()
    }

    #[test]
    fn pauses_end_sentences_when_there_is_no_punctuation() {
        let words = spoken(&[("hello", 0), ("there", 50), ("next", 400), ("one", 100)]);
        assert_eq!(texts(&words), ["hello there", "next one"]);
        assert_eq!(sentences(&words)[0].ending, Ending::Pause);
    }

    #[test]
    fn punctuation_wins_over_short_pauses() {
        let words = spoken(&[("Hello,", 0), ("there.", 400), ("\"Why?\"", 50), ("So", 50), ("it", 800), ("is.", 10)]);
        assert_eq!(texts(&words), ["Hello, there.", "\"Why?\"", "So", "it is."]);
    }

    #[test]
    fn long_sentences_are_divided_at_their_longest_pause() {
        let mut parts = vec![("a", 20); 60];
        parts[25].1 = 200;
        let words = spoken(&parts);
        let found = sentences(&words);
        assert_eq!((found[0].after, found[0].ending), (25, Ending::Divided));
        assert_eq!(found.last().map(|s| s.ending), Some(Ending::Stop));
    }

    proptest! {
        #[test]
        fn every_word_is_in_one_sentence(
            parts in proptest::collection::vec((prop::sample::select(vec!["a", "b.", "c?", "d"]), 0i64..1500), 0..300)
        ) {
            let words = spoken(&parts);
            let mut next = 0;
            for sentence in sentences(&words) {
                prop_assert_eq!(sentence.first, next);
                prop_assert!(sentence.after > sentence.first);
                next = sentence.after;
            }
            prop_assert_eq!(next, words.len());
        }
    }
}
