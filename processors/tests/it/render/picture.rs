//! The picture shows what the plan says, upright and unstretched.

use std::fs::File;
use std::path::Path;

use pipeline::event::{FramingMode, MediaInfo};
use pipeline::outbox::Pulse;
use processors::media::render::{Error, Plan, render};
use tokio_util::sync::CancellationToken;

use super::{check_clicks, cut, framing, plan, try_cut};
use crate::marked::{self, Marked};

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

/// Makes 25 frames a second of which each shows two moments, a 50th of a second apart, line by line: upright bars that
/// move to the left by 8 pixels from one moment to the next.
fn make_interlaced(path: &Path) {
    let bars = "nullsrc=s=640x360:r=50:d=3,geq=lum='if(lt(mod(X+8*N,160),80),200,60)':cb=128:cr=128,\
                tinterlace=mode=interleave_top,setfield=tff";
    let encode = "-c:v mpeg2video -q:v 2 -flags +ildct+ilme -top 1 -g 12";
    let mut arguments = vec!["-v", "error", "-f", "lavfi", "-i", bars];
    arguments.extend(encode.split(' '));
    arguments.push(path.to_str().unwrap());
    marked::output("ffmpeg", &arguments);
}

#[test]
fn moving_pictures_of_interlaced_sources_do_not_comb() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("interlaced.ts");
    make_interlaced(&source);
    let media = marked::media_info(&source);
    assert!(media.interlaced);
    let span = (1_000_000, 2_000_000);
    let combing = |media: MediaInfo| {
        // As large as it is, so that every line of the source is one of the clip.
        let framings = vec![framing(FramingMode::Still, span, (180.0, 320.0), &[(0, 200.0, 20.0)])];
        let clip = cut(&source, &Plan { framings, ..plan(media, span) });
        let pictures = marked::pictures(&clip.file);
        assert_eq!(pictures.len(), 25);
        pictures.iter().map(marked::Picture::combing).collect::<Vec<f64>>()
    };
    let combed = combing(MediaInfo { interlaced: false, ..media.clone() });
    assert!(combed.iter().all(|lines| *lines > 8.0), "the source is interlaced: {combed:?}");
    let smooth = combing(media);
    assert!(smooth.iter().all(|lines| *lines < 1.0), "{smooth:?}");
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
