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
