//! Encodes picture and sound and muxes them into an mp4 that starts playing at once.

use std::path::Path;

use ffmpeg::channel_layout::ChannelLayout;
use ffmpeg::codec::context::Context;
use ffmpeg::codec::{Flags, threading};
use ffmpeg::color::{Primaries, Range, Space, TransferCharacteristic};
use ffmpeg::format::Pixel;
use ffmpeg::{Dictionary, Packet, Rational, encoder, frame};
use ffmpeg_next as ffmpeg;

use super::clock::slot_us;
use super::sound::{FORMAT, RATE, Sound, samples_in};
use super::{During, Error, Plan};

/// Length of the fades at both ends, in samples: 30 ms.
const FADE: usize = RATE as usize * 30 / 1000;

/// Sound this near to the picture's newest frame is held back, because it may be the clip's end and be faded: 250 ms.
const HELD_BACK: i64 = RATE as i64 / 4;

/// Bits a second of the sound.
const SOUND_BPS: usize = 128_000;

/// Seconds between keyframes at the most: what a player waits for at a jump.
const KEYFRAMES_S: f64 = 4.0;

/// Lines of a picture up to which unmarked colours are taken for those of standard definition.
const STANDARD_DEFINITION: u32 = 576;

/// What the colours of the picture mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colours {
    space: Space,
    primaries: Primaries,
    transfer: TransferCharacteristic,
}

impl Colours {
    /// Returns the colours of a frame of the source; unmarked ones are what players take its size for. They have to
    /// be marked then, because the clip has another size.
    pub fn of(frame: &frame::Video) -> Self {
        let standard = match frame.color_space() {
            Space::BT709 => false,
            Space::SMPTE170M | Space::BT470BG => true,
            _ => frame.height().min(frame.width()) <= STANDARD_DEFINITION,
        };
        let guess = if standard {
            (Space::SMPTE170M, Primaries::SMPTE170M, TransferCharacteristic::SMPTE170M)
        } else {
            (Space::BT709, Primaries::BT709, TransferCharacteristic::BT709)
        };
        let marked = !matches!(frame.color_primaries(), Primaries::Unspecified | Primaries::Reserved);
        let curved = !matches!(
            frame.color_transfer_characteristic(),
            TransferCharacteristic::Unspecified | TransferCharacteristic::Reserved
        );
        Self {
            space: if frame.color_space() == Space::BT470BG { Space::BT470BG } else { guess.0 },
            primaries: if marked { frame.color_primaries() } else { guess.1 },
            transfer: if curved { frame.color_transfer_characteristic() } else { guess.2 },
        }
    }
}

/// A clip being written.
pub struct Output {
    file: ffmpeg::format::context::Output,
    video: encoder::video::Encoder,
    audio: encoder::audio::Encoder,
    rate: Rational,
    frames: u64,
    /// Samples that wait for a whole frame of the encoder.
    waiting: [Vec<f32>; 2],
    encoded: i64,
}

impl Output {
    /// Opens the encoders and the file.
    pub fn create(to: &Path, plan: &Plan, rate: Rational, colours: &Colours) -> Result<Self, Error> {
        let mut file = ffmpeg::format::output_as(to, "mp4").during("open output file")?;
        let video = open_video(plan, rate, colours).during("open video encoder")?;
        let audio = open_audio().during("open audio encoder")?;
        let mut stream = file.add_stream_with(&video).during("add video stream")?;
        stream.set_time_base(rate.invert());
        stream.set_rate(rate);
        stream.set_avg_frame_rate(rate);
        let mut stream = file.add_stream_with(&audio).during("add audio stream")?;
        stream.set_time_base(Rational(1, RATE as i32));
        let mut options = Dictionary::new();
        options.set("movflags", "+faststart");
        file.write_header_with(options).during("write header")?;
        Ok(Self { file, video, audio, rate, frames: 0, waiting: [Vec::new(), Vec::new()], encoded: 0 })
    }

    /// Encodes the picture of the slot `index`.
    pub fn picture(&mut self, shown: &mut frame::Video, index: i64) -> Result<(), Error> {
        shown.set_pts(Some(index));
        shown.set_kind(ffmpeg::picture::Type::None);
        self.video.send_frame(shown).during("encode picture")?;
        self.frames += 1;
        self.write_video()
    }

    /// Encodes the sound that belongs before the slot `index`, as far as it is there.
    pub fn sound(&mut self, sound: &mut Sound, index: i64) -> Result<(), Error> {
        let until = samples_in(slot_us(index, self.rate)) - HELD_BACK;
        let new = sound.samples(until, false);
        self.wait(new);
        self.encode_waiting(false)
    }

