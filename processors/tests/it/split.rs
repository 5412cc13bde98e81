//! The stage `split`: its pieces are the video, whole and exact.

use std::path::Path;

use pipeline::event::{
    AudioSegment, Event, Options, Place, SegmentReport, SegmentReportKind, VideoReady, VideoSegment,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::split::{Split, SplitArgs};

use crate::material::{PICTURE, SOUND, Workshop, job, look_at, run, split_args, upload};

/// What splitting gave.
struct Pieces {
    ready: VideoReady,
    video: Vec<VideoSegment>,
    audio: Vec<AudioSegment>,
    reports: Vec<SegmentReport>,
}

async fn split(shop: &Workshop, path: &Path, args: SplitArgs, options: Options) -> Pieces {
    try_split(shop, path, args, options).await.expect("split")
}

async fn try_split(shop: &Workshop, path: &Path, args: SplitArgs, options: Options) -> Result<Pieces, Failure> {
    let services = shop.services();
    let job = job(options);
    let media = look_at(path)?;
    let source = upload(&services, &job, path).await;
    let ready = VideoReady { job, source, media };
    let (outbox, collected) = Collected::outbox();
    let stage = Split::new(services, args).expect("stage");
    stage.process(ready.clone(), &outbox).await?;
    let mut pieces = Pieces { ready, video: Vec::new(), audio: Vec::new(), reports: Vec::new() };
    for envelope in collected.take() {
        match envelope.topic {
            Topic::SegmentVideo => pieces.video.push(VideoSegment::read(&envelope.body).expect("video")),
            Topic::SegmentAudio => pieces.audio.push(AudioSegment::read(&envelope.body).expect("audio")),
            Topic::SegmentDone => pieces.reports.push(SegmentReport::read(&envelope.body).expect("report")),
            _ => {}
        }
    }
    Ok(pieces)
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

/// Says how the pieces differ from the source, in which every frame is in exactly one piece with its time.
fn difference(shop: &Workshop, path: &Path, pieces: &Pieces) -> Option<String> {
    let media = &pieces.ready.media;
    let source = frames(path, &format!("0:{}", media.video_stream));
    let source: Vec<Frame> = source.into_iter().map(|(at, hash)| (at - media.origin_us, hash)).collect();
    let found = frames_of_pieces(shop, pieces);
    let times = |frames: &[Frame]| frames.iter().map(|f| f.0).collect::<Vec<_>>();
    if found.len() != source.len() {
        return Some(format!("{:?} and {:?}", times(&found), times(&source)));
    }
    for (found, source) in found.iter().zip(&source) {
        if (found.0 - source.0).abs() > 1 || found.1 != source.1 {
            return Some(format!("frame at {} and {}, same picture: {}", found.0, source.0, found.1 == source.1));
        }
    }
    if pieces.video.windows(2).any(|pair| pair[0].end_us != pair[1].start_us || pair[0].index + 1 != pair[1].index) {
        return Some("pieces do not follow each other".to_owned());
    }
    (pieces.video[0].start_us != 0).then(|| "the first piece does not begin at the start".to_owned())
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
    let mut wrong = Vec::new();
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
        ("mpeg4b.avi", "-c:v mpeg4 -bf 2 -g 20"),
        ("h264.avi", "-c:v libx264 -bf 3 -g 20"),
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
        let pieces = match try_split(&shop, &path, split_args(1), Options::default()).await {
            Ok(pieces) => pieces,
            Err(failure) => {
                wrong.push(format!("{name}: {failure:?}"));
                continue;
            }
        };
        wrong.extend(difference(&shop, &path, &pieces).map(|difference| format!("{name}: {difference}")));
        let several = !matches!(name, "short.mp4" | "one_frame.mp4" | "one_key.mp4");
        if (pieces.video.len() > 1) != several || !pieces.audio.is_empty() {
            wrong.push(format!("{name}: {} pieces, {} of sound", pieces.video.len(), pieces.audio.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
        let pieces = split(&shop, &path, split_args(1), Options::default()).await;
        let ours = samples(&shop, &pieces);
        let raw = shop.path("reference.s16");
        let origin_s = pieces.ready.media.origin_us as f64 / 1e6;
        let filter = format!("asetpts=PTS-{origin_s}/TB,aresample=16000:async=1:first_pts=0");
        run("ffmpeg", "-y -copyts -i", &path, &format!("-vn -af {filter} -ac 1 -f s16le {}", raw.display()));
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
async fn edit_lists_hide_what_they_hide() {
    let shop = Workshop::new();
    let whole = shop.make(&format!("{PICTURE} -c:v libx264 -bf 2 -g 30 -x264-params scenecut=0"), "whole.mp4");
    let trimmed = shop.make(&format!("-ss 1.5 -i {} -t 1.8 -c copy", whole.display()), "trimmed.mp4");
    let pieces = split(&shop, &trimmed, split_args(1), Options::default()).await;
    assert_eq!(difference(&shop, &trimmed, &pieces), None);
    assert!(pieces.video[0].media.origin_us > 0, "negative times are moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_piece_travels_as_a_blob() {
    let shop = Workshop::new();
    let path =
        shop.make("-f lavfi -i testsrc2=s=640x480:r=25:d=3 -c:v libx264 -qp 0 -preset ultrafast -g 1000", "a.mkv");
    let small = SplitArgs { segment_memory_bytes: 100_000, ..split_args(1) };
    let pieces = split(&shop, &path, small, Options::default()).await;
    assert_eq!(pieces.video.len(), 1);
    assert!(matches!(pieces.video[0].file.place, Some(Place::Blob(_))));
    assert_eq!(difference(&shop, &path, &pieces), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_cannot_be_kept_is_tried_again_and_never_sent_in_part() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} -c:v libx264 -qp 0 -preset ultrafast -g 1000"), "a.mkv");
    let nowhere = SplitArgs { segment_memory_bytes: 1000, segment_scratch: Some("/nowhere".into()), ..split_args(1) };
    let failure = try_split(&shop, &path, nowhere, Options::default()).await.err().expect("it cannot be kept");
    assert!(matches!(&failure, Failure::Retry(_)), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_between_two_keyframes_than_is_admitted_is_refused() {
    let shop = Workshop::new();
    // A hundred frames.
    let path = shop.make(&format!("{PICTURE} -c:v libx264 -g 1000 -x264-params scenecut=0"), "one_key.mp4");
    let all = SplitArgs { segment_max_frames: 100, ..split_args(1) };
    assert_eq!(split(&shop, &path, all.clone(), Options::default()).await.video.len(), 1);
    for few in [
        SplitArgs { segment_max_frames: 99, ..all.clone() },
        SplitArgs { segment_enough_bytes: 999, segment_max_bytes: 1000, ..all },
    ] {
        let failure = try_split(&shop, &path, few, Options::default()).await.err().expect("it is refused");
        assert!(matches!(&failure, Failure::Reject { code: Code::KeyframesTooFarApart, .. }), "{failure:?}");
    }
    // It is the keyframes that count, not the length.
    let path = shop.make(&format!("{PICTURE} -c:v libx264 -g 20 -bf 2"), "keys.mp4");
    let few = SplitArgs { segment_max_frames: 50, ..split_args(1) };
    let pieces = split(&shop, &path, few, Options::default()).await;
    assert_eq!(difference(&shop, &path, &pieces), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_in_sound_are_silence() {
    let shop = Workshop::new();
    let filter = "-af aselect='lt(t\\,1)+gt(t\\,3)'";
    let path = shop.make(&format!("{PICTURE} {SOUND} {filter} -c:v libx264 -c:a pcm_s16le"), "gap.mkv");
    let pieces = split(&shop, &path, split_args(1), Options::default()).await;
    let samples = samples(&shop, &pieces);
    assert!(samples.len().abs_diff(4 * 16_000) < 800, "{}", samples.len());
    assert!(samples[17_600..46_400].iter().all(|&s| s == 0));
    assert!(
        samples[8_000..14_000].iter().any(|&s| s.abs() > 3000) && samples[50_000..].iter().any(|&s| s.abs() > 3000)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_middle_costs_no_more_than_itself() {
    let shop = Workshop::new();
    for name in ["a.mp4", "a.ts", "a.mkv", "a.avi"] {
        let path = shop.make(&format!("{PICTURE} {SOUND} -c:v libx264 -bf 0 -g 10 -c:a libmp3lame"), name);
        let mut bytes = std::fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        for byte in &mut bytes[middle..middle + 2000] {
            *byte ^= 0x5a;
        }
        let path = shop.write(name, &bytes);
        let pieces = split(&shop, &path, split_args(1), Options::default()).await;
        let end_us = pieces.video.last().expect("pieces").end_us;
        assert!(end_us > 3_500_000, "{name} ends at {end_us}");
        assert!(samples(&shop, &pieces).len() > 3 * 16_000, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn early_clips_come_from_windows() {
    let shop = Workshop::new();
    let picture = "-f lavfi -i color=s=32x32:r=2:d=1290 -f lavfi -i anullsrc=r=8000:d=1290";
    let path = shop.make(&format!("{picture} -c:v libx264 -preset ultrafast -g 20 -c:a aac -shortest"), "long.mp4");
    let options = Options { early: true, ..Options::default() };
    let pieces = split(&shop, &path, split_args(30), options).await;
    let totals = pieces.reports.iter().filter_map(|r| match &r.kind {
        Some(SegmentReportKind::Total(total)) => Some((r.window, total.last, total.video, total.audio)),
        _ => None,
    });
    let totals: Vec<_> = totals.collect();
    assert_eq!(totals.iter().map(|t| (t.0, t.1)).collect::<Vec<_>>(), [(0, false), (1, true)]);
    for (window, _, video, audio) in totals {
        assert_eq!(pieces.video.iter().filter(|s| s.window == window).count(), video as usize);
        assert_eq!(pieces.audio.iter().filter(|s| s.window == window).count(), audio as usize);
    }
    assert!(pieces.audio.windows(2).all(|pair| pair[0].end_us == pair[1].start_us));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_what_was_sent() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} {SOUND} -c:v libx264 -g 20 -c:a aac"), "a.mp4");
    let pieces = split(&shop, &path, split_args(1), Options::default()).await;
    assert_eq!(pieces.reports.len(), 1);
    let Some(SegmentReportKind::Total(total)) = &pieces.reports[0].kind else { panic!("a total") };
    assert_eq!((total.audio as usize, total.video as usize), (pieces.audio.len(), pieces.video.len()));
    assert!(total.last && total.video > 2 && total.audio == 1);
    assert_eq!((total.start_us, total.end_us), (0, pieces.ready.media.duration_us));
}
