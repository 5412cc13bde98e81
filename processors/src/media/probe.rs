//! What a file is: admitted or not, and everything the stages after need to know of it, measured.

use std::io::{Read, Seek};
use std::time::Duration;

use ffmpeg::format::context::Input;
use ffmpeg::format::stream::Disposition;
use ffmpeg::{Packet, Rational, Stream, media};
use ffmpeg_next as ffmpeg;
use pipeline::event::MediaInfo;
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Pulse;

use super::duration::{self, is_discarded};
use super::sniff::{HEAD_BYTES, looks_like_video, sniff};
use super::source::{Source, Trouble, unreadable};
use super::{ADMITTED_DEMUXERS, MAX_PIXELS, open, to_us};

/// What the operator admits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest video.
    pub duration: Duration,
    /// The most frames a second, on average.
    pub frame_rate: f64,
}

/// How many packets of picture may go by before the first frame.
const PACKETS_TO_FIRST_FRAME: usize = 1000;

/// How many bytes of picture may go by before the first frame.
const BYTES_TO_FIRST_FRAME: usize = 64 << 20;

/// Looks at the container of `bytes` bytes behind `reader`: refuses what is not admitted, decodes a frame and
/// measures the rest. Ends early when `pulse` does.
///
/// # Errors
/// [`Failure::Reject`] with the reason, or [`Failure::Unavailable`] when the bytes cannot be read.
pub fn probe(
    mut reader: impl Read + Seek + Send + 'static,
    bytes: u64,
    limits: &Limits,
    pulse: &Pulse,
) -> Result<MediaInfo, Failure> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    duration::read_head(&mut reader, &mut head, HEAD_BYTES).map_err(unreadable)?;
    sniff(&head).map_err(|code| Failure::reject(code, anyhow::anyhow!("{}", describe(&head))))?;
    let (source, trouble) = Source::new(reader);
    let unopened = if looks_like_video(&head) { Code::Damaged } else { Code::NotAVideo };
    let mut input = open::open_container(source, ADMITTED_DEMUXERS, pulse).map_err(|e| trouble.explain(e, unopened))?;
    refuse_bombs(&input)?;
    open::learn_streams(&mut input).map_err(|e| trouble.explain(e, Code::Damaged))?;
    refuse_bombs(&input)?;
    let video = choose_video(&input)?;
    let audio = choose_audio(&input, video);
    let mut info = describe_streams(&input, video, audio, bytes)?;
    let first = first_frame(&mut input, video, &trouble, pulse)?;
    info.origin_us = first.at_us;
    info.interlaced |= first.interlaced;
    if (info.coded_width, info.coded_height) != (first.width, first.height) {
        (info.coded_width, info.coded_height) = (first.width, first.height);
    }
    let aspect = input.stream(video).map_or(first.aspect, |s| sample_aspect(&s, first.aspect));
    (info.width, info.height) = display_size(first.width, first.height, aspect, info.rotation_degrees);
    let measured = duration::measure(&mut input, video, bytes, first.at_us, &trouble, pulse)?;
    info.duration_us = measured.duration_us;
    info.frame_rate = measured.frame_rate;
    check(&info, limits)?;
    Ok(info)
}

/// Shows the first bytes of a file to a person, briefly.
fn describe(head: &[u8]) -> String {
    let start = String::from_utf8_lossy(&head[..head.len().min(32)]);
    format!("{} bytes seen, beginning with {start:?}", head.len())
}

fn check(info: &MediaInfo, limits: &Limits) -> Result<(), Failure> {
    let refuse = |code, what: String| Err(Failure::reject(code, anyhow::anyhow!(what)));
    if info.duration().as_duration() > limits.duration {
        return refuse(Code::TooLong, format!("{:.1} s long", info.duration().as_seconds()));
    }
    if info.frame_rate > limits.frame_rate * 1.01 {
        return refuse(Code::FrameRateTooHigh, format!("{:.2} frames a second", info.frame_rate));
    }
    Ok(())
}

/// Refuses frames that are too large before anything decodes one.
fn refuse_bombs(input: &Input) -> Result<(), Failure> {
    match input.streams().find(|s| pixels(s) > MAX_PIXELS) {
        Some(stream) => Err(too_many_pixels(size(&stream))),
        None => Ok(()),
    }
}

