//! Clips are exact: frames, sound, crop, whatever the source is.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod picture;
mod sound;
mod source;

use std::fs::File;
use std::path::{Path, PathBuf};

use pipeline::event::{Framing, FramingMode, Keyframe, MediaInfo};
use pipeline::outbox::Pulse;
use processors::media::render::{Encoding, Error, Plan, Rendered, render};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::marked;

struct Clip {
    file: PathBuf,
    made: Rendered,
    _folder: TempDir,
}

fn plan(media: MediaInfo, span_us: (i64, i64)) -> Plan {
    Plan {
        media,
        start_us: span_us.0,
        end_us: span_us.1,
        framings: Vec::new(),
        width: 180,
        height: 320,
        subtitles: None,
        encoding: Encoding { preset: "ultrafast".into(), crf: 12.0, encode_threads: 1, decode_threads: 1 },
    }
}

fn framing(mode: FramingMode, span_us: (i64, i64), size: (f64, f64), corners: &[(i64, f64, f64)]) -> Framing {
    Framing {
        start_us: span_us.0,
        end_us: span_us.1,
        mode: mode as i32,
        width: size.0,
        height: size.1,
        keyframes: corners.iter().map(|&(at_us, x, y)| Keyframe { at_us, x, y }).collect(),
        reason: String::new(),
    }
}

fn try_cut(source: &Path, plan: &Plan, to: &Path) -> Result<Rendered, Error> {
    let pulse = Pulse::new(CancellationToken::new());
    render(File::open(source).unwrap(), plan, to, &pulse)
}

#[track_caller]
fn cut(source: &Path, plan: &Plan) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    match try_cut(source, plan, &file) {
        Ok(made) => Clip { file, made, _folder: folder },
        Err(error) => panic!("{:#}", anyhow::Error::from(error)),
    }
}

/// Frames with a time in the span, by number.
fn expected(times: &[i64], span_us: (i64, i64)) -> Vec<u32> {
    (0..times.len() as u32).filter(|&i| (span_us.0..span_us.1).contains(&times[i as usize])).collect()
}

fn numbers(clip: &Clip) -> Vec<u32> {
    marked::pictures(&clip.file).iter().map(|p| p.number(0.0, 1.0)).collect()
}

/// Checks that a clip from `span_us` has exactly the frames of that span, and clicks where the picture says.
#[track_caller]
fn check_exact(source: &Path, span_us: (i64, i64)) -> Clip {
    let media = marked::media_info(source);
    let (times, _) = marked::frame_times(source);
    let clip = cut(source, &plan(media, span_us));
    let shown = numbers(&clip);
    assert_eq!(shown, expected(&times, span_us));
    let clicked = check_clicks(&clip, &shown);
    assert!(clicked > 0, "no click was heard");
    clip
}

/// Checks that a clip clicks where its picture says; returns how often.
#[track_caller]
fn check_clicks(clip: &Clip, shown: &[u32]) -> usize {
    let rate = f64::from(clip.made.frame_rate.0) / f64::from(clip.made.frame_rate.1);
    marked::check_clicks(&clip.file, rate, shown)
}

/// Clicks are where the source's clock says, though frames were dropped.
#[track_caller]
fn check_clicks_loosely(clip: &Clip, first: u32) {
    for heard in marked::click_times(&marked::samples(&clip.file)).iter().filter(|t| **t > 0.03) {
        let number = f64::from(first) + heard * 30.0;
        let off = (number / 10.0 - (number / 10.0).round()).abs() * 10.0 / 30.0;
        assert!(off < 0.02, "click at {heard} is {off} s off");
    }
}
