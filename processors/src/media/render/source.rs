//! Reads packets from the last keyframe at or before a point, whatever the container's index is worth.

use std::collections::VecDeque;

use ffmpeg::codec::context::Context;
use ffmpeg::codec::threading;
use ffmpeg::format::context::Input;
use ffmpeg::{Packet, Rational, Rescale};
use ffmpeg_next as ffmpeg;
use pipeline::outbox::Pulse;

use super::{During, Error, Plan, ROUNDING_US};

/// Microseconds.
const MICRO: Rational = Rational(1, 1_000_000);

/// How far before the start reading begins, tried in turn until a keyframe lies before the start; then from the
/// file's beginning. The first second is for sound that lies earlier in the file and for the decoder's warming up.
const LEADS_US: [i64; 4] = [1_000_000, 10_000_000, 60_000_000, i64::MAX];

/// Packets held back while looking for a later keyframe, in bytes; past this decoding starts from the one found.
const HELD_BYTES: usize = 16 << 20;

/// A packet of one of the two streams.
pub enum Item {
    /// Of the picture.
    Video(Packet),
    /// Of the sound.
    Audio(Packet),
}

/// A container being read from shortly before the start of a clip.
pub struct Source {
    input: Input,
    video: Track,
    audio: Option<Track>,
    origin_us: i64,
    held: VecDeque<Item>,
    failures: u32,
}

struct Track {
    index: usize,
    time_base: Rational,
}

impl Source {
    /// Finds the streams `plan` names and the keyframe its start needs.
    pub fn open(input: Input, plan: &Plan) -> Result<Self, Error> {
        let track = |index: u32| -> Result<Track, Error> {
            let stream = input.stream(index as usize).ok_or(ffmpeg::Error::StreamNotFound).during("find stream")?;
            Ok(Track { index: index as usize, time_base: stream.time_base() })
        };
        let video = track(plan.media.video_stream)?;
        let audio = plan.media.audio_stream.map(track).transpose()?;
        let mut source =
            Self { video, audio, input, origin_us: plan.media.origin_us, held: VecDeque::new(), failures: 0 };
        for lead_us in LEADS_US {
            let last_try = lead_us == i64::MAX;
            if source.seek(plan.start_us, lead_us)? && (source.hold(plan.start_us)? || last_try) {
                return Ok(source);
            }
        }
        Ok(source)
    }

    /// Returns how many frames a second the picture's stream says it has, 0 when it says nothing.
    pub fn declared_rate(&self) -> f64 {
        let rate = self.input.stream(self.video.index).map_or(Rational(0, 1), |stream| stream.rate());
        if rate.denominator() == 0 { 0.0 } else { f64::from(rate) }
    }

    /// Opens the decoder of the picture.
    pub fn video_decoder(&self, threads: u32) -> Result<ffmpeg::decoder::Video, Error> {
        let mut context = self.context(&self.video)?;
        let kind = if threads > 1 { threading::Type::Frame } else { threading::Type::None };
        context.set_threading(threading::Config { kind, count: threads.max(1) as usize, ..Default::default() });
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(self.video.time_base);
        decoder.video().during("open video decoder")
    }

    /// Opens the decoder of the sound, if there is sound and it can be decoded.
    pub fn audio_decoder(&self) -> Result<Option<ffmpeg::decoder::Audio>, Error> {
        let Some(track) = &self.audio else { return Ok(None) };
        let mut decoder = self.context(track)?.decoder();
        decoder.set_packet_time_base(track.time_base);
        match decoder.audio() {
            Ok(decoder) => Ok(Some(decoder)),
            Err(error) => {
                tracing::warn!(%error, "sound has no decoder, the clip is silent");
                Ok(None)
            }
        }
    }

    /// Returns the next packet, or `None` at the end of the file or where it cannot be read on.
    pub fn next(&mut self, pulse: &Pulse) -> Result<Option<Item>, Error> {
        pulse.beat()?;
        match self.held.pop_front() {
            Some(item) => Ok(Some(item)),
            None => self.read(),
        }
    }

    /// Returns the source time of a packet of the picture, in microseconds.
    pub fn time_us(&self, packet: &Packet) -> Option<i64> {
        packet.pts().or(packet.dts()).map(|ticks| self.video_ticks_us(ticks))
    }

    /// Returns the source time of a packet of the sound, in microseconds.
    pub fn audio_time_us(&self, packet: &Packet) -> Option<i64> {
        let track = self.audio.as_ref()?;
        Some(packet.pts().or(packet.dts())?.rescale(track.time_base, MICRO) - self.origin_us)
    }

    /// Turns a timestamp of the picture into source time, in microseconds.
    pub fn video_ticks_us(&self, ticks: i64) -> i64 {
        ticks.rescale(self.video.time_base, MICRO) - self.origin_us
    }

    fn context(&self, track: &Track) -> Result<Context, Error> {
        let stream = self.input.stream(track.index).ok_or(ffmpeg::Error::StreamNotFound).during("find stream")?;
        Context::from_parameters(stream.parameters()).during("read stream parameters")
    }

    /// Goes to `lead_us` before the start; false where the container cannot.
    fn seek(&mut self, start_us: i64, lead_us: i64) -> Result<bool, Error> {
        self.held.clear();
        let target = start_us.saturating_sub(lead_us);
        if lead_us == i64::MAX || target <= 0 {
            // Containers whose first timestamp is unknown refuse this one; they are at their beginning already
            // unless an earlier try moved them, and then they can seek.
            let begun = self.input.seek(i64::MIN + 1, ..);
            return Ok(begun.is_ok() || lead_us == i64::MAX || target <= 0);
        }
        let target = target + self.origin_us;
        Ok(self.input.seek(target, ..target).is_ok())
    }

    /// Reads on to the start and holds the packets from the last keyframe at or before it (and all sound). False
    /// when the first keyframe comes after the start.
    fn hold(&mut self, start_us: i64) -> Result<bool, Error> {
        let mut found = false;
        let mut bytes = 0;
        while bytes < HELD_BYTES {
            let Some(item) = self.read()? else { return Ok(found) };
            let Item::Video(packet) = &item else {
                self.held.push_back(item);
                continue;
            };
            let at_us = self.time_us(packet).unwrap_or(i64::MIN);
            let before = at_us <= start_us + ROUNDING_US;
            if packet.is_key() && (before || !found) {
                if !before {
                    self.held.push_back(item);
                    return Ok(false);
                }
                self.held.retain(|held| matches!(held, Item::Audio(_)));
                found = true;
                bytes = 0;
            }
            let decode_us = packet.dts().map_or(at_us, |ticks| self.video_ticks_us(ticks));
            bytes += packet.size();
            self.held.push_back(item);
            if decode_us > start_us + ROUNDING_US {
                return Ok(found);
            }
        }
        Ok(found)
    }

    /// Reads the next packet of either stream.
    fn read(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => {}
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(ffmpeg::Error::InvalidData) if self.failures < 100 => {
                    self.failures += 1;
                    continue;
                }
                Err(source) => return Err(Error::Step { step: "read source", source }),
            }
            if packet.stream() == self.video.index {
                return Ok(Some(Item::Video(packet)));
            }
            if self.audio.as_ref().is_some_and(|t| t.index == packet.stream()) {
                return Ok(Some(Item::Audio(packet)));
            }
        }
    }
}
