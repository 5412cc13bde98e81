use proptest::prelude::*;

use super::*;
use crate::moments::shots::{Opening, Shot};
use crate::moments::timeline::span;
use crate::moments::tracks::{Track, TrackBox};
use pipeline::media_time::MediaTime;

const FRAME_US: i64 = 40_000;

fn media(width: u32, height: u32) -> MediaInfo {
    MediaInfo { width, height, frame_rate: 25.0, ..Default::default() }
}

/// Somebody whose face is `size` pixels wide and centred where `place` says, looked at five times a second.
fn track(
    id: u32,
    range: MediaRange,
    size: f32,
    place: impl Fn(f64) -> (f64, f64),
    mouth: impl Fn(f64) -> f32,
) -> Track {
    let times = (range.start.as_us()..range.end.as_us()).step_by(200_000);
    let face = |at_us: i64| {
        let seconds = at_us as f64 / 1e6;
        let (x, y) = place(seconds);
        let (width, height) = (size, size * 1.25);
        TrackBox {
            at: MediaTime::from_us(at_us),
            x: x as f32 - width / 2.0,
            y: y as f32 - height / 2.0,
            width,
            height,
            score: 0.9,
            mouth_motion: mouth(seconds),
        }
    };
    Track { id, range, boxes: times.map(face).collect() }
}

fn timeline(shots: &[(i64, i64)], tracks: Vec<Track>) -> Timeline {
    let range = span(shots[0].0, shots[shots.len() - 1].1);
    let mut timeline = Timeline::new(range, Vec::new(), Vec::new(), Vec::new());
    let shot = |(start, end): &(i64, i64)| Shot {
        range: span(*start, *end),
        opening: Opening::Cut,
        motion: 0.1,
        missing: false,
    };
    timeline.shots = shots.iter().map(shot).collect();
    timeline.looked = (range.start.as_us()..range.end.as_us()).step_by(200_000).map(MediaTime::from_us).collect();
    timeline.tracks = tracks;
    timeline
}

/// Checks what holds for all framings, and returns the share of frames with `faces` whose face is inside the crop.
#[track_caller]
fn check(framings: &[Framing], media: &MediaInfo, range: MediaRange, faces: &Track) -> f64 {
    let (width, height) = (f64::from(media.width), f64::from(media.height));
    assert_eq!(framings[0].start_us, range.start.as_us());
    assert_eq!(framings[framings.len() - 1].end_us, range.end.as_us());
    assert!(framings.windows(2).all(|pair| pair[0].end_us == pair[1].start_us), "framings tile the clip");
    let (mut inside, mut frames) = (0, 0);
    for framing in framings {
        assert!(framing.start_us < framing.end_us && !framing.keyframes.is_empty() && !framing.reason.is_empty());
        assert!(framing.keyframes.windows(2).all(|pair| pair[0].at_us < pair[1].at_us), "keyframes are in order");
        let mut before: Option<(f64, f64)> = None;
        for at_us in (framing.start_us..framing.end_us).step_by(FRAME_US as usize) {
            let (x, y) = framing.corner(at_us);
            assert!(x >= 0.0 && y >= 0.0, "crop begins inside the source");
            assert!(x + framing.width <= width + 1e-6 && y + framing.height <= height + 1e-6, "crop ends inside it");
            if let Some((old_x, old_y)) = before.replace((x, y)) {
                assert!((x - old_x).abs().max((y - old_y).abs()) <= 0.04 * framing.width, "the crop does not jump");
            }
            let Some(face) = faces.boxes.iter().rev().find(|b| (0..200_000).contains(&(at_us - b.at.as_us()))) else {
                continue;
            };
            let next = faces.boxes.iter().find(|b| b.at.as_us() > at_us).unwrap_or(face);
            let share = (at_us - face.at.as_us()) as f32 / 200_000.0;
            let left = f64::from(face.x + (next.x - face.x) * share).max(0.0);
            let top = f64::from(face.y + (next.y - face.y) * share).max(0.0);
            let (right, bottom) =
                ((left + f64::from(face.width)).min(width), (top + f64::from(face.height)).min(height));
            let holds = x <= left && right <= x + framing.width && y <= top && bottom <= y + framing.height;
            inside += usize::from(holds);
            frames += 1;
        }
    }
    inside as f64 / frames.max(1) as f64
}

