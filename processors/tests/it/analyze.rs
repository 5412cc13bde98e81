//! The stage `analyze`: faces are where they are, whatever the picture is packed in.

use pipeline::event::{Place, SegmentReportKind, VideoSegment};
use pipeline::failure::{Code, Failure};
use pipeline::stage::Stage;
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::moments::shots::shots;
use processors::moments::tracks::{Track, tracks};

use crate::made_talk::material;
use crate::material::Workshop;
use crate::seeing::{Seen, analyze, pieces, see};

/// Three seconds of slow motion.
const SOURCE: &str = "-f lavfi -i testsrc2=s=320x240:r=25:d=3";

fn tracks_of(seen: &Seen) -> Vec<Track> {
    tracks(&seen.analyses, &shots(&seen.analyses, seen.range()))
}

/// Checks what must hold of any analysis: frames in order and inside, one look at least each quarter of a second.
#[track_caller]
fn check(seen: &Seen, frames: std::ops::RangeInclusive<usize>) {
    let count = seen.analyses.iter().map(|analysis| analysis.frames.len()).sum::<usize>();
    assert!(frames.contains(&count), "{count} frames, not {frames:?}");
    for analysis in &seen.analyses {
        let times: Vec<i64> = analysis.frames.iter().map(|frame| frame.at_us).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert!(times[0] >= analysis.start_us - 2_000 && times[times.len() - 1] < analysis.end_us);
        assert!(analysis.frames.iter().all(|f| (0.0..=1.0).contains(&f.change) && (0.0..=1.0).contains(&f.brightness)));
        assert!(!analysis.looked_us.is_empty() && analysis.looked_us.windows(2).all(|p| p[1] - p[0] <= 400_000));
        assert!(!analysis.head.thumbnails.is_empty() && analysis.tail.thumbnails.len() <= 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_codec_and_container_is_analysed() {
    let shop = Workshop::new();
    let cases = [
        ("h264.mp4", "-c:v libx264 -g 25 -pix_fmt yuv420p", 75..=75),
        ("ten-bit.mkv", "-c:v libx264 -g 25 -pix_fmt yuv422p10le", 75..=75),
        ("hevc.mp4", "-c:v libx265 -x265-params log-level=none:keyint=25 -pix_fmt yuv420p10le", 75..=75),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25", 75..=75),
        ("av1.mp4", "-c:v libsvtav1 -preset 12 -g 25", 75..=75),
        ("mpeg4.avi", "-c:v mpeg4 -g 25", 70..=76),
        ("interlaced.ts", "-c:v mpeg2video -flags +ildct+ilme -top 1 -g 12 -b:v 2M", 70..=75),
        ("odd.mkv", "-vf scale=321:241 -c:v libx264 -pix_fmt yuv444p -g 25", 75..=75),
        (
            "variable.mp4",
            "-vf select=not(mod(n\\,3))+lt(n\\,25) -vsync vfr -c:v libx264 -g 10 -pix_fmt yuv420p",
            38..=45,
        ),
        ("gray.mkv", "-c:v ffv1 -pix_fmt gray -g 25", 75..=75),
    ];
    for (name, arguments, frames) in cases {
        let file = shop.make(&format!("{SOURCE} {arguments}"), name);
        println!("{name}");
        check(&see(&shop, &file).await, frames);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_piece_gives_what_can_be_decoded_and_an_empty_one_is_rejected() {
    let shop = Workshop::new();
    let services = shop.services();
    let stage = Analyze::new(services.clone(), AnalyzeArgs::default()).expect("stage");
    let file = shop.make(&format!("{SOURCE} -c:v libx264 -g 25 -pix_fmt yuv420p"), "whole.mp4");
    let whole = pieces(&services, &file).await.remove(0);
    let Some(Place::Inline(bytes)) = whole.file.place.clone() else { panic!("small pieces travel in the message") };
    let with = |bytes: Vec<u8>| {
        let mut piece = whole.clone();
        piece.file.place = Some(Place::Inline(bytes.into()));
        piece
    };

    let mut flipped = bytes.to_vec();
    for at in (bytes.len() / 3..bytes.len() / 2).step_by(97) {
        flipped[at] ^= 0x55;
    }
    let damaged = analyze(&stage, with(flipped)).await.expect("the rest is whole");
    assert!(damaged.frames.len() > 5, "{}", damaged.frames.len());

    for (name, bad) in [("empty", Vec::new()), ("text", vec![b'x'; 4000]), ("head", bytes[..bytes.len() / 50].to_vec())]
    {
        let failed = analyze(&stage, with(bad)).await;
        assert!(matches!(failed, Err(Failure::Reject { code: Code::Undecodable, .. })), "{name}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_travels_as_a_blob_too_and_a_lost_one_is_tried_again() {
    let shop = Workshop::new();
    let services = shop.services();
    let stage = Analyze::new(services.clone(), AnalyzeArgs::default()).expect("stage");
    let file = shop.make(&format!("{SOURCE} -c:v libx264 -g 25 -pix_fmt yuv420p"), "whole.mp4");
    let inline = pieces(&services, &file).await.remove(0);
    let Some(Place::Inline(bytes)) = inline.file.place.clone() else { panic!("small pieces travel in the message") };
    let blob = services.carrier.blobs().put("default/piece", bytes).await.expect("put");
    let mut piece: VideoSegment = inline.clone();
    piece.file.place = Some(Place::Blob(blob.clone()));

    let expected = analyze(&stage, inline).await.expect("analysed");
    assert_eq!(analyze(&stage, piece.clone()).await.expect("analysed"), expected, "the same either way, and twice");

    piece.file.place = Some(Place::Blob(pipeline::event::BlobRef { key: "default/none".into(), bytes: blob.bytes }));
    assert!(matches!(analyze(&stage, piece.clone()).await, Err(Failure::Retry(_))));
    let report = Analyze::failed(&piece, Code::AttemptsExhausted, "").remove(0);
    assert!(matches!(report.kind, Some(SegmentReportKind::Failed(failed)) if failed.index == piece.index));
}

/// Checks that there is one face, within a part of its width from where it should be.
#[track_caller]
fn check_face(name: &str, seen: &Seen, expected: [f32; 4]) {
    let found = tracks_of(seen);
    println!("{name}: {:?}", found.iter().map(|track| track.boxes[0]).collect::<Vec<_>>());
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    let face = found[0].boxes[0];
    let [x, y, width, height] = expected;
    let near = |is: f32, should: f32| (is - should).abs() < width * 0.15;
    let right = near(face.x, x) && near(face.y, y) && near(face.width, width) && near(face.height, height);
    assert!(right, "{name}: {face:?} is not at {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_is_where_a_person_sees_it() {
    let shop = Workshop::new();
    let still = |filter: &str| {
        format!("-loop 1 -framerate 25 -t 2 -i {} -vf {filter} -c:v libx264 -g 25 -pix_fmt yuv420p", astronaut())
    };
    // The astronaut's face in the picture of 512 by 512, as the detector sees it at full size.
    let [x, y, width, height] = [184.0, 63.0, 84.0, 112.0];
    let plain = shop.make(&still("null"), "plain.mp4");
    check_face("plain", &see(&shop, &plain).await, [x, y, width, height]);

    let coded = shop.make(&still("transpose=clock"), "coded.mp4");
    let turned = shop.make(&format!("-i {} -c copy -metadata:s:v:0 rotate=90", coded.display()), "turned.mp4");
    let seen = see(&shop, &turned).await;
    assert_eq!(seen.media.rotation_degrees, 270, "the tag turns against the clock");
    check_face("turned", &seen, [x, y, width, height]);

    let squeezed = shop.make(&still("scale=256:512,setsar=2"), "squeezed.mp4");
    check_face("squeezed", &see(&shop, &squeezed).await, [x, y, width, height]);

    let corner = shop.make(&still("scale=360:360,pad=1280:720:800:300:gray"), "corner.mp4");
    let scale = 360.0 / 512.0;
    let placed = [800.0 + x * scale, 300.0 + y * scale, width * scale, height * scale];
    check_face("corner", &see(&shop, &corner).await, placed);

    // 48 pixels wide, which the first look does not see.
    let far = shop.make(&still("scale=292:292,pad=1280:720:700:200:gray"), "far.mp4");
    let scale = 292.0 / 512.0;
    let placed = [700.0 + x * scale, 200.0 + y * scale, width * scale, height * scale];
    check_face("far", &see(&shop, &far).await, placed);
}

fn astronaut() -> String {
    material().join("astronaut.png").display().to_string()
}