/// Takes FFmpeg's best video stream, attached pictures aside.
fn choose_video(input: &Input) -> Result<usize, Failure> {
    let is_picture = |s: &Stream<'_>| {
        s.parameters().medium() == media::Type::Video && !s.disposition().contains(Disposition::ATTACHED_PIC)
    };
    let best = input.streams().best(media::Type::Video).filter(is_picture);
    let largest = || input.streams().filter(is_picture).max_by_key(|s| pixels(s));
    let Some(stream) = best.or_else(largest) else {
        return Err(Failure::reject(
            Code::NoVideoStream,
            anyhow::anyhow!("{} streams, none of video", input.nb_streams()),
        ));
    };
    if is_encrypted(&stream) {
        return Err(Failure::reject(Code::Encrypted, anyhow::anyhow!("the video stream is encrypted")));
    }
    if ffmpeg::decoder::find(stream.parameters().id()).is_none() {
        let name = stream.parameters().id().name();
        return Err(Failure::reject(Code::Undecodable, anyhow::anyhow!("no decoder for {name}")));
    }
    Ok(stream.index())
}

fn too_many_pixels(size: (u32, u32)) -> Failure {
    Failure::reject(Code::TooManyPixels, anyhow::anyhow!("{}x{} pixels", size.0, size.1))
}

/// Takes FFmpeg's best audio stream, the one that belongs to the `video` stream if there are several programmes.
fn choose_audio(input: &Input, video: usize) -> Option<usize> {
    // SAFETY: the context is open; the call only reads it and returns an index or an error.
    let index = unsafe {
        ffmpeg::ffi::av_find_best_stream(
            input.as_ptr().cast_mut(),
            media::Type::Audio.into(),
            -1,
            video as i32,
            std::ptr::null_mut(),
            0,
        )
    };
    let stream = input.stream(usize::try_from(index).ok()?)?;
    (!is_encrypted(&stream) && ffmpeg::decoder::find(stream.parameters().id()).is_some()).then(|| stream.index())
}

fn size(stream: &Stream<'_>) -> (u32, u32) {
    let parameters = stream.parameters();
    // SAFETY: the parameters live as long as the stream; width and height are plain integers.
    let (width, height) = unsafe { ((*parameters.as_ptr()).width, (*parameters.as_ptr()).height) };
    (width.max(0) as u32, height.max(0) as u32)
}

fn pixels(stream: &Stream<'_>) -> i64 {
    let (width, height) = size(stream);
    i64::from(width) * i64::from(height)
}

/// Tells protected streams by their sample entry or by what the container says of keys.
fn is_encrypted(stream: &Stream<'_>) -> bool {
    use ffmpeg::packet::side_data::Type;
    let parameters = stream.parameters();
    // SAFETY: the parameters live as long as the stream; the tag is a plain integer.
    let tag = unsafe { (*parameters.as_ptr()).codec_tag }.to_le_bytes();
    matches!(&tag, b"encv" | b"enca" | b"drmi" | b"drms")
        || stream.side_data().any(|data| data.kind() == Type::EncryptionInitInfo)
}

fn describe_streams(input: &Input, video: usize, audio: Option<usize>, bytes: u64) -> Result<MediaInfo, Failure> {
    let gone = || Failure::reject(Code::Damaged, anyhow::anyhow!("the stream list changed"));
    let stream = input.stream(video).ok_or_else(gone)?;
    let (coded_width, coded_height) = size(&stream);
    let audio_codec = audio.and_then(|index| input.stream(index)).map(|s| s.parameters().id().name());
    Ok(MediaInfo {
        demuxer: input.format().name().to_owned(),
        video_stream: video as u32,
        audio_stream: audio.map(|index| index as u32),
        coded_width,
        coded_height,
        rotation_degrees: rotation_degrees(&stream),
        interlaced: is_interlaced(&stream),
        video_codec: stream.parameters().id().name().to_owned(),
        audio_codec: audio_codec.unwrap_or_default().to_owned(),
        bytes,
        ..MediaInfo::default()
    })
}

fn is_interlaced(stream: &Stream<'_>) -> bool {
    use ffmpeg::ffi::AVFieldOrder::{AV_FIELD_PROGRESSIVE, AV_FIELD_UNKNOWN};
    let parameters = stream.parameters();
    // SAFETY: the parameters live as long as the stream.
    let order = unsafe { (*parameters.as_ptr()).field_order };
    !matches!(order, AV_FIELD_PROGRESSIVE | AV_FIELD_UNKNOWN)
}