fn mode(framings: &[Framing]) -> Vec<FramingMode> {
    framings.iter().map(Framing::mode).collect()
}

fn speaks(_: f64) -> f32 {
    0.2
}

#[test]
fn a_face_that_sways_is_held_by_a_camera_that_stands_still() {
    let range = span(0, 10_000_000);
    let face = track(0, range, 120.0, |t| (800.0 + 25.0 * (t * 2.0).sin(), 300.0), speaks);
    let framings =
        framings(&timeline(&[(0, 10_000_000)], vec![face.clone()]), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&framings), [FramingMode::Still]);
    assert_eq!(check(&framings, &media(1280, 720), range, &face), 1.0);
    let (x, _) = framings[0].corner(0);
    assert!((x + 202.5 - 800.0).abs() < 10.0, "centred: {x}");
}

#[test]
fn a_face_that_wanders_evenly_gets_one_pan() {
    let range = span(0, 8_000_000);
    let face = track(0, range, 120.0, |t| (300.0 + 50.0 * t, 300.0), speaks);
    let framings =
        framings(&timeline(&[(0, 8_000_000)], vec![face.clone()]), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&framings), [FramingMode::Pan]);
    assert_eq!(framings[0].keyframes.len(), 2);
    assert_eq!(check(&framings, &media(1280, 720), range, &face), 1.0);
}

#[test]
fn a_face_that_walks_and_stops_is_followed() {
    let range = span(0, 12_000_000);
    let place = |t: f64| (300.0 + 200.0 * (t - 4.0).clamp(0.0, 3.0), 300.0);
    let face = track(0, range, 120.0, place, speaks);
    let framings =
        framings(&timeline(&[(0, 12_000_000)], vec![face.clone()]), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&framings), [FramingMode::Follow]);
    let inside = check(&framings, &media(1280, 720), range, &face);
    assert!(inside >= 0.95, "{inside}");
    let rest = framings[0].corner(1_000_000).0 - framings[0].corner(2_500_000).0;
    assert!(rest.abs() < 15.0, "it rests before the walk: {rest}");
}

#[test]
fn the_camera_jumps_at_cuts_only() {
    let range = span(1_000_000, 9_000_000);
    let left = track(0, span(0, 5_000_000), 120.0, |_| (300.0, 300.0), speaks);
    let right = track(1, span(5_000_000, 10_000_000), 120.0, |_| (1000.0, 300.0), speaks);
    let timeline = timeline(&[(0, 5_000_000), (5_000_000, 10_000_000)], vec![left.clone(), right.clone()]);
    let framings = framings(&timeline, &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(
        framings.iter().map(|f| (f.start_us, f.end_us)).collect::<Vec<_>>(),
        [(1_000_000, 5_000_000), (5_000_000, 9_000_000)]
    );
    assert_eq!(check(&framings[..1], &media(1280, 720), span(1_000_000, 5_000_000), &left), 1.0);
    assert_eq!(check(&framings[1..], &media(1280, 720), span(5_000_000, 9_000_000), &right), 1.0);
}

#[test]
fn the_one_who_speaks_is_shown_and_not_a_larger_listener() {
    let range = span(0, 6_000_000);
    let listener = track(0, range, 150.0, |_| (200.0, 300.0), |_| 0.02);
    let speaker = track(1, range, 120.0, |_| (1000.0, 300.0), speaks);
    let framings = framings(
        &timeline(&[(0, 6_000_000)], vec![listener, speaker.clone()]),
        &media(1280, 720),
        Aspect::Vertical,
        range,
    );
    assert_eq!(mode(&framings), [FramingMode::Still]);
    assert_eq!(check(&framings, &media(1280, 720), range, &speaker), 1.0);
}

#[test]
fn long_turns_are_followed_and_quick_ones_show_both() {
    let range = span(0, 12_000_000);
    let people = |turn_s: f64| {
        let speaks_in = move |odd: bool| move |t: f64| if ((t / turn_s) as i64 % 2 == 1) == odd { 0.2 } else { 0.02 };
        let left = track(0, range, 120.0, |_| (250.0, 300.0), speaks_in(false));
        let right = track(1, range, 120.0, |_| (1050.0, 300.0), speaks_in(true));
        timeline(&[(0, 12_000_000)], vec![left, right])
    };
    let long = framings(&people(6.0), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&long), [FramingMode::Still, FramingMode::Still]);
    assert!((long[1].start_us - 6_000_000).abs() < 1_000_000, "{}", long[1].start_us);
    assert!(long[0].corner(0).0 < 200.0 && long[1].corner(7_000_000).0 > 600.0);
    let quick = framings(&people(1.5), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&quick), [FramingMode::Pad]);
    assert_eq!((quick[0].width, quick[0].height), (1280.0, 720.0));
}

