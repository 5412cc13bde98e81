//! What the probe says of good files and of bad ones.

use pipeline::failure::Code;

use crate::material::{PICTURE, SOUND, Workshop, look_at, rejected};

#[test]
fn containers_and_codecs_are_measured_alike() {
    let shop = Workshop::new();
    for (name, options) in [
        ("a.mp4", "-c:v libx264 -bf 2 -preset ultrafast -c:a aac"),
        ("b.mov", "-c:v prores_ks -c:a pcm_s16le"),
        ("c.mkv", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a libopus"),
        ("d.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
        ("e.ts", "-c:v mpeg2video -bf 2 -c:a mp2"),
        ("f.avi", "-c:v mpeg4 -c:a libmp3lame"),
        ("g.flv", "-c:v libx264 -preset ultrafast -c:a aac"),
        ("h.mkv", "-c:v libsvtav1 -preset 12 -c:a flac"),
        ("i.mp4", "-c:v mpeg4 -bf 2 -c:a aac"),
        ("j.webm", "-c:v libvpx -deadline realtime -cpu-used 8 -c:a libvorbis"),
    ] {
        let media = look_at(&shop.make(&format!("{PICTURE} {SOUND} {options}"), name)).expect(name);
        let (duration_s, rate) = (media.duration().as_seconds(), media.frame_rate);
        assert!((duration_s - 4.0).abs() < 0.05, "{name}: {duration_s} s");
        assert!((rate - 25.0).abs() < 0.3, "{name}: {rate} frames a second");
        assert_eq!((media.width, media.height), (160, 120), "{name}");
        assert!(media.audio_stream.is_some() && !media.audio_codec.is_empty(), "{name}");
        assert!(!media.interlaced, "{name}");
    }
}

#[test]
fn what_is_no_video_gets_its_own_code() {
    let shop = Workshop::new();
    let picture = shop.make(&format!("{PICTURE} -c:v libx264 -preset ultrafast"), "whole.mp4");
    let bytes = std::fs::read(&picture).expect("read");
    let zeros = vec![0; 100_000];
    for (name, content, code) in [
        ("empty.mp4", &b""[..], Code::EmptyFile),
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", Code::FormatRefused),
        ("concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", Code::FormatRefused),
        ("script.mp4", b"#!/bin/sh\necho\n", Code::FormatRefused),
        ("page.mp4", b"<!DOCTYPE html><html></html>", Code::FormatRefused),
        ("drawing.mp4", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", Code::FormatRefused),
        ("letter.mp4", b"Dear Sir or Madam,\n", Code::NotAVideo),
        ("noise.mp4", &zeros, Code::NotAVideo),
        ("cut.mp4", &bytes[..bytes.len() / 2], Code::Damaged),
    ] {
        assert_eq!(rejected(&shop.write(name, content)), code, "{name}");
    }
}

#[test]
fn sound_alone_and_pictures_of_albums_are_no_video() {
    let shop = Workshop::new();
    assert_eq!(rejected(&shop.make(&format!("{SOUND} -c:a aac"), "sound.mp4")), Code::NoVideoStream);
    let cover = shop.make("-f lavfi -i testsrc2=s=64x64:d=1 -frames:v 1", "cover.png");
    let arguments =
        format!("{SOUND} -i {} -map 0 -map 1 -c:a aac -c:v copy -disposition:v:0 attached_pic", cover.display());
    assert_eq!(rejected(&shop.make(&arguments, "album.m4a")), Code::NoVideoStream);
}

#[test]
fn pictures_are_measured_as_a_person_sees_them() {
    let shop = Workshop::new();
    let upright = shop.make(&format!("{PICTURE} -c:v libx264"), "a.mp4");
    let turned = shop.make(&format!("-i {} -c copy -metadata:s:v:0 rotate=270", upright.display()), "turned.mp4");
    let media = look_at(&turned).expect("turned");
    assert_eq!((media.width, media.height, media.rotation_degrees), (120, 160, 90));
    assert_eq!((media.coded_width, media.coded_height), (160, 120));
    let wide = look_at(&shop.make(&format!("{PICTURE} -c:v libx264 -vf setsar=2/1"), "wide.mp4")).expect("wide");
    assert_eq!((wide.width, wide.height), (320, 120));
    let fields = "-c:v mpeg2video -flags +ilme+ildct -vf setfield=tff";
    assert!(look_at(&shop.make(&format!("{PICTURE} {fields}"), "fields.ts")).expect("fields").interlaced);
    let varying = "-c:v libx264 -vf select=not(mod(n\\,2))+lt(n\\,50) -vsync vfr";
    let varying = look_at(&shop.make(&format!("{PICTURE} {varying}"), "varying.mkv")).expect("varying");
    assert!((varying.frame_rate - 18.75).abs() < 0.5, "{}", varying.frame_rate);
}

#[test]
fn the_best_of_several_sounds_is_taken() {
    let shop = Workshop::new();
    let two = "-f lavfi -i sine=r=22050:d=4 -f lavfi -i sine=r=48000:d=4 -map 0 -map 1 -map 2 -c:v libx264 -c:a aac";
    let streams = "-ac:a:0 1 -ac:a:1 2 -disposition:a:0 0 -disposition:a:1 default";
    let media = look_at(&shop.make(&format!("{PICTURE} {two} {streams}"), "two.mkv")).expect("two");
    assert_eq!(media.audio_stream, Some(2));
}

#[test]
fn what_is_protected_is_told_from_what_is_broken() {
    let shop = Workshop::new();
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
               -encryption_kid a7e61c373e219033c21091fa607bf3b8";
    let path = shop.make(&format!("{PICTURE} -c:v libx264 {key}"), "protected.mp4");
    assert_eq!(rejected(&path), Code::Encrypted);
}

#[test]
fn a_picture_without_the_name_of_its_codec_is_undecodable() {
    let shop = Workshop::new();
    // Unless it is told to, FFmpeg gives HEVC no name in AVI, and nobody can know what it is.
    let hevc = "-c:v libx265 -preset ultrafast -x265-params log-level=none";
    assert_eq!(rejected(&shop.make(&format!("{PICTURE} {hevc}"), "nameless.avi")), Code::Undecodable);
    assert_eq!(
        look_at(&shop.make(&format!("{PICTURE} {hevc} -tag:v HEVC"), "named.avi")).expect("named").video_codec,
        "hevc"
    );
}

#[test]
fn frames_too_large_or_too_many_are_refused() {
    let shop = Workshop::new();
    for name in ["bomb.mp4", "bomb.flv", "bomb.ts", "bomb.mkv"] {
        let bomb = "-f lavfi -i color=s=12000x4000:r=5:d=0.4 -c:v libx264 -preset ultrafast";
        let code = rejected(&shop.make(bomb, name));
        assert!(matches!(code, Code::TooManyPixels | Code::Undecodable), "{name}: {code}");
    }
    let fast = shop.make("-f lavfi -i testsrc2=s=64x64:r=200:d=1 -c:v libx264 -preset ultrafast", "fast.mp4");
    assert_eq!(rejected(&fast), Code::FrameRateTooHigh);
    let long = "-f lavfi -i color=s=16x16:r=0.1:d=9000 -c:v mpeg4";
    assert_eq!(rejected(&shop.make(long, "long.mp4")), Code::TooLong);
}

#[test]
fn a_declared_duration_is_not_believed() {
    let shop = Workshop::new();
    let lone = "-f lavfi -i color=s=16x16:r=1/172800 -frames:v 1 -c:v mpeg4 -video_track_timescale 1";
    let media = look_at(&shop.make(lone, "lone.mp4")).expect("a frame");
    assert!(media.duration().as_seconds() <= 1.0, "{:?}", media.duration());
}

#[test]
fn what_is_missing_at_the_end_does_not_count() {
    let shop = Workshop::new();
    for (name, options) in [("a.mp4", "-movflags +faststart"), ("a.mkv", ""), ("a.ts", ""), ("a.avi", "")] {
        let path = shop.make(&format!("{PICTURE} -c:v libx264 -bf 0 -g 10 {options}"), name);
        let bytes = std::fs::read(&path).expect("read");
        let media = look_at(&shop.write(name, &bytes[..bytes.len() * 6 / 10])).expect(name);
        let duration_s = media.duration().as_seconds();
        assert!((1.5..3.2).contains(&duration_s), "{name}: {duration_s} s");
    }
}

#[test]
fn flipped_bits_end_in_an_answer() {
    let shop = Workshop::new();
    for name in ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.flv"] {
        let bytes = std::fs::read(shop.make(&format!("{PICTURE} -c:v libx264"), name)).expect("read");
        for seed in 0..12_usize {
            let mut broken = bytes.clone();
            for i in 0..40 {
                let at = (seed * 7919 + i * 104_729) % broken.len();
                broken[at] ^= 1 << (i % 8);
            }
            // Admitted or rejected: either is an answer, and nothing else comes of it.
            if let Err(failure) = look_at(&shop.write(name, &broken)) {
                assert!(matches!(failure, pipeline::failure::Failure::Reject { .. }), "{name} {seed}: {failure:?}");
            }
        }
    }
}
