//! Clips are exact: frames, sound, crop, whatever the source is.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use pipeline::event::{Framing, FramingMode, Keyframe, MediaInfo};
use pipeline::outbox::Pulse;
use processors::media::render::{Encoding, Error, Plan, Rendered, render};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::marked::{self, CLICK_EVERY, Marked};

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

/// Every click lies within 20 ms of a frame that clicks, and every frame that clicks has one; returns how many.
#[track_caller]
fn check_clicks(clip: &Clip, shown: &[u32]) -> usize {
    let rate = f64::from(clip.made.frame_rate.0) / f64::from(clip.made.frame_rate.1);
    let length = shown.len() as f64 / rate;
    // Clicks at the very ends are faded.
    let inside = |t: &&f64| **t > 0.03 && **t < length - 0.06;
    let heard = marked::click_times(&marked::samples(&clip.file));
    let clicks = |slot: &usize| shown[*slot] % CLICK_EVERY == 0 && (*slot == 0 || shown[*slot - 1] != shown[*slot]);
    let due: Vec<f64> = (0..shown.len()).filter(clicks).map(|slot| slot as f64 / rate).collect();
    let near = |all: &[f64], t: f64| all.iter().any(|other| (other - t).abs() < 0.02);
    assert!(due.iter().filter(inside).all(|&t| near(&heard, t)), "heard {heard:?}, due {due:?}");
    assert!(heard.iter().filter(inside).all(|&t| near(&due, t)), "heard {heard:?}, due {due:?}");
    due.iter().filter(inside).count()
}

#[test]
fn frames_and_sound_are_exact_at_any_start() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    for span in [(0, 1_000_000), (1_600_000, 2_600_000), (1_610_000, 3_333_000), (3_900_000, 5_000_000)] {
        let clip = check_exact(&source, span);
        assert_eq!(clip.made.frame_rate, (30, 1));
        assert!(clip.made.first_us >= span.0 && clip.made.first_us < span.0 + 33_400);
    }
}

#[test]
fn clips_play_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    for preset in ["ultrafast", "superfast", "veryfast"] {
        let mut plan = plan(marked::media_info(&source), (1_000_000, 2_000_000));
        plan.encoding.preset = preset.into();
        let clip = cut(&source, &plan);
        let video = |entry: &str| marked::ffprobe(&clip.file, "v:0", &format!("stream={entry}"));
        assert_eq!(
            (video("codec_name"), video("profile"), video("pix_fmt")),
            ("h264".into(), "High".into(), "yuv420p".into())
        );
        assert_eq!(
            (video("width"), video("height"), video("sample_aspect_ratio")),
            ("180".into(), "320".into(), "1:1".into())
        );
        assert_eq!((video("color_range"), video("color_space")), ("tv".into(), "smpte170m".into()));
        assert_eq!(
            (video("nb_frames"), video("r_frame_rate"), video("start_time")),
            ("30".into(), "30/1".into(), "0.000000".into())
        );
        let audio = |entry: &str| marked::ffprobe(&clip.file, "a:0", &format!("stream={entry}"));
        assert_eq!((audio("codec_name"), audio("profile")), ("aac".into(), "LC".into()));
        assert_eq!((audio("sample_rate"), audio("channels")), ("48000".into(), "2".into()));
        let bytes = fs::read(&clip.file).unwrap();
        let at = |name: &[u8]| bytes.windows(4).position(|w| w == name).unwrap();
        assert!(at(b"moov") < at(b"mdat"), "the index comes first");
        assert!(clip.made.poster.starts_with(&[0xff, 0xd8, 0xff]));
    }
}

#[track_caller]
fn check_source(marked: Marked<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let source = marked.make(folder.path());
    check_exact(&source, (1_700_000, 3_400_000));
    check_exact(&source, (0, 700_000));
}

#[test]
fn matroska() {
    check_source(Marked { name: "source.mkv", ..Marked::default() });
}

#[test]
fn webm_vp9_opus() {
    let encode =
        ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M", "-g", "60", "-c:a", "libopus"];
    check_source(Marked { name: "source.webm", encode: &encode, ..Marked::default() });
}

#[test]
fn transport_stream_with_b_frames() {
    let encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-g", "40", "-bf", "3", "-c:a", "aac"];
    check_source(Marked { name: "source.ts", encode: &encode, ..Marked::default() });
}

#[test]
fn avi_mpeg4_mp3() {
    let encode = ["-c:v", "mpeg4", "-q:v", "2", "-g", "40", "-c:a", "libmp3lame"];
    let folder = tempfile::tempdir().unwrap();
    let source = Marked { name: "source.avi", encode: &encode, ..Marked::default() }.make(folder.path());
    check_exact(&source, (1_700_000, 3_400_000));
}

