use pipeline::event::Word;
use proptest::prelude::*;

use super::*;
use crate::moments::sentences::sentences;
use crate::moments::shots::{Opening, Shot};
use crate::moments::timeline::span;

const LENGTHS: Lengths = Lengths { min: MediaTime::from_us(10_000_000), max: MediaTime::from_us(30_000_000) };

fn word(start_us: i64, end_us: i64) -> Word {
    Word { start_us, end_us, text: "word".into(), confidence: 0.9 }
}

/// A window of `seconds` with words at the given milliseconds and cuts at others.
fn timeline(seconds: i64, words_ms: &[(i64, i64)], cuts_ms: &[i64]) -> Timeline {
    let range = span(0, seconds * 1_000_000);
    let mut timeline = Timeline::new(range, Vec::new(), Vec::new(), Vec::new());
    timeline.words = words_ms.iter().map(|(s, e)| word(s * 1000, e * 1000)).collect();
    timeline.covered = vec![range];
    let mut edges = vec![0];
    edges.extend(cuts_ms.iter().map(|c| c * 1000));
    edges.push(range.end.as_us());
    let shot = |w: &[i64]| Shot { range: span(w[0], w[1]), opening: Opening::Cut, motion: 0.0, missing: false };
    timeline.shots = edges.windows(2).map(shot).collect();
    timeline
}

fn found(timeline: &Timeline) -> Vec<Candidate> {
    candidates(timeline, &sentences(&timeline.words), LENGTHS, timeline.range.end)
}

/// Two sentences of eleven seconds each, a second apart.
fn talk() -> Vec<(i64, i64)> {
    let sentence = |from: i64| (0..22).map(move |i| (from + i * 500, from + i * 500 + 450));
    sentence(1000).chain(sentence(13_000)).collect()
}

#[test]
fn clips_begin_and_end_around_sentences_with_a_little_silence() {
    let all = found(&timeline(60, &talk(), &[]));
    assert!(all.iter().any(|c| c.range == span(850_000, 12_300_000)), "{all:?}");
    assert!(all.iter().any(|c| c.range == span(850_000, 24_300_000)));
    assert!(all.iter().any(|c| c.range == span(12_850_000, 24_300_000)));
}

#[test]
fn edges_move_to_a_cut_in_the_same_silence() {
    let all = found(&timeline(60, &talk(), &[12_500, 24_000]));
    // The cut at 12.5 s is in the pause; the one at 24.0 s falls just after the last word.
    assert!(all.iter().any(|c| c.range == span(12_500_000, 24_000_000)), "{all:?}");
}

#[test]
fn inside_a_sentence_a_breath_comes_before_a_joint_of_two_words() {
    // Twelve seconds without a pause, but for a breath in the middle; clips of half of that are asked for.
    let words: Vec<(i64, i64)> = (0..24).map(|i| (i * 500, i * 500 + if i == 11 { 420 } else { 500 })).collect();
    let timeline = timeline(12, &words, &[]);
    let lengths = Lengths { min: MediaTime::from_us(4_000_000), max: MediaTime::from_us(8_000_000) };
    let all = candidates(&timeline, &sentences(&timeline.words), lengths, timeline.range.end);
    let ranges: Vec<MediaRange> = all.iter().map(|c| c.range).collect();
    assert_eq!(ranges, [span(0, 6_000_000), span(5_920_000, 12_000_000)]);
}

#[test]
fn without_words_clips_lie_between_cuts_and_quiet_moments() {
    let mut timeline = timeline(60, &[], &[15_000]);
    timeline.loudness_dbfs = vec![-20.0; 600];
    timeline.loudness_dbfs[405] = -50.0;
    let all = found(&timeline);
    assert!(all.iter().any(|c| c.range.start == MediaTime::from_us(15_000_000) && c.opens == Place::Cut));
    assert!(all.iter().any(|c| c.range.end == MediaTime::from_us(40_550_000) && c.closes == Place::Quiet));
}

#[test]
fn nothing_begins_where_the_sound_was_lost_or_the_picture_is_missing() {
    let mut timeline = timeline(60, &[], &[]);
    timeline.unheard = vec![span(0, 20_000_000)];
    timeline.covered = vec![span(0, 45_000_000)];
    let all = found(&timeline);
    assert!(!all.is_empty());
    for candidate in all {
        assert!(candidate.range.start >= MediaTime::from_seconds(20.0) || candidate.range.start == MediaTime::ZERO);
        assert!(candidate.range.end <= MediaTime::from_seconds(45.0));
    }
}

#[test]
fn no_edge_beside_a_word_reaches_into_sound_nobody_listened_to() {
    let mut timeline = timeline(60, &talk(), &[700, 24_200]);
    // Lost up to 50 ms before the first word, and from 50 ms after the last one; cuts lie in what was lost.
    timeline.unheard = vec![span(0, 950_000), span(24_000_000, 60_000_000)];
    let all = found(&timeline);
    let outer = all.iter().find(|c| c.range == span(950_000, 24_000_000)).expect("both sentences");
    assert_eq!((outer.opens, outer.closes), (Place::Words, Place::Words), "they may not be whole");
    assert!(all.iter().all(|c| !(1..950_000).contains(&c.range.start.as_us())), "{all:?}");
    assert!(all.iter().all(|c| c.range.end <= MediaTime::from_us(24_000_000) || c.range.end == timeline.range.end));
}

#[test]
fn pieces_shorter_than_the_shortest_clip_still_give_one() {
    let mut timeline = timeline(60, &[], &[]);
    timeline.covered = vec![span(3_000_000, 6_000_000), span(20_000_000, 28_000_000)];
    let all = found(&timeline);
    assert_eq!(all.iter().map(|c| c.range).collect::<Vec<_>>(), [span(20_000_000, 28_000_000)]);
}

proptest! {
    #[test]
    fn no_clip_cuts_a_word(
        parts in proptest::collection::vec((0i64..4000, 50i64..900), 0..200), cuts in proptest::collection::vec(1i64..200_000, 0..20)
    ) {
        let mut at = 0;
        let words: Vec<(i64, i64)> = parts.iter().map(|(gap, length)| {
            let start = at + gap;
            at = start + length;
            (start, at)
        }).collect();
        let mut cuts: Vec<i64> = cuts.into_iter().filter(|c| *c < at + 5000).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let timeline = timeline(at / 1000 + 6, &words, &cuts);
        let all = found(&timeline);
        prop_assert!(!all.is_empty());
        for candidate in all {
            for edge in [candidate.range.start, candidate.range.end] {
                prop_assert!(!in_word(&timeline, edge), "{:?} at {:?}", candidate, edge);
            }
            prop_assert!(timeline.range.start <= candidate.range.start && candidate.range.end <= timeline.range.end);
            prop_assert!(candidate.range.length() > MediaTime::ZERO && candidate.range.length() <= LENGTHS.max);
        }
    }
}
