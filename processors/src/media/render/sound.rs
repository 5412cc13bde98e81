//! Lays decoded sound on the clip's timeline as 48 kHz stereo samples: gaps become silence, overlaps are dropped.

use ffmpeg::channel_layout::ChannelLayout;
use ffmpeg::format::Sample;
use ffmpeg::format::sample::Type;
use ffmpeg::software::resampling;
use ffmpeg::{Packet, Rational, Rescale, frame};
use ffmpeg_next as ffmpeg;

/// Samples a second.
pub const RATE: u32 = 48_000;

/// The format samples are kept in.
pub const FORMAT: Sample = Sample::F32(Type::Planar);

/// Timestamps that differ from the samples counted by less than this are rounding, in samples: 8 ms.
const JITTER: i64 = 384;

/// The most silence one gap may become before the sound after it is known to be needed, in samples: three minutes.
const LONGEST_GAP: i64 = 190 * RATE as i64;

/// Decoded sound that waits to be encoded.
pub struct Sound {
    decoder: Option<ffmpeg::decoder::Audio>,
    resampler: Option<(frame::Audio, resampling::Context)>,
    start_us: i64,
    /// Samples of both channels.
    planes: [Vec<f32>; 2],
    /// Place of the first kept sample, in samples after `start_us`.
    base: i64,
    /// Samples up to here are laid; `None` before the first.
    laid: Option<i64>,
}

impl Sound {
    /// Makes the sound of a clip that begins at about `start_us`; silent without a `decoder`.
    pub fn new(decoder: Option<ffmpeg::decoder::Audio>, start_us: i64) -> Self {
        Self { decoder, resampler: None, start_us, planes: [Vec::new(), Vec::new()], base: 0, laid: None }
    }

    /// Fixes the clip's first moment, once the first frame is known: what lies before is dropped.
    pub fn start_at(&mut self, first_us: i64) {
        let first = samples_in(first_us - self.start_us);
        let surplus = first.clamp(0, self.planes[0].len() as i64) as usize;
        let missing = if self.planes[0].is_empty() { 0 } else { (-first).max(0) as usize };
        for plane in &mut self.planes {
            plane.drain(..surplus);
            plane.splice(..0, std::iter::repeat_n(0.0, missing));
        }
        self.laid = self.laid.map(|laid| laid - first);
        self.start_us = first_us;
    }

    /// Decodes a packet of source time `at_us`. A damaged one leaves a gap.
    pub fn take(&mut self, packet: &Packet, at_us: Option<i64>) {
        let Some(decoder) = &mut self.decoder else { return };
        if decoder.send_packet(packet).is_err() {
            return;
        }
        let mut decoded = frame::Audio::empty();
        let (time_base, mut next_us) = (decoder.packet_time_base(), at_us);
        let origin_us = match (at_us, packet.pts().or(packet.dts())) {
            (Some(at_us), Some(ticks)) => ticks.rescale(time_base, Rational(1, 1_000_000)) - at_us,
            _ => 0,
        };
        let mut frames = Vec::new();
        while decoder.receive_frame(&mut decoded).is_ok() {
            let stamp = decoded.timestamp().map(|t| t.rescale(time_base, Rational(1, 1_000_000)) - origin_us);
            let at_us = stamp.or(next_us);
            next_us = at_us.map(|t| t + decoded.samples() as i64 * 1_000_000 / i64::from(decoded.rate().max(1)));
            frames.push((std::mem::replace(&mut decoded, frame::Audio::empty()), at_us));
        }
        for (frame, at_us) in frames {
            self.lay(frame, at_us);
        }
    }

    /// Says whether sound is laid up to `end_us`, or none is to come.
    pub fn reaches(&self, end_us: i64) -> bool {
        self.decoder.is_none() || self.laid.is_some_and(|laid| laid >= samples_in(end_us - self.start_us))
    }

    /// Takes the samples up to `until` (counted from the clip's first moment) that are there; `all` of them, filled
    /// up with silence, when no more will come.
    pub fn samples(&mut self, until: i64, all: bool) -> [Vec<f32>; 2] {
        let wanted = (until - self.base).max(0) as usize;
        let count = if all { wanted } else { wanted.min(self.planes[0].len()) };
        self.base += count as i64;
        [0, 1].map(|channel| {
            let plane: &mut Vec<f32> = &mut self.planes[channel];
            let rest = plane.split_off(count.min(plane.len()));
            let mut taken = std::mem::replace(plane, rest);
            taken.resize(count, 0.0);
            taken
        })
    }

    /// Converts a frame and lays it at its time.
    fn lay(&mut self, mut frame: frame::Audio, at_us: Option<i64>) {
        if frame.samples() == 0 || frame.rate() == 0 {
            return;
        }
        if frame.channel_layout().is_empty() {
            frame.set_channel_layout(ChannelLayout::default(i32::from(frame.channels())));
        }
        let Some((converted, waiting)) = self.convert(&frame) else { return };
        let due = at_us.map(|t| samples_in(t - self.start_us) - waiting);
        let laid = match (self.laid, due) {
            (Some(laid), Some(due)) if (due - laid).abs() <= JITTER => laid,
            (_, Some(due)) => due,
            (Some(laid), None) => laid,
            (None, None) => 0,
        };
        let right = if converted.planes() > 1 { 1 } else { 0 };
        self.put(laid, converted.plane::<f32>(0), converted.plane::<f32>(right));
    }

    /// Converts to [`RATE`] and to stereo, or leaves one channel one (turning it into two costs 3 dB); also returns how many samples the resampler held before.
    fn convert(&mut self, frame: &frame::Audio) -> Option<(frame::Audio, i64)> {
        let layout = if frame.channels() == 1 { ChannelLayout::MONO } else { ChannelLayout::STEREO };
        let like = |f: &frame::Audio| (f.format(), f.rate(), f.channel_layout());
        if self.resampler.as_ref().is_none_or(|(first, _)| like(first) != like(frame)) {
            let made =
                resampling::Context::get(frame.format(), frame.channel_layout(), frame.rate(), FORMAT, layout, RATE);
            let made = made.inspect_err(|error| tracing::warn!(%error, "sound of a kind that cannot be converted"));
            self.resampler = Some((frame.clone(), made.ok()?));
        }
        let (_, resampler) = self.resampler.as_mut()?;
        let waiting = resampler.delay().map_or(0, |delay| delay.output);
        let room = frame.samples() as i64 * i64::from(RATE) / i64::from(frame.rate()) + waiting + 64;
        let mut converted = frame::Audio::new(FORMAT, room as usize, layout);
        resampler.run(frame, &mut converted).ok()?;
        Some((converted, waiting))
    }

    /// Lays samples at `at` (counted from the clip's first moment): fills a gap before, drops an overlap.
    fn put(&mut self, at: i64, left: &[f32], right: &[f32]) {
        let end = at + left.len() as i64;
        let from = self.base + self.planes[0].len() as i64;
        self.laid = Some(self.laid.map_or(end, |laid| laid.max(end)));
        if end <= from || at - from > LONGEST_GAP {
            return;
        }
        let skip = (from - at).max(0) as usize;
        let gap = (at - from).max(0) as usize;
        for (plane, new) in self.planes.iter_mut().zip([left, right]) {
            plane.resize(plane.len() + gap, 0.0);
            plane.extend_from_slice(&new[skip..]);
        }
    }
}

/// Returns how many samples lie in `us` microseconds.
pub fn samples_in(us: i64) -> i64 {
    us.rescale(Rational(1, 1_000_000), Rational(1, RATE as i32))
}
