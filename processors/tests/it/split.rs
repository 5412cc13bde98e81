//! The stage `split`: its pieces are the video, whole and exact.

use std::path::Path;

use pipeline::event::{
    AudioSegment, Event, Options, Place, SegmentReport, SegmentReportKind, VideoReady, VideoSegment,
};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::split::{Split, SplitArgs};

use crate::material::{PICTURE, SOUND, Workshop, job, look_at, run, upload};

/// What splitting gave.
struct Pieces {
    ready: VideoReady,
    video: Vec<VideoSegment>,
    audio: Vec<AudioSegment>,
    reports: Vec<SegmentReport>,
}

fn args(target_s: u64) -> SplitArgs {
    SplitArgs {
        segment_target: std::time::Duration::from_secs(target_s),
        segment_enough_bytes: 3 << 20,
        segment_memory_bytes: 16 << 20,
    }
}

async fn split(shop: &Workshop, path: &Path, args: SplitArgs, options: Options) -> Pieces {
    let services = shop.services();
    let job = job(options);
    let media = look_at(path).expect("admitted");
    let source = upload(&services, &job, path).await;
    let ready = VideoReady { job, source, media };
    let (outbox, collected) = Collected::outbox();
    let stage = Split::new(services, args).expect("stage");
    stage.process(ready.clone(), &outbox).await.expect("split");
    let mut pieces = Pieces { ready, video: Vec::new(), audio: Vec::new(), reports: Vec::new() };
    for envelope in collected.take() {
        match envelope.topic {
            Topic::SegmentVideo => pieces.video.push(VideoSegment::read(&envelope.body).expect("video")),
            Topic::SegmentAudio => pieces.audio.push(AudioSegment::read(&envelope.body).expect("audio")),
            Topic::SegmentDone => pieces.reports.push(SegmentReport::read(&envelope.body).expect("report")),
            _ => {}
        }
    }
    pieces
}

fn bytes(shop: &Workshop, place: Option<&Place>) -> Vec<u8> {
    match place.expect("a place") {
        Place::Inline(bytes) => bytes.to_vec(),
        Place::Blob(blob) => std::fs::read(shop.path("blobs").join(&blob.key)).expect("blob"),
    }
}

/// A decoded frame: its time in microseconds and the hash of its picture.
type Frame = (i64, String);

/// Decodes `path` with the `ffmpeg` command. Times are the container's.
fn frames(path: &Path, stream: &str) -> Vec<Frame> {
    let after = format!("-map {stream} -vsync passthrough -enc_time_base 1:1000000 -f framemd5 -");
    let listing = run("ffmpeg", "-copyts -i", path, &after);
    let rows = listing.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        (cells[2].parse().expect("pts"), cells[5].to_owned())
    })
    .collect()
}

/// Decodes every piece on its own and keeps the frames of its span.
fn frames_of_pieces(shop: &Workshop, pieces: &Pieces) -> Vec<Frame> {
    let mut all = Vec::new();
    for segment in &pieces.video {
        let path = shop.write("piece.nut", &bytes(shop, segment.file.place.as_ref()));
        let timed = frames(&path, "0:v").into_iter().map(|(at, hash)| (at - segment.media.origin_us, hash));
        all.extend(timed.filter(|(at, _)| (segment.start_us..segment.end_us).contains(at)));
    }
    all
}

/// Every frame of the source is in exactly one piece, with its time.
#[track_caller]
fn check_picture(shop: &Workshop, path: &Path, pieces: &Pieces) {
    let media = &pieces.ready.media;
    let source = frames(path, &format!("0:{}", media.video_stream));
    let source: Vec<Frame> = source.into_iter().map(|(at, hash)| (at - media.origin_us, hash)).collect();
    let found = frames_of_pieces(shop, pieces);
    let times = |frames: &[Frame]| frames.iter().map(|f| f.0).collect::<Vec<_>>();
    let name = path.file_name().expect("name").to_string_lossy().into_owned();
    assert_eq!(found.len(), source.len(), "{name}: {:?} and {:?}", times(&found), times(&source));
    for (found, source) in found.iter().zip(&source) {
        assert!((found.0 - source.0).abs() <= 1, "{name}: {} and {}", found.0, source.0);
        assert_eq!(found.1, source.1, "{name}: picture at {}", source.0);
    }
    for pair in pieces.video.windows(2) {
        assert_eq!(pair[0].end_us, pair[1].start_us, "{name}");
        assert_eq!(pair[0].index + 1, pair[1].index, "{name}");
    }
    assert_eq!(pieces.video.first().map(|s| s.start_us), Some(0), "{name}");
}

