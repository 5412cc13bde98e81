//! The sound of a video as 16 kHz mono samples in which the index of a sample is its source time.

use ffmpeg::software::resampling;
use ffmpeg::{ChannelLayout, Packet, Rational, Stream, format, frame};
use ffmpeg_next as ffmpeg;

use super::to_us;

/// Samples a second.
pub(crate) const RATE: usize = 16_000;

/// Timestamps may lie this far from where the samples before them end without being believed, in microseconds:
/// containers round them, to a millisecond and worse.
const JITTER_US: i64 = 40_000;

const MONO: format::Sample = format::Sample::I16(format::sample::Type::Packed);

/// Decodes one audio stream.
pub(crate) struct Listener {
    decoder: ffmpeg::decoder::Audio,
    time_base: Rational,
    origin_us: i64,
    /// No sample at or after this index is wanted.
    end: i64,
    resampler: Option<resampling::Context>,
    /// Source time of the first sample the resampler was given, and how many it was given since.
    anchor_us: i64,
    fed: i64,
    /// The index of the next sample put out.
    position: i64,
    /// How many samples to drop before that: sound before time zero, or that was there already.
    skip: i64,
    out: Vec<Heard>,
}

/// What follows what was heard before.
pub(crate) enum Heard {
    /// These samples.
    Samples(Vec<i16>),
    /// This many samples of silence: only told, since a hole in a recording may last for hours.
    Silence(i64),
}

impl Listener {
    /// Prepares to decode `stream`. Time zero is `origin_us` on the container's clock; sound beyond `end_us` is dropped.
    pub(crate) fn new(stream: &Stream<'_>, origin_us: i64, end_us: i64) -> Result<Self, ffmpeg::Error> {
        Ok(Self {
            decoder: super::decode::audio(stream)?,
            time_base: stream.time_base(),
            origin_us,
            end: index_at(end_us).max(0),
            resampler: None,
            anchor_us: 0,
            fed: 0,
            position: 0,
            skip: 0,
            out: Vec::new(),
        })
    }

    /// Decodes `packet`; returns the samples that follow those returned before. What cannot be decoded is
    /// left out, and becomes silence when the next sound comes.
    pub(crate) fn hear(&mut self, packet: &Packet) -> Vec<Heard> {
        let _ = self.decoder.send_packet(packet);
        self.receive();
        std::mem::take(&mut self.out)
    }

    /// Returns the last samples.
    pub(crate) fn finish(&mut self) -> Vec<Heard> {
        let _ = self.decoder.send_eof();
        self.receive();
        self.drain();
        std::mem::take(&mut self.out)
    }

    fn receive(&mut self) {
        let mut decoded = frame::Audio::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            if decoded.samples() > 0 && decoded.rate() > 0 && self.position < self.end {
                self.place(&mut decoded);
            }
        }
    }

    /// Resamples `decoded` and puts it where its timestamp says.
    fn place(&mut self, decoded: &mut frame::Audio) {
        if decoded.channel_layout().is_empty() {
            decoded.set_channel_layout(ChannelLayout::default(i32::from(decoded.channels().max(1))));
        }
        let known = self.resampler.as_ref().is_some_and(|r| {
            let i = r.input();
            (i.format, i.channel_layout, i.rate) == (decoded.format(), decoded.channel_layout(), decoded.rate())
        });
        if !known {
            self.drain();
        }
        let rate = i64::from(decoded.rate());
        let expected_us = self.anchor_us + self.fed * 1_000_000 / rate;
        let at_us = decoded.timestamp().map_or(expected_us, |ticks| to_us(ticks, self.time_base) - self.origin_us);
        if self.resampler.is_some() && (at_us - expected_us).abs() > JITTER_US {
            self.drain();
        }
        if self.resampler.is_none() && !self.begin(decoded, at_us) {
            return;
        }
        self.fed += decoded.samples() as i64;
        self.resample(decoded);
    }

    /// Starts a run of sound at `at_us`: the time since the last one becomes silence, an overlap is dropped.
    fn begin(&mut self, decoded: &frame::Audio, at_us: i64) -> bool {
        let made = resampling::Context::get(
            decoded.format(),
            decoded.channel_layout(),
            decoded.rate(),
            MONO,
            ChannelLayout::MONO,
            RATE as u32,
        );
        self.resampler = made.ok();
        self.anchor_us = at_us;
        self.fed = 0;
        let target = index_at(at_us).min(self.end);
        let silence = (target - self.position).max(0);
        self.skip = (self.position - target).max(0);
        if silence > 0 {
            self.out.push(Heard::Silence(silence));
        }
        self.position += silence;
        self.resampler.is_some()
    }

    fn resample(&mut self, decoded: &frame::Audio) {
        let Some(resampler) = &mut self.resampler else { return };
        let room = decoded.samples() * RATE / decoded.rate().max(1) as usize + 1024;
        let mut resampled = frame::Audio::new(MONO, room, ChannelLayout::MONO);
        if resampler.run(decoded, &mut resampled).is_ok() {
            self.put(&resampled);
        }
    }

    /// Puts out what is neither dropped nor beyond the end.
    fn put(&mut self, resampled: &frame::Audio) {
        let samples = resampled.plane::<i16>(0);
        let dropped = self.skip.min(samples.len() as i64);
        self.skip -= dropped;
        let wanted = &samples[dropped as usize..];
        let room = (self.end - self.position).clamp(0, wanted.len() as i64);
        let samples = &wanted[..room as usize];
        match self.out.last_mut() {
            Some(Heard::Samples(last)) => last.extend_from_slice(samples),
            _ => self.out.push(Heard::Samples(samples.to_vec())),
        }
        self.position += room;
    }

    /// Takes what the resampler still holds, and forgets it.
    fn drain(&mut self) {
        let Some(mut resampler) = self.resampler.take() else { return };
        loop {
            let mut resampled = frame::Audio::new(MONO, 4096, ChannelLayout::MONO);
            if resampler.flush(&mut resampled).is_err() || resampled.samples() == 0 {
                return;
            }
            self.put(&resampled);
        }
    }
}

/// Returns the index of the sample at `us`, rounded to the nearest.
fn index_at(us: i64) -> i64 {
    (us as i128 * RATE as i128 + 500_000).div_euclid(1_000_000) as i64
}

/// Returns the source time of the sample at `index`.
pub(crate) fn time_of_us(index: u64) -> i64 {
    (u128::from(index) * 1_000_000 / RATE as u128) as i64
}
