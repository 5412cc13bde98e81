//! Whatever a video is packed in, it becomes a clip that plays in a browser: every kind through every stage.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};

use pipeline::event::Options;
use serde_json::Value;

use crate::made_talk::material;
use crate::marked::{self, CLICK_EVERY, Marked};
use crate::material::Workshop;
use crate::whole::{Finished, Whole};

/// Height of the clips of 9:16, in pixels.
const HEIGHT: u32 = 320;

/// What is known of a clip's frames and sound.
#[derive(Clone, Copy)]
enum Known {
    /// Each frame shows its number, and clicks sound with some of them.
    Marks,
    /// Clicks sound at their times, but frames are repeated or turned.
    Clicks,
    /// There is no sound.
    Silence,
}

struct Kind {
    name: &'static str,
    size: (u32, u32),
    frames: u32,
    /// Arguments between the inputs and the output file, parted at spaces.
    encode: &'static str,
    known: Known,
}

const fn kind(name: &'static str, encode: &'static str) -> Kind {
    Kind { name, size: (320, 180), frames: 75, encode, known: Known::Marks }
}

const fn shaped(name: &'static str, size: (u32, u32), encode: &'static str) -> Kind {
    Kind { name, size, frames: 75, encode, known: Known::Marks }
}

/// Pictures of other shapes and kinds.
const SHAPES: [Kind; 15] = [
    shaped("portrait.mp4", (180, 320), "-c:v libx264 -crf 10 -c:a aac"),
    Kind { known: Known::Clicks, ..kind("turned-90.mp4", "-c:v libx264 -crf 10 -c:a aac -metadata:s:v:0 rotate=90") },
    Kind { known: Known::Clicks, ..kind("turned-180.mov", "-c:v libx264 -crf 10 -c:a aac -metadata:s:v:0 rotate=180") },
    shaped("four-to-three.mp4", (240, 180), "-c:v libx264 -crf 10 -c:a aac"),
    shaped("anamorphic.mp4", (240, 180), "-vf setsar=4/3 -c:v libx264 -crf 10 -c:a aac"),
    kind("interlaced.ts", "-vf setfield=tff -c:v mpeg2video -q:v 2 -flags +ildct+ilme -g 12 -c:a mp2"),
    kind("interlaced.mp4", "-c:v libx264 -crf 10 -flags +ildct+ilme -x264opts tff=1 -c:a aac"),
    Kind {
        known: Known::Clicks,
        frames: 150,
        ..kind(
            "variable.mp4",
            "-vf select=not(between(mod(n\\,30)\\,11\\,25)) -fps_mode vfr -c:v libx264 -crf 10 -g 15 -c:a aac",
        )
    },
    kind("ten-bit.mp4", "-pix_fmt yuv420p10le -c:v libx264 -crf 10 -c:a aac"),
    shaped("odd.webm", (321, 181), "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus"),
    shaped("odd-full-colour.mkv", (323, 183), "-pix_fmt yuv444p -c:v libx264 -crf 10 -c:a flac"),
    kind(
        "several-tracks.mkv",
        "-filter_complex sine=f=300:d=2.5[b] -map 0:v -map 1:a -map [b] -disposition:a:0 default -c:v libx264 -crf 10 -c:a aac",
    ),
    Kind { frames: 30, ..kind("one-second.mp4", "-c:v libx264 -crf 10 -c:a aac") },
    Kind { frames: 240, ..kind("one-keyframe.mp4", "-c:v libx264 -crf 10 -g 9999 -sc_threshold 0 -c:a aac") },
    Kind { known: Known::Silence, ..kind("silent.mp4", "-c:v libx264 -crf 10") },
];

/// Older and plainer codecs.
const PLAIN: [Kind; 10] = [
    kind("h264.mov", "-c:v libx264 -crf 10 -bf 2 -c:a pcm_s16le"),
    kind("h264.mkv", "-c:v libx264 -crf 10 -bf 2 -c:a libopus"),
    kind("h264.ts", "-c:v libx264 -crf 10 -bf 2 -c:a aac"),
    kind("h264.avi", "-c:v libx264 -crf 10 -bf 0 -c:a libmp3lame"),
    kind("mpeg4.mp4", "-c:v mpeg4 -q:v 2 -c:a aac"),
    kind("mpeg4.mov", "-c:v mpeg4 -q:v 2 -c:a aac"),
    kind("mpeg4.mkv", "-c:v mpeg4 -q:v 2 -bf 2 -c:a libmp3lame"),
    kind("mpeg4.ts", "-c:v mpeg4 -q:v 2 -c:a ac3"),
    kind("mpeg4.avi", "-c:v mpeg4 -q:v 2 -c:a libmp3lame"),
    kind("flash.flv", "-c:v libx264 -crf 10 -c:a aac"),
];

