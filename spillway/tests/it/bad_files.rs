//! Files that are no good videos, each with what must become of it.

use std::fs;

use testing::media::{make, talk};

const PICTURE: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=4";

/// A file, and the codes it may be refused with; none means that any end will do.
pub struct BadFile {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub codes: &'static [&'static str],
}

/// Returns all of them.
pub fn all() -> Vec<BadFile> {
    let mut files = texts();
    files.extend(broken());
    files.extend(deceptive());
    files
}

fn bad(name: &'static str, bytes: Vec<u8>, codes: &'static [&'static str]) -> BadFile {
    BadFile { name, bytes, codes }
}

fn texts() -> Vec<BadFile> {
    let playlist = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n".to_vec();
    let concat = b"ffconcat version 1.0\nfile /etc/passwd\n".to_vec();
    let script = b"#!/bin/sh\ncat /etc/passwd\n".to_vec();
    vec![
        bad("letter.mp4", b"Dear Sir or Madam,\nthis is no video.\n".to_vec(), &["not_a_video"]),
        bad("zeros.mp4", vec![0; 100_000], &["not_a_video"]),
        bad("playlist.mp4", playlist, &["format_refused"]),
        bad("concat.mp4", concat, &["format_refused"]),
        bad("script.mp4", script, &["format_refused"]),
    ]
}

fn broken() -> Vec<BadFile> {
    let whole = fs::read(talk()).expect("read");
    let stream = fs::read(make(&format!("{PICTURE} -c:v libx264"), "whole.ts")).expect("read");
    let truncated = whole[..whole.len() / 2].to_vec();
    vec![
        bad("truncated.mp4", truncated, &["damaged"]),
        bad("flipped.mp4", flipped(whole.clone()), &[]),
        bad("flipped.ts", flipped(stream), &[]),
        bad("header-only.mp4", whole[..64].to_vec(), &["damaged"]),
        bad("no-streams.mp4", no_streams(), &["no_video_stream", "damaged"]),
    ]
}

fn deceptive() -> Vec<BadFile> {
    let sound = make("-f lavfi -i sine=d=4 -c:a aac", "sound.mp4");
    let bomb = make("-f lavfi -i color=black:s=16000x16000:r=1:d=1,format=gray -c:v png", "bomb.mkv");
    let lone = make("-f lavfi -i color=s=16x16:r=1:d=1 -c:v mpeg4 -video_track_timescale 1", "lone.mp4");
    let key = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb \
               -encryption_kid a7e61c373e219033c21091fa607bf3b8";
    let protected = make(&format!("{PICTURE} -c:v libx264 {key}"), "protected.mp4");
    let read = |path| fs::read(path).expect("read");
    vec![
        bad("sound.mp4", read(sound), &["no_video_stream"]),
        bad("bomb.mkv", read(bomb), &["too_many_pixels"]),
        bad("two-days.mp4", two_days(read(lone)), &[]),
        bad("protected.mp4", read(protected), &["encrypted"]),
    ]
}

/// Turns 40 bits round, spread over the file, always the same.
fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    for i in 0..40 {
        let at = i * 104_729 % bytes.len();
        bytes[at] ^= 1 << (i % 8);
    }
    bytes
}

/// Makes an mp4 of a header that names no stream.
fn no_streams() -> Vec<u8> {
    let mut header = vec![0; 100];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    let header = boxed(b"mvhd", &header);
    [boxed(b"ftyp", b"isom\0\0\x02\0isommp41"), boxed(b"moov", &header), boxed(b"mdat", b"")].concat()
}

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes(), &kind[..], content].concat()
}

/// Makes a one second mp4 of about a kilobyte, its track at one tick a second, declare 48 hours wherever it can.
fn two_days(mut bytes: Vec<u8>) -> Vec<u8> {
    const SECONDS: u32 = 48 * 3600;
    assert!(bytes.len() < 1200, "{} bytes are not a small file", bytes.len());
    // The kind of box, where its duration lies after that, and its ticks a second.
    for (kind, offset, ticks) in
        [(b"mvhd", 20, 1000), (b"tkhd", 24, 1000), (b"elst", 12, 1000), (b"mdhd", 20, 1), (b"stts", 16, 1)]
    {
        let at = bytes.windows(4).position(|window| window == kind).expect("the box is there") + offset;
        bytes[at..at + 4].copy_from_slice(&(SECONDS * ticks).to_be_bytes());
    }
    bytes
}
