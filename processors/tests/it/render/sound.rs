//! Sound is there in full, or silence is.

use super::{check_clicks_loosely, cut, plan};
use crate::marked::{self, Marked};

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