#[test]
fn hevc_with_open_groups() {
    let encode = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "10",
        "-x265-params",
        "keyint=40:open-gop=1:bframes=3:log-level=none",
        "-c:a",
        "aac",
    ];
    check_source(Marked { encode: &encode, ..Marked::default() });
}

#[test]
fn one_keyframe_in_all() {
    let encode =
        ["-c:v", "libx264", "-preset", "veryfast", "-crf", "8", "-g", "9999", "-sc_threshold", "0", "-c:a", "aac"];
    check_source(Marked { encode: &encode, ..Marked::default() });
}

#[test]
fn ntsc_rate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked { rate: (30_000, 1001), name: "source.mkv", ..Marked::default() }.make(folder.path());
    let clip = check_exact(&source, (1_234_567, 3_456_789));
    assert_eq!(clip.made.frame_rate, (30_000, 1001));
}

#[test]
fn fast_sources_are_halved() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked { rate: (120, 1), frames: 300, ..Marked::default() }.make(folder.path());
    let clip = cut(&source, &plan(marked::media_info(&source), (500_000, 1_500_000)));
    assert_eq!((clip.made.frames, clip.made.frame_rate), (60, (60, 1)));
    let shown = numbers(&clip);
    assert!(shown.iter().enumerate().all(|(i, n)| (*n as i64 - (60 + 2 * i as i64)).abs() <= 1), "{shown:?}");
}

#[test]
fn variable_rate_becomes_even_and_stays_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let drop = "select='not(between(mod(n,30),11,25))',setpts=PTS";
    let encode = [
        "-vf",
        drop,
        "-fps_mode",
        "vfr",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-crf",
        "8",
        "-g",
        "15",
        "-c:a",
        "aac",
    ];
    let source = Marked { encode: &encode, frames: 240, ..Marked::default() }.make(folder.path());
    let media = marked::media_info(&source);
    let clip = cut(&source, &plan(media, (1_000_000, 5_000_000)));
    assert_eq!(clip.made.frame_rate, (15, 1));
    assert_eq!(clip.made.frames, 60);
    // Frame n of the generator is shown n / 30 s after the start, or until the next one that is left.
    for (slot, number) in numbers(&clip).iter().enumerate() {
        let due = 30 + slot as i64 * 2;
        let left = (0..=due).rev().find(|n| !(11..=25).contains(&(n % 30))).unwrap();
        assert!((i64::from(*number) - left).abs() <= 1, "slot {slot} shows {number}, due {left}");
    }
    check_clicks_loosely(&clip, 30);
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

#[test]
fn a_source_without_sound_gives_a_silent_track() {
    let folder = tempfile::tempdir().unwrap();
    let encode = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8"];
    let source = Marked { sound: false, encode: &encode, ..Marked::default() }.make(folder.path());
    let clip = cut(&source, &plan(marked::media_info(&source), (1_000_000, 2_500_000)));
    let samples = marked::samples(&clip.file);
    assert!((samples.len() as i64 - 72_000).abs() < 1100 && samples.iter().all(|s| s.abs() < 1e-3));
}

#[test]
fn sound_that_starts_late_and_ends_early_is_filled_with_silence() {
    let folder = tempfile::tempdir().unwrap();
    let encode = ["-af", "atrim=1.5:3.1", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-c:a", "aac"];
    let source = Marked { name: "source.mkv", encode: &encode, ..Marked::default() }.make(folder.path());
    let media = marked::media_info(&source);
    let clip = cut(&source, &plan(media, (1_000_000, 4_000_000)));
    let heard = marked::click_times(&marked::samples(&clip.file));
    assert!(!heard.is_empty() && heard.iter().all(|t| (0.48..2.12).contains(t)), "{heard:?}");
    check_clicks_loosely(&clip, 30);
    assert_eq!(clip.made.frames, 90);
}

#[test]
fn loudness_is_left_alone_and_ends_are_faded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tone.mp4");
    let tone = "sine=f=440:d=5:r=44100";
    marked::output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=320x180:r=25:d=5",
            "-f",
            "lavfi",
            "-i",
            tone,
            "-ac",
            "1",
            "-b:a",
            "192k",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            path.to_str().unwrap(),
        ],
    );
    let clip = cut(&path, &plan(marked::media_info(&path), (1_000_000, 3_000_000)));
    let peak = |part: &[f32]| part.iter().fold(0.0_f32, |most, s| most.max(s.abs()));
    let (before, after) = (marked::samples_mono(&path), marked::samples(&clip.file));
    let (before, after_middle) = (peak(&before[96_000..120_000]), peak(&after[24_000..72_000]));
    assert!((before - after_middle).abs() < 0.1 * before, "{before} became {after_middle}");
    assert!(peak(&after[..240]) < 0.3 * after_middle, "fades in");
    assert!(peak(&after[95_760..96_000]) < 0.3 * after_middle, "fades out");
}