/// Newer codecs in every container.
const NEW: [Kind; 14] = [
    kind("hevc.mp4", "-c:v libx265 -preset ultrafast -crf 10 -tag:v hvc1 -x265-params log-level=none -c:a aac"),
    kind("hevc.mov", "-c:v libx265 -preset ultrafast -crf 10 -tag:v hvc1 -x265-params log-level=none -c:a aac"),
    kind("hevc.mkv", "-c:v libx265 -preset ultrafast -crf 10 -x265-params log-level=none -c:a libopus"),
    kind("hevc.ts", "-c:v libx265 -preset ultrafast -crf 10 -x265-params log-level=none -c:a aac"),
    kind(
        "hevc.avi",
        "-c:v libx265 -preset ultrafast -crf 10 -tag:v HEVC -x265-params bframes=0:log-level=none -c:a libmp3lame",
    ),
    kind(
        "hevc-deep.mkv",
        "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -crf 10 -x265-params log-level=none -c:a aac",
    ),
    kind("vp9.mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a aac"),
    kind("vp9.mkv", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus"),
    kind("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -c:a libopus"),
    kind("vp9.avi", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -b:v 2M -c:a libmp3lame"),
    kind("av1.mp4", "-c:v libsvtav1 -preset 12 -crf 12 -c:a aac"),
    kind("av1.mkv", "-c:v libsvtav1 -preset 12 -crf 12 -c:a libopus"),
    kind("av1.webm", "-c:v libsvtav1 -preset 12 -crf 12 -c:a libopus"),
    kind("av1.avi", "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -b:v 2M -c:a libmp3lame"),
];

/// Checks what every clip must be, whatever it was made from.
#[track_caller]
pub fn check_plays(name: &str, file: &Path) {
    let path = file.to_str().unwrap();
    let told = marked::output("ffprobe", &["-v", "error", "-show_streams", "-of", "json", path]);
    let told: Value = serde_json::from_slice(&told).unwrap();
    let stream = |kind: &str| -> &Value {
        let streams = told["streams"].as_array().unwrap();
        let mut of_kind = streams.iter().filter(|s| s["codec_type"] == kind);
        let first = of_kind.next().unwrap_or_else(|| panic!("{name}: no {kind}: {told}"));
        assert!(of_kind.next().is_none(), "{name}: one stream of {kind}");
        first
    };
    let (video, audio) = (stream("video"), stream("audio"));
    let is = |what: &Value, expected: &str| assert_eq!(what, expected, "{name}: {video} {audio}");
    is(&video["codec_name"], "h264");
    is(&video["profile"], "High");
    is(&video["pix_fmt"], "yuv420p");
    is(&video["sample_aspect_ratio"], "1:1");
    is(&video["color_range"], "tv");
    is(&audio["codec_name"], "aac");
    is(&video["start_time"], "0.000000");
    is(&audio["start_time"], "0.000000");
    assert!(video["side_data_list"].is_null(), "{name}: upright as it is coded: {video}");
    let (width, height) = (video["width"].as_u64().unwrap(), video["height"].as_u64().unwrap());
    assert!(width % 2 == 0 && height == u64::from(HEIGHT) && width * 16 == height * 9, "{name}: {width}x{height}");
    let seconds = |stream: &Value| stream["duration"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((seconds(video) - seconds(audio)).abs() < 0.05, "{name}: picture and sound are as long: {told}");
    let bytes = std::fs::read(file).unwrap();
    let at = |box_name: &[u8]| bytes.windows(4).position(|window| window == box_name).unwrap();
    assert!(at(b"moov") < at(b"mdat"), "{name}: the index comes first");
}

/// Checks the frames and the sound of a clip made of a marked video.
#[track_caller]
fn check_marks(kind: &Kind, source: &Path, finished: &Finished) {
    let (name, file) = (kind.name, &finished.file);
    let samples = marked::samples(file);
    let clicks = marked::click_times(&samples);
    let first = (finished.clip.start_us as f64 * 30.0 / 1e6).ceil();
    match kind.known {
        Known::Marks => {
            let shown: Vec<u32> = marked::pictures(file).iter().map(|p| p.number(0.0, 1.0)).collect();
            // Some containers tell of a frame that is shown for longer: so it is in the clip.
            let (times_us, _) = marked::frame_times(source);
            let due = |slot: usize| {
                let at_us = ((first + slot as f64) * 1e6 / 30.0) as i64;
                times_us.partition_point(|time_us| *time_us <= at_us + 1_000) as u32 - 1
            };
            assert_eq!(shown, (0..shown.len()).map(due).collect::<Vec<_>>(), "{name}");
            assert!(marked::check_clicks(file, 30.0, &shown) > 0, "{name}: clicks are heard");
        }
        Known::Clicks => {
            let every_s = f64::from(CLICK_EVERY) / 30.0;
            let off =
                |at: &f64| ((at + first / 30.0) / every_s - ((at + first / 30.0) / every_s).round()).abs() * every_s;
            let inside: Vec<f64> = clicks.iter().copied().filter(|at| *at > 0.03).collect();
            assert!(inside.len() > 3 && inside.iter().all(|at| off(at) < 0.02), "{name}: {clicks:?}");
        }
        Known::Silence => assert!(samples.iter().all(|s| s.abs() < 1e-3) && !samples.is_empty(), "{name}"),
    }
}

async fn check_kinds(kinds: &[Kind]) {
    let folder = tempfile::tempdir().unwrap();
    let whole = Whole::new();
    for kind in kinds {
        let encode: Vec<&str> = kind.encode.split(' ').collect();
        let (width, height) = kind.size;
        let sound = !matches!(kind.known, Known::Silence);
        let source =
            Marked { width, height, frames: kind.frames, name: kind.name, encode: &encode, sound, ..Marked::default() };
        let source = source.make(folder.path());
        println!("{}", kind.name);
        let (planned, finished) = whole.make(&source, Options { height: HEIGHT, ..Options::default() }).await;
        assert!(!finished.is_empty(), "{}: a clip at least", kind.name);
        assert!(planned.transcripts.iter().all(|t| t.words.is_empty()), "{}: clicks are no words", kind.name);
        for clip in &finished {
            check_plays(kind.name, &clip.file);
            check_marks(kind, &source, clip);
            // What is shorter than the shortest clip is shown whole, but for a frame that a container may lose.
            let length = (clip.clip.end_us - clip.clip.start_us) as f64 / 1e6;
            let whole = f64::from(kind.frames) / 30.0;
            assert!(length > whole - 0.1 && length < whole + 0.1, "{}: {length} of {whole} s", kind.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_any_shape_become_clips() {
    check_kinds(&SHAPES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_codecs_become_clips_in_any_container() {
    check_kinds(&PLAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_codecs_become_clips_in_any_container() {
    check_kinds(&NEW).await;
}

/// Makes a video and its clips; returns each clip's file.
async fn clips_of(whole: &Whole, source: &Path) -> Vec<PathBuf> {
    let (_, finished) = whole.make(source, Options { height: HEIGHT, ..Options::default() }).await;
    for clip in &finished {
        check_plays(&source.display().to_string(), &clip.file);
    }
    assert!(!finished.is_empty());
    finished.into_iter().map(|clip| clip.file).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn turned_pictures_are_upright_in_the_clip() {
    let shop = Workshop::new();
    let whole = Whole::new();
    // A white bar at what the viewer sees as the top; the picture is coded lying on its side or on its head.
    let upright = shop.make(
        "-f lavfi -i color=0x404040:s=180x320:r=25:d=2,drawbox=w=180:h=80:c=white:t=fill -c:v libx264 -crf 10",
        "upright.mp4",
    );
    for (turn, tag) in [("transpose=clock", "90"), ("hflip,vflip", "180"), ("transpose=cclock", "270")] {
        let coded = shop
            .make(&format!("-i {} -vf {turn} -c:v libx264 -crf 10", upright.display()), &format!("coded-{tag}.mp4"));
        let source =
            shop.make(&format!("-i {} -c copy -metadata:s:v:0 rotate={tag}", coded.display()), &format!("{tag}.mov"));
        for file in clips_of(&whole, &source).await {
            let picture = &marked::pictures(&file)[10];
            let (top, bottom) = (picture.mean((0.1, 0.9), (0.05, 0.2)), picture.mean((0.1, 0.9), (0.4, 0.95)));
            assert!(top > 200.0 && bottom < 90.0, "{tag}: {top} at the top, {bottom} below");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_without_a_voice_becomes_a_clip_that_shows_it() {
    let shop = Workshop::new();
    let whole = Whole::new();
    let picture = material().join("astronaut.png").display().to_string();
    let still = format!("-loop 1 -framerate 25 -t 4 -i {picture} -vf scale=180:180,pad=320:180:140:0:gray");
    let source = shop.make(&format!("{still} -c:v libx264 -crf 16 -pix_fmt yuv420p"), "face.mp4");
    let (planned, finished) = whole.make(&source, Options { height: HEIGHT, ..Options::default() }).await;
    check_plays("face.mp4", &finished[0].file);
    // The face lies at 140 + 184 * 180 / 512 = 205 to 234 of 320 pixels; the crop is 101 wide.
    let framing = &planned.clips[0].clip.framings[0];
    let (x, _) = framing.corner(0);
    assert!(x < 205.0 && x + framing.width > 234.0 && x > 110.0, "{framing:?}");
}
