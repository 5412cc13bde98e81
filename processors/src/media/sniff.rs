//! What the first bytes of a file say, before any demuxer sees them.

use pipeline::failure::Code;

/// How many bytes [`sniff`] wants to see.
pub(crate) const HEAD_BYTES: usize = 4096;

/// Texts that point elsewhere, in lower case.
const POINTERS: [&[u8]; 14] = [
    b"#extm3u",
    b"ffconcat",
    b"<?xml",
    b"<!doctype",
    b"<html",
    b"<svg",
    b"<smil",
    b"<mpd",
    b"<asx",
    b"#!",
    b"[playlist]",
    b"[reference]",
    b"v=0\r\n",
    b"v=0\n",
];

/// Refuses what the `head` of a file shows to be no video.
///
/// # Errors
/// The reason to reject it for.
pub(crate) fn sniff(head: &[u8]) -> Result<(), Code> {
    if head.is_empty() {
        return Err(Code::EmptyFile);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let starts_with = |with: &&[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if POINTERS.iter().any(starts_with) {
        return Err(Code::FormatRefused);
    }
    let printable = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    if !text.is_empty() && head.iter().all(printable) {
        return Err(Code::NotAVideo);
    }
    Ok(())
}

/// Says whether `head` has the mark of an admitted container, so that what cannot be opened is damaged.
pub(crate) fn looks_like_video(head: &[u8]) -> bool {
    let at = |offset: usize, mark: &[u8]| head.get(offset..offset + mark.len()) == Some(mark);
    let boxes: [&[u8]; 7] = [b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"moof"];
    boxes.iter().any(|mark| at(4, mark))
        || at(0, b"\x1a\x45\xdf\xa3")
        || at(0, b"FLV")
        || (at(0, b"RIFF") && at(8, b"AVI"))
        || (at(0, b"\x47") && at(188, b"\x47"))
        || (at(4, b"\x47") && at(196, b"\x47"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_reaches_a_demuxer() {
        for (head, code) in [
            (&b""[..], Code::EmptyFile),
            (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd", Code::FormatRefused),
            (b"\xef\xbb\xbf  \n#extm3u8", Code::FormatRefused),
            (b"ffconcat version 1.0\nfile x", Code::FormatRefused),
            (b"<?xml version='1.0'?>\x00", Code::FormatRefused),
            (b"#!/bin/sh\nrm", Code::FormatRefused),
            (b"<svg xmlns=''>", Code::FormatRefused),
            (b"hello, this is a letter\n", Code::NotAVideo),
        ] {
            assert_eq!(sniff(head), Err(code), "{:?}", String::from_utf8_lossy(head));
        }
        assert_eq!(sniff(b"\0\0\0\x20ftypisom\0\0\x02\0"), Ok(()));
    }

    #[test]
    fn containers_are_known_by_their_marks() {
        assert!(looks_like_video(b"\0\0\0\x20ftypisom"));
        assert!(looks_like_video(b"\x1a\x45\xdf\xa3xx"));
        assert!(!looks_like_video(b"\x89PNG\r\n\x1a\n"));
        assert!(!looks_like_video(b""));
    }
}