    /// Ends the clip with the sound that is left; returns how many frames it has.
    pub fn finish(mut self, sound: &mut Sound) -> Result<u64, Error> {
        let total = samples_in(slot_us(self.frames as i64, self.rate));
        let new = sound.samples(total, true);
        self.wait(new);
        for plane in &mut self.waiting {
            for (distance, sample) in plane.iter_mut().rev().take(FADE).enumerate() {
                *sample *= distance as f32 / FADE as f32;
            }
        }
        self.encode_waiting(true)?;
        self.audio.send_eof().during("flush sound")?;
        self.write_audio()?;
        self.video.send_eof().during("flush picture")?;
        self.write_video()?;
        self.file.write_trailer().during("finish output file")?;
        Ok(self.frames)
    }

    /// Adds samples to those that wait, fading the first ones in.
    fn wait(&mut self, new: [Vec<f32>; 2]) {
        let begun = self.encoded as usize + self.waiting[0].len();
        for (waiting, mut plane) in self.waiting.iter_mut().zip(new) {
            for (index, sample) in plane.iter_mut().take(FADE.saturating_sub(begun)).enumerate() {
                *sample *= (begun + index) as f32 / FADE as f32;
            }
            waiting.append(&mut plane);
        }
    }

    /// Encodes whole frames of the samples that wait, and at the `end` the rest too.
    fn encode_waiting(&mut self, end: bool) -> Result<(), Error> {
        let size = (self.audio.frame_size() as usize).max(1);
        while self.waiting[0].len() >= size || (end && !self.waiting[0].is_empty()) {
            let count = size.min(self.waiting[0].len());
            let mut frame = frame::Audio::new(FORMAT, count, ChannelLayout::STEREO);
            frame.set_rate(RATE);
            frame.set_pts(Some(self.encoded));
            for (channel, plane) in self.waiting.iter_mut().enumerate() {
                frame.plane_mut::<f32>(channel)[..count].copy_from_slice(&plane[..count]);
                plane.drain(..count);
            }
            self.audio.send_frame(&frame).during("encode sound")?;
            self.encoded += count as i64;
            self.write_audio()?;
        }
        Ok(())
    }

    fn write_video(&mut self) -> Result<(), Error> {
        let mut packet = Packet::empty();
        while self.video.receive_packet(&mut packet).is_ok() {
            packet.set_duration(1);
            write(&mut self.file, &mut packet, 0, self.rate.invert())?;
        }
        Ok(())
    }

    fn write_audio(&mut self) -> Result<(), Error> {
        let mut packet = Packet::empty();
        while self.audio.receive_packet(&mut packet).is_ok() {
            write(&mut self.file, &mut packet, 1, Rational(1, RATE as i32))?;
        }
        Ok(())
    }
}

fn write(
    file: &mut ffmpeg::format::context::Output,
    packet: &mut Packet,
    stream: usize,
    time_base: Rational,
) -> Result<(), Error> {
    let target = file.stream(stream).map_or(time_base, |s| s.time_base());
    packet.set_stream(stream);
    packet.rescale_ts(time_base, target);
    packet.write_interleaved(file).during("write packet")
}

fn open_video(plan: &Plan, rate: Rational, colours: &Colours) -> Result<encoder::video::Encoder, ffmpeg::Error> {
    let codec = encoder::find_by_name("libx264").ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut context = Context::new_with_codec(codec);
    let threads = plan.encoding.encode_threads.max(1) as usize;
    context.set_threading(threading::Config { kind: threading::Type::Frame, count: threads, ..Default::default() });
    // Closed groups: a browser that jumps to a keyframe needs nothing from before it.
    context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let mut video = context.encoder().video()?;
    video.set_width(plan.width);
    video.set_height(plan.height);
    video.set_format(Pixel::YUV420P);
    video.set_aspect_ratio(Rational(1, 1));
    video.set_time_base(rate.invert());
    video.set_frame_rate(Some(rate));
    video.set_gop((f64::from(rate) * KEYFRAMES_S).round() as u32);
    video.set_color_range(Range::MPEG);
    video.set_colorspace(colours.space);
    video.set_color_primaries(colours.primaries);
    video.set_color_transfer_characteristic(colours.transfer);
    let mut options = Dictionary::new();
    options.set("preset", &plan.encoding.preset);
    options.set("crf", &plan.encoding.crf.to_string());
    options.set("profile", "high");
    // The fastest presets turn these off, which makes another profile and half again the bytes.
    let mut settings = "cabac=1:8x8dct=1".to_owned();
    if plan.encoding.preset == "superfast" {
        // Placing B-frames where they fit costs a fifth of this preset's time and gains nothing that can be measured.
        settings.push_str(":b-adapt=0");
    }
    options.set("x264-params", &settings);
    video.open_with(options)
}

fn open_audio() -> Result<encoder::audio::Encoder, ffmpeg::Error> {
    let codec = encoder::find(ffmpeg::codec::Id::AAC).ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::GLOBAL_HEADER);
    let mut audio = context.encoder().audio()?;
    audio.set_rate(RATE as i32);
    audio.set_format(FORMAT);
    audio.set_channel_layout(ChannelLayout::STEREO);
    audio.set_bit_rate(SOUND_BPS);
    audio.set_time_base(Rational(1, RATE as i32));
    audio.open()
}