#[test]
fn the_crop_is_where_the_path_says() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    let span = (1_000_000, 3_000_000);
    let mut plan = plan(marked::media_info(&source), span);
    let size = (202.5, 360.0);
    plan.framings = vec![
        framing(FramingMode::Still, (1_000_000, 1_500_000), size, &[(1_000_000, 30.0, 0.0)]),
        framing(FramingMode::Pan, (1_500_000, 3_000_000), size, &[(1_500_000, 400.0, 0.0), (3_000_000, 100.0, 0.0)]),
    ];
    let clip = cut(&source, &plan);
    for (slot, picture) in marked::pictures(&clip.file).iter().enumerate() {
        let at_us = 1_000_000 + slot as i64 * 1_000_000 / 30;
        let corner = if slot < 15 { 30.0 } else { 400.0 - 300.0 * (at_us - 1_500_000) as f64 / 1_500_000.0 };
        let (x, y) = picture.place((0.2, 0.8), (0.3, 0.7));
        let due = (corner + 101.25) / 640.0;
        assert!((x - due).abs() < 0.006, "slot {slot}: {} px instead of {}", x * 640.0, due * 640.0);
        assert!((y - 0.5).abs() < 0.01);
        assert_eq!(picture.number(0.0, 1.0) as usize, 30 + slot);
    }
}

#[test]
fn a_crop_of_part_of_the_height_is_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    let span = (1_000_000, 1_500_000);
    let mut plan = plan(marked::media_info(&source), span);
    plan.framings = vec![framing(FramingMode::Still, span, (90.0, 160.0), &[(0, 500.0, 180.0)])];
    let clip = cut(&source, &plan);
    for picture in marked::pictures(&clip.file) {
        let (left, top) = picture.place((0.0, 0.1), (0.0, 0.1));
        let (right, bottom) = picture.place((0.9, 1.0), (0.9, 1.0));
        assert!((left * 640.0 - 504.5).abs() < 4.0 && (right * 640.0 - 585.5).abs() < 4.0, "{left} {right}");
        assert!((top * 360.0 - 188.0).abs() < 4.0 && (bottom * 360.0 - 332.0).abs() < 4.0, "{top} {bottom}");
    }
}

#[test]
fn padding_shows_all_of_the_picture_between_dim_bars() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    let span = (1_000_000, 2_000_000);
    let mut plan = plan(marked::media_info(&source), span);
    plan.framings = vec![framing(FramingMode::Pad, span, (640.0, 360.0), &[(0, 0.0, 0.0)])];
    let clip = cut(&source, &plan);
    // 180 x 101 of 320 lines: the picture lies from 0.34 to 0.66.
    for (slot, picture) in marked::pictures(&clip.file).iter().enumerate() {
        assert_eq!(picture.number(0.3425, 0.6575) as usize, 30 + slot);
        let (left, _) = picture.place((0.0, 0.04), (0.4, 0.6));
        let (right, _) = picture.place((0.96, 1.0), (0.4, 0.6));
        assert!(left < 0.06 && right > 0.94, "{left} {right}");
        assert!(picture.mean((0.0, 1.0), (0.0, 0.3)) < 110.0, "bars are dim");
    }
}

#[test]
fn turned_sources_are_upright() {
    let folder = tempfile::tempdir().unwrap();
    // Coded lying down: what the marks call left to right goes from top to bottom on the screen.
    let source = Marked::default().make(folder.path());
    // FFmpeg's tag turns against the clock, `MediaInfo` with it.
    for (tag, clockwise) in [("270", 90), ("180", 180), ("90", 270)] {
        let name = format!("r{tag}.mp4");
        let turned = folder.path().join(name);
        marked::output(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-i",
                source.to_str().unwrap(),
                "-c",
                "copy",
                "-metadata:s:v:0",
                &format!("rotate={tag}"),
                turned.to_str().unwrap(),
            ],
        );
        let media = marked::media_info(&turned);
        assert_eq!(media.rotation_degrees, clockwise);
        let clip = cut(&turned, &plan(media, (1_000_000, 1_500_000)));
        let picture = &marked::pictures(&clip.file)[3];
        let ((ux, vx), (uy, vy)) = (picture.place((0.8, 1.0), (0.4, 0.6)), picture.place((0.4, 0.6), (0.8, 1.0)));
        // Clockwise by 90: the source's bottom is at the left, its left at the top.
        match clockwise {
            90 => assert!(vx < 0.5 && uy > 0.6, "{vx} {uy}"),
            180 => assert!(ux < 0.5 && vy < 0.4, "{ux} {vy}"),
            _ => assert!(vx > 0.5 && uy < 0.4, "{vx} {uy}"),
        }
    }
}

