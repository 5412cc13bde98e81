use bytes::Bytes;
use pipeline::event::Edge;
use proptest::prelude::*;

use super::*;
use crate::analyze::change::THUMBNAIL_BYTES;

/// Frames at 25 a second that change by `changes`.
fn segment(first: i64, changes: &[f32]) -> SegmentAnalysis {
    let frame = |(index, change): (usize, &f32)| Frame {
        at_us: (first + index as i64) * 40_000,
        change: *change,
        // The frame after a cut too differs from the one before the cut.
        change_over_two: changes[index.saturating_sub(1)].max(*change),
        change_over_six: 1.0,
        brightness: 0.5,
        blend: 0.0,
    };
    SegmentAnalysis {
        start_us: first * 40_000,
        end_us: (first + changes.len() as i64) * 40_000,
        frames: changes.iter().enumerate().map(frame).collect(),
        ..SegmentAnalysis::default()
    }
}

fn range(frames: i64) -> MediaRange {
    MediaRange::new(MediaTime::ZERO, MediaTime::from_us(frames * 40_000))
}

/// Returns each shot's first frame and opening.
fn begins(shots: &[Shot]) -> Vec<(i64, Opening)> {
    shots.iter().map(|shot| (shot.range.start.as_us() / 40_000, shot.opening)).collect()
}

fn changes(length: usize, usual: f32, cuts: &[usize]) -> Vec<f32> {
    (0..length).map(|index| if cuts.contains(&index) { 0.6 } else { usual }).collect()
}

#[test]
fn a_change_that_stands_out_is_a_cut_and_constant_motion_is_none() {
    let still = segment(0, &changes(100, 0.02, &[40, 70]));
    assert_eq!(begins(&shots(&[still], range(100))), [(0, Opening::Start), (40, Opening::Cut), (70, Opening::Cut)]);
    let moving = segment(0, &changes(100, 0.3, &[]));
    assert_eq!(begins(&shots(&[moving], range(100))), [(0, Opening::Start)]);
}

#[test]
fn a_flash_is_no_cut() {
    let mut flash = segment(0, &changes(100, 0.02, &[40, 41]));
    flash.frames[41].change_over_two = 0.03;
    let mut longer = segment(0, &changes(100, 0.02, &[40, 44]));
    longer.frames[45].change_over_six = 0.05;
    assert_eq!(begins(&shots(&[flash], range(100))), [(0, Opening::Start)]);
    assert_eq!(begins(&shots(&[longer], range(100))), [(0, Opening::Start)]);
}

#[test]
fn a_mixture_of_pictures_is_a_dissolve_and_through_black_a_fade() {
    let mut dissolve = segment(0, &changes(100, 0.04, &[]));
    for (index, frame) in dissolve.frames.iter_mut().enumerate() {
        frame.blend = (0.6 - (index as f32 - 50.0).abs() / 20.0).max(0.0);
    }
    let mut fade = dissolve.clone();
    fade.frames[44].brightness = 0.02;
    let middle = 50 - BLEND_MIDDLE_US / 40_000;
    assert_eq!(begins(&shots(&[dissolve], range(100)))[1..], [(middle, Opening::Dissolve)]);
    assert_eq!(begins(&shots(&[fade], range(100)))[1..], [(middle, Opening::Fade)]);
}

#[test]
fn pieces_are_compared_at_their_edges() {
    let (dark, light) = (Bytes::from(vec![30; THUMBNAIL_BYTES]), Bytes::from(vec![200; THUMBNAIL_BYTES]));
    let first =
        SegmentAnalysis { tail: Edge { thumbnails: vec![dark.clone(); 3] }, ..segment(0, &changes(50, 0.02, &[])) };
    let second = |shown: &Bytes| SegmentAnalysis {
        head: Edge { thumbnails: vec![shown.clone(); 3] },
        ..segment(50, &changes(50, 0.02, &[]))
    };
    assert_eq!(begins(&shots(&[first.clone(), second(&dark)], range(100))), [(0, Opening::Start)]);
    let cut = shots(&[first, second(&light)], range(100));
    assert_eq!(begins(&cut), [(0, Opening::Start), (50, Opening::Cut)]);
}

#[test]
fn a_missing_piece_is_a_shot_of_its_own() {
    let (first, third) = (segment(0, &changes(50, 0.02, &[])), segment(150, &changes(50, 0.02, &[])));
    let found = shots(&[first, third], range(200));
    assert_eq!(begins(&found), [(0, Opening::Start), (50, Opening::Gap), (150, Opening::Gap)]);
    assert_eq!(found.iter().map(|shot| shot.missing).collect::<Vec<_>>(), [false, true, false]);
    let nothing = shots(&[], range(200));
    assert_eq!((nothing.len(), nothing[0].missing), (1, true));
}

proptest! {
    #[test]
    fn shots_tile_any_range(
        pieces in prop::collection::vec((0i64..300, prop::collection::vec(0f32..1.0, 0..120)), 0..5),
        start in 0i64..200, length in 0i64..600,
    ) {
        let mut segments: Vec<SegmentAnalysis> = pieces.iter().map(|(first, changes)| segment(*first, changes)).collect();
        segments.sort_by_key(|segment| segment.start_us);
        let range = MediaRange::new(MediaTime::from_us(start * 40_000), MediaTime::from_us((start + length) * 40_000));
        let found = shots(&segments, range);
        if length == 0 {
            prop_assert!(found.is_empty());
        } else {
            prop_assert_eq!(found[0].range.start, range.start);
            prop_assert_eq!(found[found.len() - 1].range.end, range.end);
            prop_assert!(found.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
            prop_assert!(found.iter().all(|shot| shot.range.start < shot.range.end));
        }
    }
}