#[test]
fn two_who_sit_together_are_shown_together() {
    let range = span(0, 6_000_000);
    let left = track(0, range, 110.0, |_| (560.0, 300.0), speaks);
    let right = track(1, range, 110.0, |_| (720.0, 300.0), |_| 0.05);
    let framings = framings(
        &timeline(&[(0, 6_000_000)], vec![left.clone(), right.clone()]),
        &media(1280, 720),
        Aspect::Vertical,
        range,
    );
    for face in [&left, &right] {
        assert_eq!(check(&framings, &media(1280, 720), range, face), 1.0);
    }
}

#[test]
fn a_high_source_is_cropped_in_height_with_the_face_in_the_upper_part() {
    let range = span(0, 6_000_000);
    let face = track(0, range, 160.0, |_| (360.0, 500.0), speaks);
    let framings = framings(&timeline(&[(0, 6_000_000)], vec![face.clone()]), &media(720, 1280), Aspect::Square, range);
    assert_eq!(check(&framings, &media(720, 1280), range, &face), 1.0);
    let place = (500.0 - framings[0].corner(0).1) / framings[0].height;
    assert!((0.3..0.45).contains(&place), "{place}");
}

#[test]
fn what_no_crop_holds_is_shown_whole() {
    let range = span(0, 6_000_000);
    let close = track(0, range, 560.0, |_| (640.0, 360.0), speaks);
    let framings = framings(&timeline(&[(0, 6_000_000)], vec![close]), &media(1280, 720), Aspect::Vertical, range);
    assert_eq!(mode(&framings), [FramingMode::Pad]);
}

#[test]
fn without_a_face_the_middle_is_shown_and_a_shape_that_fits_is_kept() {
    let range = span(0, 6_000_000);
    let empty = timeline(&[(0, 6_000_000)], Vec::new());
    let wide = framings(&empty, &media(1280, 720), Aspect::Vertical, range);
    assert_eq!((mode(&wide), wide[0].corner(0)), (vec![FramingMode::Still], (437.5, 0.0)));
    let high = framings(&empty, &media(1080, 1920), Aspect::Vertical, range);
    assert_eq!((high[0].width, high[0].height, high[0].corner(0)), (1080.0, 1920.0, (0.0, 0.0)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_crop_stays_inside_and_never_jumps(
        places in proptest::collection::vec((0.0f64..1280.0, 0.0f64..720.0), 4..40),
        size in 20.0f32..300.0,
        aspect in prop::sample::select(vec![Aspect::Vertical, Aspect::Square, Aspect::Portrait, Aspect::Wide]),
        start_us in 0i64..1_000_000,
        turned in any::<bool>(),
    ) {
        // From place to place in half a second: faster than anybody walks.
        let at = |t: f64| {
            let before = ((t * 2.0) as usize).min(places.len() - 2);
            let share = (t * 2.0 - before as f64).clamp(0.0, 1.0);
            let (a, b) = (places[before], places[before + 1]);
            (a.0 + (b.0 - a.0) * share, a.1 + (b.1 - a.1) * share)
        };
        let end_us = places.len() as i64 * 500_000;
        let whole = span(0, end_us);
        let face = track(0, whole, size, |t| if turned { (at(t).1, at(t).0) } else { at(t) }, speaks);
        let media = if turned { media(720, 1280) } else { media(1280, 720) };
        let range = span(start_us, end_us);
        let framings = framings(&timeline(&[(0, end_us)], vec![face.clone()]), &media, aspect, range);
        check(&framings, &media, range, &face);
    }
}
