use pipeline::event::{Face, SegmentAnalysis};
use pipeline::media_time::{MediaRange, MediaTime};

use super::*;
use crate::moments::shots::Opening;

/// Time between looks.
const STEP_US: i64 = 200_000;

fn face(at_us: i64, x: f32, score: f32) -> Face {
    Face { at_us, x, y: 100.0, width: 100.0, height: 130.0, score, mouth_motion: 0.1 }
}

/// A segment of looks `from..to`, each with the faces that `at` tells of.
fn segment(from: i64, to: i64, at: impl Fn(i64) -> Vec<(f32, f32)>) -> SegmentAnalysis {
    let mut segment = SegmentAnalysis { start_us: from * STEP_US, end_us: to * STEP_US, ..SegmentAnalysis::default() };
    for look in from..to {
        segment.looked_us.push(look * STEP_US);
        segment.faces.extend(at(look).into_iter().map(|(x, score)| face(look * STEP_US, x, score)));
    }
    segment
}

fn shot(from: i64, to: i64) -> Shot {
    let range = MediaRange::new(MediaTime::from_us(from * STEP_US), MediaTime::from_us(to * STEP_US));
    Shot { range, opening: Opening::Cut, motion: 0.0, missing: false }
}

#[test]
fn a_face_is_one_track_across_segments_and_short_absences() {
    let walk = |look: i64| if (12..15).contains(&look) { vec![] } else { vec![(200.0 + 10.0 * look as f32, 0.8)] };
    let found = tracks(&[segment(0, 10, walk), segment(10, 30, walk)], &[shot(0, 30)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].boxes.len(), 27);
    assert_eq!(found[0].range, shot(0, 30).range);
    assert!(found[0].boxes.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].x < pair[1].x));
}

#[test]
fn two_people_are_two_tracks_and_a_cut_parts_one_person() {
    let pair = |look: i64| vec![(100.0 + look as f32, 0.9), (600.0 - look as f32, 0.9)];
    let found = tracks(&[segment(0, 20, pair)], &[shot(0, 10), shot(10, 20)]);
    let starts: Vec<(u32, i64, f32)> =
        found.iter().map(|track| (track.id, track.range.start.as_us() / STEP_US, track.boxes[0].x.round())).collect();
    assert_eq!(starts, [(0, 0, 100.0), (1, 0, 600.0), (2, 10, 110.0), (3, 10, 590.0)]);
}

#[test]
fn what_looks_like_a_face_for_a_moment_is_none() {
    let flicker = |look: i64| match look {
        3 | 4 => vec![(300.0, 0.9)],
        8 | 12 | 16 | 20 => vec![(700.0, 0.9)],
        _ => vec![],
    };
    assert_eq!(tracks(&[segment(0, 30, flicker)], &[shot(0, 30)]), []);
    let unsure = |_| vec![(300.0, 0.51)];
    assert_eq!(tracks(&[segment(0, 30, unsure)], &[shot(0, 30)]), []);
}

#[test]
fn a_short_shot_keeps_a_sure_face() {
    let sure = |_| vec![(300.0, 0.9)];
    assert_eq!(tracks(&[segment(0, 10, sure)], &[shot(0, 2), shot(2, 10)]).len(), 2);
}

#[test]
fn boxes_are_smoothed_and_a_missing_span_has_no_track() {
    let shaky = |look: i64| vec![(300.0 + if look % 2 == 0 { 20.0 } else { 0.0 }, 0.9)];
    let found = tracks(&[segment(0, 10, shaky)], &[shot(0, 10)]);
    assert!(found[0].boxes[1..9].iter().all(|seen| (seen.x - 310.0).abs() < 0.01), "{found:?}");
    let missing = Shot { missing: true, ..shot(0, 10) };
    assert_eq!(tracks(&[segment(0, 10, shaky)], &[missing]), []);
}
