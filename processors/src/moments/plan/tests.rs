use pipeline::event::{Loudness, SegmentTranscript, Word};
use proptest::prelude::*;

use super::*;
use crate::moments::shots::{Opening, Shot};
use crate::moments::timeline::span;
use crate::moments::tracks::{Track, TrackBox};

const TALK: &str = "so welcome to this talk about gravity | what is gravity and why does it pull | gravity bends space around \
    every planet | the apple falls because space is bent | you can measure this with two clocks | a clock on a mountain \
    runs faster | gravity slows time near the ground | this was measured in nineteen fifty nine | the planet pulls the \
    moon and the moon pulls the planet | imagine a planet without gravity | nothing would hold the water | and nothing \
    would hold you | thank you for listening to me";

/// Speaks the sentences of `text`, apart by `|`, over and over until `seconds` are full.
fn speak(text: &str, seconds: i64) -> SegmentTranscript {
    let mut words = Vec::new();
    let mut at = 500_000;
    for text in text.split_whitespace().cycle() {
        if at > (seconds - 2) * 1_000_000 {
            break;
        }
        if text == "|" {
            at += 600_000;
            continue;
        }
        let length = 120_000 + 40_000 * text.len() as i64;
        words.push(Word { start_us: at, end_us: at + length, text: text.to_owned(), confidence: 0.8 });
        at += length + 30_000;
    }
    let speech_us = words.iter().flat_map(|w| [w.start_us, w.end_us]).collect();
    let dbfs = (0..seconds * 10).map(|i| -30.0 + (i * 7 % 23) as f32 / 2.0).collect();
    let end_us = seconds * 1_000_000;
    let loudness = Loudness { step_us: 100_000, dbfs };
    SegmentTranscript { start_us: 0, end_us, words, loudness, speech_us, transcriber: "test".into() }
}

/// A talk with a cut each 20 s and somebody who stands in another place after each.
fn talk(seconds: i64) -> Timeline {
    let range = span(0, seconds * 1_000_000);
    let mut timeline = Timeline::new(range, vec![speak(TALK, seconds)], Vec::new(), Vec::new());
    timeline.covered = vec![range];
    let edges: Vec<i64> = (0..seconds).step_by(20).chain([seconds]).collect();
    let ranges: Vec<MediaRange> = edges.windows(2).map(|w| span(w[0] * 1_000_000, w[1] * 1_000_000)).collect();
    timeline.shots =
        ranges.iter().map(|r| Shot { range: *r, opening: Opening::Cut, motion: 0.02, missing: false }).collect();
    timeline.looked = (0..seconds * 5).map(|i| MediaTime::from_us(i * 200_000)).collect();
    timeline.tracks = ranges.iter().enumerate().map(|(i, range)| presenter(i as u32, *range)).collect();
    timeline
}

fn presenter(id: u32, range: MediaRange) -> Track {
    let times = (range.start.as_us()..range.end.as_us()).step_by(200_000);
    let face = |at_us: i64| {
        let sway = ((at_us / 200_000) % 11) as f32 * 4.0;
        let x = 300.0 + (id * 250 % 700) as f32 + sway;
        let at = MediaTime::from_us(at_us);
        TrackBox { at, x, y: 200.0, width: 120.0, height: 150.0, score: 0.9, mouth_motion: 0.1 }
    };
    Track { id, range, boxes: times.map(face).collect() }
}

fn media(seconds: i64) -> MediaInfo {
    MediaInfo { duration_us: seconds * 1_000_000, width: 1280, height: 720, frame_rate: 25.0, ..Default::default() }
}

fn planned(timeline: &Timeline, options: &Options) -> Vec<Clip> {
    let video = VideoId::from_idempotency_key(&pipeline::id::TenantId::default_tenant(), "talk");
    let seconds = timeline.range.end.as_us() / 1_000_000;
    plan(timeline, Window { video, index: 0, range: timeline.range }, &media(seconds), options)
}

#[test]
fn a_talk_is_planned_like_this() {
    let clips = planned(&talk(90), &Options::default());
    insta::assert_debug_snapshot!(clips);
}

#[test]
fn the_same_timeline_gives_the_same_bytes() {
    use prost::Message;
    let bytes = || planned(&talk(90), &Options::default()).iter().flat_map(|c| c.encode_to_vec()).collect::<Vec<u8>>();
    assert_eq!(bytes(), bytes());
}

#[test]
fn clips_keep_their_lengths_and_their_order() {
    let options = Options { clips: 20, ..Options::default() };
    let clips = planned(&talk(300), &options);
    assert!(clips.len() > 8, "{}", clips.len());
    assert!(clips.windows(2).all(|pair| pair[0].end_us <= pair[1].start_us));
    for (index, clip) in clips.iter().enumerate() {
        assert_eq!(clip.index, index as u32);
        assert!((10_000_000..=30_000_000).contains(&(clip.end_us - clip.start_us)));
        assert!((0.0..=1.0).contains(&clip.score) && !clip.reasons.is_empty());
        assert!(!clip.transcript().is_empty());
    }
}

#[test]
fn a_video_shorter_than_the_shortest_clip_is_one_clip() {
    let clips = planned(&talk(7), &Options::default());
    assert_eq!(clips.iter().map(|c| (c.start_us, c.end_us)).collect::<Vec<_>>(), [(0, 7_000_000)]);
}

#[test]
fn nothing_heard_and_nobody_seen_still_gives_clips() {
    let mut timeline = talk(60);
    timeline.tracks.clear();
    timeline.words.clear();
    timeline.speech.clear();
    timeline.loudness_dbfs.clear();
    let clips = planned(&timeline, &Options::default());
    assert!(!clips.is_empty());
    assert!(clips.iter().all(|c| !c.reasons.is_empty() && c.framings.iter().all(|f| f.reason.contains("no face"))));
}

#[test]
fn four_hours_are_planned_in_a_bounded_number_of_candidates() {
    let timeline = talk(4 * 3600);
    assert!(timeline.words.len() > 20_000, "{}", timeline.words.len());
    let began = std::time::Instant::now();
    let clips = planned(&timeline, &Options { clips: 20, max_clip_ms: 180_000, ..Options::default() });
    println!("{} words planned in {:?}", timeline.words.len(), began.elapsed());
    assert_eq!(clips.len(), 20);
}

#[test]
fn the_first_window_has_a_clip_whatever_its_share() {
    let hour = MediaTime::from_seconds(3600.0);
    let shares: Vec<usize> = (0..6).map(|i| share(span(i * 600_000_000, (i + 1) * 600_000_000), hour, 3)).collect();
    assert_eq!(shares, [1, 0, 1, 0, 1, 0]);
}

proptest! {
    #[test]
    fn shares_add_up(clips in 1u32..21, windows in proptest::collection::vec(1i64..600_000_000, 1..30)) {
        let duration: i64 = windows.iter().sum();
        let mut start = 0;
        let mut sum = 0;
        for length in windows {
            sum += share(span(start, start + length), MediaTime::from_us(duration), clips);
            start += length;
        }
        prop_assert_eq!(sum, clips as usize);
    }
}
