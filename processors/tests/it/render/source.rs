//! Frames and sound are exact, whatever the source is.

use std::fs;

use super::{check_clicks_loosely, check_exact, cut, numbers, plan};
use crate::marked::{self, Marked};

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