/// Reads the display matrix, to the nearest quarter turn clockwise.
fn rotation_degrees(stream: &Stream<'_>) -> u32 {
    use ffmpeg::packet::side_data::Type;
    let Some(data) = stream.side_data().find(|data| data.kind() == Type::DisplayMatrix) else { return 0 };
    let cell = |i: usize| data.data().get(i * 4..i * 4 + 4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    let (Some(a), Some(b), Some(c), Some(d)) = (cell(0), cell(1), cell(3), cell(4)) else { return 0 };
    let scale = |x: i32, y: i32| f64::from(x).hypot(f64::from(y));
    let (scale_x, scale_y) = (scale(a, c), scale(b, d));
    if scale_x == 0.0 || scale_y == 0.0 {
        return 0;
    }
    let turn = (f64::from(b) / scale_y).atan2(f64::from(a) / scale_x).to_degrees();
    ((turn / 90.0).round() as i64).rem_euclid(4) as u32 * 90
}

/// The container's sample aspect if it has one, else the codec's; one to one when it makes no sense.
fn sample_aspect(stream: &Stream<'_>, coded: Rational) -> Rational {
    // SAFETY: the stream belongs to an open context; the field is two plain integers.
    let declared = Rational::from(unsafe { (*stream.as_ptr()).sample_aspect_ratio });
    let sane = |r: &Rational| r.0 > 0 && r.1 > 0 && (0.0625..=16.0).contains(&f64::from(*r));
    [declared, coded].into_iter().find(sane).unwrap_or(Rational(1, 1))
}

fn display_size(width: u32, height: u32, aspect: Rational, rotation_degrees: u32) -> (u32, u32) {
    let wide = (f64::from(width) * f64::from(aspect)).round().max(1.0) as u32;
    if rotation_degrees % 180 == 90 { (height, wide) } else { (wide, height) }
}

struct FirstFrame {
    at_us: i64,
    width: u32,
    height: u32,
    interlaced: bool,
    aspect: Rational,
}

/// Decodes until a frame comes out: the proof that there is a picture.
fn first_frame(input: &mut Input, video: usize, trouble: &Trouble, pulse: &Pulse) -> Result<FirstFrame, Failure> {
    let undecodable = |what: &'static str| Failure::reject(Code::Undecodable, anyhow::anyhow!(what));
    let stream = input.stream(video).ok_or_else(|| undecodable("the stream list changed"))?;
    let time_base = stream.time_base();
    let mut decoder = super::decode::video(&stream).map_err(|e| trouble.explain(e, Code::Undecodable))?;
    let mut frame = ffmpeg::frame::Video::empty();
    let (mut packets, mut seen_bytes, mut encrypted) = (0, 0, false);
    loop {
        pulse.beat()?;
        let mut packet = Packet::empty();
        let ended = match packet.read(input) {
            Ok(()) if packet.stream() != video => continue,
            Ok(()) => false,
            Err(ffmpeg::Error::InvalidData) if packets < PACKETS_TO_FIRST_FRAME => {
                packets += 1;
                continue;
            }
            Err(ffmpeg::Error::Exit) => return Err(trouble.explain(ffmpeg::Error::Exit, Code::Undecodable)),
            Err(_) => true,
        };
        trouble.check()?;
        if ended {
            let _ = decoder.send_eof();
        } else {
            packets += 1;
            seen_bytes += packet.size();
            encrypted |= carries_keys(&packet);
            // A broken packet before the first frame is no reason to give the others up.
            let _ = decoder.send_packet(&packet);
        }
        let hidden = !ended && is_discarded(&packet);
        if decoder.receive_frame(&mut frame).is_ok() && !hidden {
            return describe_frame(&frame, time_base);
        }
        if encrypted {
            return Err(Failure::reject(Code::Encrypted, anyhow::anyhow!("the packets are encrypted")));
        }
        if ended || packets >= PACKETS_TO_FIRST_FRAME || seen_bytes >= BYTES_TO_FIRST_FRAME {
            let code = if packets == 0 { Code::Damaged } else { Code::Undecodable };
            return Err(Failure::reject(code, anyhow::anyhow!("{packets} packets gave no frame")));
        }
    }
}

fn carries_keys(packet: &Packet) -> bool {
    use ffmpeg::packet::side_data::Type;
    packet.side_data().any(|data| matches!(data.kind(), Type::EncryptionInfo | Type::EncryptionInitInfo))
}

fn describe_frame(frame: &ffmpeg::frame::Video, time_base: Rational) -> Result<FirstFrame, Failure> {
    if i64::from(frame.width()) * i64::from(frame.height()) > MAX_PIXELS {
        return Err(too_many_pixels((frame.width(), frame.height())));
    }
    Ok(FirstFrame {
        at_us: to_us(frame.timestamp().or(frame.pts()).unwrap_or(0), time_base),
        width: frame.width(),
        height: frame.height(),
        interlaced: frame.is_interlaced(),
        aspect: frame.aspect_ratio(),
    })
}