/// The pieces of sound together.
fn samples(shop: &Workshop, pieces: &Pieces) -> Vec<i16> {
    let bytes = pieces.audio.iter().flat_map(|segment| bytes(shop, segment.samples.place.as_ref()));
    let bytes: Vec<u8> = bytes.collect();
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_the_video_whatever_the_container() {
    let shop = Workshop::new();
    for (name, options) in [
        ("h264.mp4", "-c:v libx264 -bf 3 -g 20"),
        ("open.mp4", "-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1:scenecut=0"),
        ("hevc.mp4", "-c:v libx265 -preset ultrafast -g 20 -x265-params log-level=none:bframes=3"),
        ("open.mkv", "-c:v libx265 -preset ultrafast -g 20 -x265-params log-level=none:open-gop=1:bframes=3"),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 20"),
        ("vp8.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -g 20"),
        ("av1.mkv", "-c:v libsvtav1 -preset 12 -g 20"),
        ("h264.ts", "-c:v libx264 -bf 3 -g 20"),
        ("mpeg2.ts", "-c:v mpeg2video -bf 2 -g 20"),
        ("h264.flv", "-c:v libx264 -bf 3 -g 20"),
        ("mpeg4.avi", "-c:v mpeg4 -g 20"),
        ("mpeg4.mp4", "-c:v mpeg4 -bf 2 -g 20"),
        ("mjpeg.mov", "-c:v mjpeg"),
        ("prores.mov", "-c:v prores_ks"),
        ("short.mp4", "-c:v libx264 -g 20 -t 0.2"),
        ("one_frame.mp4", "-c:v libx264 -frames:v 1"),
        ("one_key.mp4", "-c:v libx264 -g 1000 -bf 2 -x264-params scenecut=0"),
        ("odd.mkv", "-c:v libx264 -g 20 -pix_fmt yuv444p -vf scale=161:121"),
        ("ten_bit.mkv", "-c:v libx264 -g 20 -pix_fmt yuv420p10le"),
        ("vfr.mkv", "-c:v libx264 -g 20 -vf select=mod(n\\,7)*mod(n\\,5) -vsync vfr"),
        ("late.ts", "-c:v libx264 -g 20 -output_ts_offset 3600"),
        ("ntsc.mp4", "-vf fps=30000/1001 -c:v libx264 -bf 2 -g 20"),
    ] {
        let path = shop.make(&format!("{PICTURE} {options}"), name);
        let pieces = split(&shop, &path, args(1), Options::default()).await;
        check_picture(&shop, &path, &pieces);
        assert!(pieces.audio.is_empty(), "{name}");
        let several = !matches!(name, "short.mp4" | "one_frame.mp4" | "one_key.mp4");
        assert_eq!(pieces.video.len() > 1, several, "{name}: {} pieces", pieces.video.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_is_what_ffmpeg_makes_of_it() {
    let shop = Workshop::new();
    for (name, options) in [
        ("aac.mp4", "-c:a aac"),
        ("opus.mkv", "-c:a libopus"),
        ("mp3.ts", "-c:a libmp3lame"),
        ("pcm.avi", "-c:a pcm_s16le -ar 8000"),
        ("stereo.mov", "-c:a aac -ac 2 -ar 48000"),
        ("surround.mkv", "-c:a ac3 -ac 6 -ar 48000"),
    ] {
        let path = shop.make(&format!("{PICTURE} {SOUND} -c:v libx264 -preset ultrafast -bf 0 {options}"), name);
        let pieces = split(&shop, &path, args(1), Options::default()).await;
        let ours = samples(&shop, &pieces);
        let raw = shop.path("reference.s16");
        run(
            "ffmpeg",
            "-y -i",
            &path,
            &format!("-vn -af aresample=16000:async=1:first_pts=0 -ac 1 -f s16le {}", raw.display()),
        );
        let theirs: Vec<i16> = std::fs::read(&raw)
            .expect("reference")
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert!(ours.len().abs_diff(theirs.len()) < 1700, "{name}: {} and {}", ours.len(), theirs.len());
        let (delay, likeness) = best_delay(&ours, &theirs);
        assert!(likeness > 0.99 && delay.abs() <= 80, "{name}: delay {delay}, likeness {likeness}");
    }
}

/// The delay of `a` against `b`, in samples, at which they are most alike, and how alike they are then.
fn best_delay(a: &[i16], b: &[i16]) -> (i64, f64) {
    let likeness = |delay: i64| {
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for i in 8_000..48_000_i64 {
            let (x, y) = (f64::from(a[i as usize]), f64::from(b[(i - delay) as usize]));
            (ab, aa, bb) = (ab + x * y, aa + x * x, bb + y * y);
        }
        ab / (aa * bb).sqrt().max(1.0)
    };
    (-160..=160).map(|delay| (delay, likeness(delay))).max_by(|x, y| x.1.total_cmp(&y.1)).expect("delays")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_what_was_sent() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} {SOUND} -c:v libx264 -g 20 -c:a aac"), "a.mp4");
    let pieces = split(&shop, &path, args(1), Options::default()).await;
    assert_eq!(pieces.reports.len(), 1);
    let Some(SegmentReportKind::Total(total)) = &pieces.reports[0].kind else { panic!("a total") };
    assert_eq!((total.audio as usize, total.video as usize), (pieces.audio.len(), pieces.video.len()));
    assert!(total.last && total.video > 2 && total.audio == 1);
    assert_eq!((total.start_us, total.end_us), (0, pieces.ready.media.duration_us));
}
