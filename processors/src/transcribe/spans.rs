//! From the probability of speech, window by window, to the spans in which somebody speaks.

use std::ops::Range;

use crate::models::transcriber::SAMPLE_RATE;
use crate::models::voice_activity::WINDOW;

/// Speech begins in a window at least this probable.
const BEGIN: f32 = 0.5;
/// It ends where windows are less probable than this; lower than [`BEGIN`], so that a weak syllable ends nothing.
const END: f32 = 0.35;
/// A shorter silence does not end it: a breath within a sentence.
const SILENCE: usize = SAMPLE_RATE / 4;
/// Shorter speech is a click or a cough.
const SHORTEST: usize = SAMPLE_RATE / 8;
/// Kept on both sides, for consonants that the detector hears late.
const PADDING: usize = SAMPLE_RATE / 20;

/// Returns where somebody speaks, as indices of samples: in order, apart, within `total`.
pub(super) fn speaking(probabilities: &[f32], total: usize) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut open: Option<Range<usize>> = None;
    for (index, &probability) in probabilities.iter().enumerate() {
        let window = index * WINDOW..((index + 1) * WINDOW).min(total);
        open = match open {
            None if probability >= BEGIN => Some(window),
            Some(span) if probability >= END => Some(span.start..window.end),
            Some(span) if window.end - span.end < SILENCE => Some(span),
            Some(span) => {
                spans.push(span);
                None
            }
            None => None,
        };
    }
    spans.extend(open);
    spans.retain(|span| span.len() >= SHORTEST);
    widened(&spans, PADDING, total)
}

/// Widens each span by `padding` on both sides, joining those that then touch, within `total`.
pub(super) fn widened(spans: &[Range<usize>], padding: usize, total: usize) -> Vec<Range<usize>> {
    let mut wide: Vec<Range<usize>> = Vec::new();
    for span in spans {
        let span = span.start.saturating_sub(padding)..(span.end + padding).min(total);
        match wide.last_mut() {
            Some(last) if last.end >= span.start => last.end = span.end,
            _ => wide.push(span),
        }
    }
    wide
}

/// Splits spans longer than `longest` where speech is least probable in their later half.
pub(super) fn split(spans: &[Range<usize>], probabilities: &[f32], longest: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    for span in spans {
        let mut rest = span.clone();
        while rest.len() > longest {
            let windows = (rest.start + longest / 2) / WINDOW + 1..(rest.start + longest) / WINDOW;
            let likely = |window: &usize| probabilities.get(*window).copied().unwrap_or(0.0);
            let quietest = windows.min_by(|a, b| likely(a).total_cmp(&likely(b)));
            let cut = quietest.map_or(rest.start + longest, |window| window * WINDOW + WINDOW / 2);
            parts.push(rest.start..cut);
            rest.start = cut;
        }
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_breath_ends_nothing_and_a_click_is_no_speech() {
        let mut probabilities = vec![0.0; 200];
        probabilities[20..60].fill(0.9);
        probabilities[40..44].fill(0.1);
        probabilities[100..102].fill(0.9);
        let spans = speaking(&probabilities, 200 * WINDOW);
        let expected = 20 * WINDOW - PADDING..60 * WINDOW + PADDING;
        assert_eq!(spans, vec![expected]);
    }

    proptest! {
        #[test]
        fn spans_are_in_order_apart_and_inside(probabilities in prop::collection::vec(0.0f32..1.0, 0..400), rest in 1usize..=WINDOW) {
            let total = (probabilities.len() * WINDOW).saturating_sub(WINDOW - rest);
            let spans = speaking(&probabilities, total);
            for pair in spans.windows(2) {
                prop_assert!(pair[0].end < pair[1].start);
            }
            prop_assert!(spans.iter().all(|s| s.start < s.end && s.end <= total));
        }

        #[test]
        fn splitting_keeps_every_sample_and_the_limit(probabilities in prop::collection::vec(0.0f32..1.0, 1..900), longest in 20usize..200) {
            let whole = 0..probabilities.len() * WINDOW;
            let longest = longest * WINDOW;
            let parts = split(std::slice::from_ref(&whole), &probabilities, longest);
            prop_assert!(parts.iter().all(|p| !p.is_empty() && p.len() <= longest));
            prop_assert_eq!(parts.iter().map(Range::len).sum::<usize>(), whole.len());
        }
    }
}