#[test]
fn stretched_samples_are_put_right() {
    let folder = tempfile::tempdir().unwrap();
    let encode = ["-vf", "setsar=16/9", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-c:a", "aac"];
    let source = Marked { width: 360, height: 360, encode: &encode, ..Marked::default() }.make(folder.path());
    let media = marked::media_info(&source);
    assert_eq!((media.width, media.height), (640, 360));
    let span = (1_000_000, 1_500_000);
    let mut plan = plan(media, span);
    plan.framings = vec![framing(FramingMode::Still, span, (202.5, 360.0), &[(0, 320.0, 0.0)])];
    let clip = cut(&source, &plan);
    let (x, _) = marked::pictures(&clip.file)[0].place((0.4, 0.6), (0.4, 0.6));
    assert!((x * 640.0 - 421.25).abs() < 5.0, "{}", x * 640.0);
}

#[test]
fn interlaced_odd_deep_and_full_range_sources_become_plain() {
    let cases: [(&str, (u32, u32), &[&str]); 5] = [
        (
            "interlaced.ts",
            (640, 360),
            &[
                "-vf",
                "setfield=tff",
                "-c:v",
                "mpeg2video",
                "-q:v",
                "2",
                "-flags",
                "+ildct+ilme",
                "-g",
                "12",
                "-c:a",
                "mp2",
            ],
        ),
        (
            "odd.mkv",
            (635, 357),
            &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "4M", "-c:a", "libopus"],
        ),
        (
            "deep.mp4",
            (640, 360),
            &["-pix_fmt", "yuv420p10le", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-c:a", "aac"],
        ),
        (
            "full.mp4",
            (640, 360),
            &["-pix_fmt", "yuvj420p", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-c:a", "aac"],
        ),
        ("chroma.mkv", (640, 360), &["-pix_fmt", "yuv444p", "-c:v", "ffv1", "-c:a", "flac"]),
    ];
    for (name, (width, height), encode) in cases {
        let folder = tempfile::tempdir().unwrap();
        let source = Marked { width, height, name, encode, ..Marked::default() }.make(folder.path());
        let media = marked::media_info(&source);
        assert_eq!(media.interlaced, name.starts_with("inter"), "{name}");
        let clip = cut(&source, &plan(media, (1_000_000, 2_000_000)));
        let pictures = marked::pictures(&clip.file);
        let shown: Vec<u32> = pictures.iter().map(|p| p.number(0.0, 1.0)).collect();
        assert_eq!(shown, (30..60).collect::<Vec<_>>(), "{name}");
        check_clicks(&clip, &shown);
        // Frame 30 is 0b11110: the lowest band is dark, as dark as it was.
        let dark = pictures[0].mean((0.1, 0.9), (0.01, 0.07));
        let bright = pictures[0].mean((0.1, 0.9), (0.1, 0.4));
        assert!((dark - 60.0).abs() < 5.0 && (bright - 200.0).abs() < 5.0, "{name}: {dark} {bright}");
    }
}

#[test]
fn a_span_without_picture_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    let plan = plan(marked::media_info(&source), (60_000_000, 70_000_000));
    let failed = try_cut(&source, &plan, &folder.path().join("none.mp4"));
    assert!(matches!(failed, Err(Error::NoPicture { .. })), "{failed:?}");
}

#[test]
fn rendering_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = Marked::default().make(folder.path());
    let plan = plan(marked::media_info(&source), (0, 4_000_000));
    let stop = CancellationToken::new();
    let pulse = Pulse::new(stop.clone());
    stop.cancel();
    let stopped = render(File::open(&source).unwrap(), &plan, &folder.path().join("clip.mp4"), &pulse);
    assert!(matches!(stopped, Err(Error::Stopped(_))), "{stopped:?}");
}

#[test]
fn a_black_source_is_no_fault_of_the_clip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("black.mp4");
    marked::output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "color=black:s=320x180:r=25:d=3",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            path.to_str().unwrap(),
        ],
    );
    let clip = cut(&path, &plan(marked::media_info(&path), (500_000, 2_500_000)));
    assert_eq!(clip.made.frames, 50);
}
