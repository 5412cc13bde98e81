//! From words as a transcriber heard them to words on the source's timeline.

use pipeline::event::Word;

use crate::models::transcriber::{HeardWord, SAMPLE_RATE};

/// The shortest a word may be; transcribers give some words no length at all.
const SHORTEST_US: i64 = 10_000;

/// Puts `heard` on the timeline of a piece of sound from `start_us` to `end_us`: in order, without overlap, inside.
pub(super) fn place(mut heard: Vec<HeardWord>, start_us: i64, end_us: i64) -> Vec<Word> {
    heard.retain(|word| !word.text.trim().is_empty());
    heard.sort_by_key(|word| (word.samples.start, word.samples.end));
    heard.truncate(((end_us - start_us).max(0) / SHORTEST_US) as usize);
    let at = |sample: usize| start_us + sample_us(sample);
    let mut words: Vec<Word> = heard
        .into_iter()
        .map(|word| Word {
            start_us: at(word.samples.start),
            end_us: at(word.samples.end),
            text: word.text.trim().to_owned(),
            confidence: word.confidence.clamp(0.0, 1.0),
        })
        .collect();
    part(&mut words, start_us, end_us);
    words
}

/// Returns the time of a sample since the piece's start, in microseconds.
pub(super) fn sample_us(sample: usize) -> i64 {
    (sample as i64 * 1_000_000) / SAMPLE_RATE as i64
}

/// Ends words before the next begins; pushes those without room later, then those past the end earlier.
fn part(words: &mut [Word], start_us: i64, end_us: i64) {
    for index in (1..words.len()).rev() {
        let next_start_us = words[index].start_us;
        let word = &mut words[index - 1];
        word.end_us = word.end_us.min(next_start_us);
    }
    let mut free_us = start_us;
    for word in words.iter_mut() {
        word.start_us = word.start_us.max(free_us);
        word.end_us = word.end_us.max(word.start_us + SHORTEST_US);
        free_us = word.end_us;
    }
    let mut limit_us = end_us;
    for word in words.iter_mut().rev() {
        word.end_us = word.end_us.min(limit_us);
        word.start_us = word.start_us.min(word.end_us - SHORTEST_US);
        limit_us = word.start_us;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(start: usize, end: usize, text: &str) -> HeardWord {
        HeardWord { samples: start..end, text: text.to_owned(), confidence: 0.5 }
    }

    #[test]
    fn words_keep_their_times_when_nothing_is_wrong() {
        let words = place(vec![heard(16_000, 24_000, "good"), heard(24_000, 32_000, " day. ")], 5_000_000, 9_000_000);
        let times: Vec<_> = words.iter().map(|w| (w.start_us, w.end_us, w.text.as_str())).collect();
        assert_eq!(times, [(6_000_000, 6_500_000, "good"), (6_500_000, 7_000_000, "day.")]);
    }

    proptest! {
        #[test]
        fn words_are_in_order_apart_and_inside(
            spans in prop::collection::vec((0usize..200_000, 0usize..20_000), 0..60),
            start_us in 0i64..10_000_000,
            length_us in 0i64..12_000_000,
        ) {
            let heard = spans.into_iter().map(|(start, length)| heard(start, start + length, "word")).collect();
            let words = place(heard, start_us, start_us + length_us);
            for pair in words.windows(2) {
                prop_assert!(pair[0].end_us <= pair[1].start_us);
            }
            for word in &words {
                prop_assert!(word.end_us - word.start_us >= SHORTEST_US);
                prop_assert!(start_us <= word.start_us && word.end_us <= start_us + length_us);
            }
        }
    }
}
