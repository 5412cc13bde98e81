//! Cuts a video into pieces in one pass: picture from keyframe to keyframe without re-encoding, sound decoded
//! and cut where it is quiet. Every piece is handed on as soon as it is complete.

use std::io::{Read, Seek};

use ffmpeg::format::context::Input;
use ffmpeg::{Packet, Rational, codec};
use ffmpeg_next as ffmpeg;
use pipeline::event::MediaInfo;
use pipeline::failure::{Code, Failure};
use pipeline::outbox::{Pulse, Stopped};
use tempfile::SpooledTempFile;

use super::audio::{Heard, Listener, RATE, time_of_us};
use super::duration::{discard_all, is_discarded};
use super::piece::{DEMUXER, Keep, Writer};
use super::quiet::Cutter;
use super::reorder::{self, Reorder};
use super::source::{Source, Trouble};
use super::to_us;

/// How pieces of picture are cut.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The least length of a piece, in microseconds: it ends at the first keyframe after that.
    pub target_us: i64,
    /// A piece of this many bytes ends at the next keyframe, however short it is.
    pub enough_bytes: u64,
    /// A piece of more bytes or frames than these is refused: temporary files hold the first, and `analyze` remembers
    /// something of each frame.
    pub most_bytes: u64,
    /// See [`Plan::most_bytes`].
    pub most_frames: u64,
    /// Where a piece is while it is written.
    pub keep: Keep,
}

/// A piece of the video, or news of how far the reading is.
#[derive(Debug)]
pub enum Piece {
    /// A piece of picture.
    Video {
        /// Source time of its first presented frame, in microseconds.
        start_us: i64,
        /// Source time after its last presented frame, in microseconds.
        end_us: i64,
        /// A small file of its own, positioned at the start.
        file: SpooledTempFile,
        /// The demuxer to force for it.
        demuxer: &'static str,
        /// Subtract this from its timestamps to get source times, in microseconds.
        origin_us: i64,
    },
    /// A piece of sound.
    Audio {
        /// Source time of its first sample, in microseconds.
        start_us: i64,
        /// Source time after its last sample, in microseconds.
        end_us: i64,
        /// 16 kHz, mono.
        samples: Vec<i16>,
    },
    /// No piece of sound will come: nothing here decodes the stream there is.
    NoSound,
}

/// Sound that goes on for longer than this after the last frame is dropped, in microseconds.
const SOUND_AFTER_PICTURE_US: i64 = 1_000_000;

/// How many damaged packets in a row are passed over.
const DAMAGED_IN_A_ROW: usize = 10_000;

/// Reads the container behind `reader` once and gives its pieces to `emit`.
///
/// # Errors
/// [`Failure::Reject`] when there is nothing to cut, [`Failure::Unavailable`] when the bytes cannot be read,
/// [`Failure::Retry`] when told to stop, and what `emit` returns.
pub fn segment(
    reader: impl Read + Seek + Send + 'static,
    media: &MediaInfo,
    plan: Plan,
    pulse: &Pulse,
    emit: impl FnMut(Piece) -> Result<(), Stopped>,
) -> Result<(), Failure> {
    let (source, trouble) = Source::new(reader);
    let mut input = super::open(source, &media.demuxer, pulse).map_err(|e| trouble.explain(e, Code::Damaged))?;
    let mut work = Work::new(&mut input, media, plan, emit)?;
    read_all(&mut input, &trouble, pulse, |packet| work.take(packet))?;
    work.finish()
}

/// Hands every packet to `take`, over damaged places, until the end of what can be read.
fn read_all(
    input: &mut Input,
    trouble: &Trouble,
    pulse: &Pulse,
    mut take: impl FnMut(&mut Packet) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut damaged = 0;
    loop {
        pulse.beat()?;
        // A new one each time: reading into a packet does not free what it held.
        let mut packet = Packet::empty();
        match packet.read(input) {
            Ok(()) => damaged = 0,
            Err(ffmpeg::Error::InvalidData) if damaged < DAMAGED_IN_A_ROW => {
                damaged += 1;
                continue;
            }
            Err(ffmpeg::Error::Exit) => return Err(Stopped.into()),
            // The end, or a place beyond which nothing can be read: what came before counts.
            Err(_) => return trouble.check(),
        }
        take(&mut packet)?;
    }
}

struct Work<E> {
    picture: Picture,
    reorder: Option<Reorder>,
    sound: Option<Sound>,
    emit: E,
}

impl<E: FnMut(Piece) -> Result<(), Stopped>> Work<E> {
    fn new(input: &mut Input, media: &MediaInfo, plan: Plan, emit: E) -> Result<Self, Failure> {
        let (video, audio) = (media.video_stream as usize, media.audio_stream.map(|index| index as usize));
        for mut other in input.streams_mut().filter(|s| s.index() != video && Some(s.index()) != audio) {
            discard_all(&mut other);
        }
        let gone = || Failure::reject(Code::Damaged, anyhow::anyhow!("the stream list changed"));
        let stream = input.stream(video).ok_or_else(gone)?;
        let end_us = media.duration_us + SOUND_AFTER_PICTURE_US;
        let listener = |s: ffmpeg::Stream<'_>| Listener::new(&s, media.origin_us, end_us).ok();
        let listener = audio.and_then(|index| input.stream(index)).and_then(listener);
        let sound = listener.zip(audio).map(|(listener, stream)| Sound::new(stream, listener));
        let reorder = reorder::is_needed(&media.demuxer, &stream.parameters()).then(|| Reorder::new(&stream).ok());
        let picture = Picture {
            stream: video,
            parameters: stream.parameters(),
            time_base: stream.time_base(),
            origin_us: media.origin_us,
            step_us: (1e6 / media.frame_rate.max(0.001)) as i64,
            plan,
            shift_ticks: None,
            open: None,
            next: None,
            pieces: 0,
        };
        let mut work = Self { picture, reorder: reorder.flatten(), sound, emit };
        if audio.is_some() && work.sound.is_none() {
            (work.emit)(Piece::NoSound)?;
        }
        Ok(work)
    }

    fn take(&mut self, packet: &mut Packet) -> Result<(), Failure> {
        if packet.stream() == self.picture.stream {
            self.see(packet)
        } else if let Some(sound) = self.sound.as_mut().filter(|sound| sound.stream == packet.stream()) {
            Ok(sound.take(packet, &mut self.emit)?)
        } else {
            Ok(())
        }
    }

    fn see(&mut self, packet: &mut Packet) -> Result<(), Failure> {
        let Some(reorder) = &mut self.reorder else { return self.picture.take(packet, &mut self.emit) };
        for mut timed in reorder.push(packet) {
            self.picture.take(&mut timed, &mut self.emit)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), Failure> {
        for mut timed in self.reorder.as_mut().map(Reorder::finish).unwrap_or_default() {
            self.picture.take(&mut timed, &mut self.emit)?;
        }
        self.picture.finish(&mut self.emit)?;
        if let Some(sound) = self.sound {
            sound.finish(&mut self.emit)?;
        }
        if self.picture.pieces == 0 {
            return Err(Failure::reject(Code::Undecodable, anyhow::anyhow!("no piece of picture could be made")));
        }
        Ok(())
    }
}

struct Sound {
    stream: usize,
    listener: Listener,
    cutter: Cutter,
    done: u64,
}

impl Sound {
    fn new(stream: usize, listener: Listener) -> Self {
        Self { stream, listener, cutter: Cutter::default(), done: 0 }
    }

    fn take(&mut self, packet: &Packet, emit: &mut impl FnMut(Piece) -> Result<(), Stopped>) -> Result<(), Stopped> {
        let heard = self.listener.hear(packet);
        self.cut(heard, emit)
    }

    fn cut(&mut self, heard: Vec<Heard>, emit: &mut impl FnMut(Piece) -> Result<(), Stopped>) -> Result<(), Stopped> {
        let done = &mut self.done;
        let mut push = |samples: &[i16]| self.cutter.push(samples, &mut |piece| emit(sound_piece(done, piece)));
        for heard in heard {
            match heard {
                Heard::Samples(samples) => push(&samples)?,
                Heard::Silence(mut left) => {
                    let second = [0; RATE];
                    while left > 0 {
                        let count = left.min(RATE as i64);
                        push(&second[..count as usize])?;
                        left -= count;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, emit: &mut impl FnMut(Piece) -> Result<(), Stopped>) -> Result<(), Stopped> {
        let heard = self.listener.finish();
        self.cut(heard, emit)?;
        self.cutter.finish().map_or(Ok(()), |rest| emit(sound_piece(&mut self.done, rest)))
    }
}

fn sound_piece(done: &mut u64, samples: Vec<i16>) -> Piece {
    let start = *done;
    *done += samples.len() as u64;
    debug_assert!(samples.len() <= 35 * RATE);
    Piece::Audio { start_us: time_of_us(start), end_us: time_of_us(*done), samples }
}

/// The picture: which piece is open, and whether its end has been met.
struct Picture {
    stream: usize,
    parameters: codec::Parameters,
    time_base: Rational,
    origin_us: i64,
    step_us: i64,
    plan: Plan,
    shift_ticks: Option<i64>,
    open: Option<Open>,
    /// The piece after `open`, while pictures that are presented before its keyframe still come: they need the
    /// piece before to be decoded, so they go into both, and so does the keyframe.
    next: Option<(Open, Option<Packet>)>,
    pieces: usize,
}

/// A piece being written.
struct Open {
    writer: Writer,
    frames: u64,
    /// Time of its first presented frame, in microseconds; of the keyframe it begins with, but for an edit list's
    /// lead-in, which is not presented.
    start_us: Option<i64>,
    /// It begins with such a lead-in.
    lead_in: bool,
    /// The latest end of a presented frame in it, in microseconds.
    end_us: i64,
}

impl Picture {
    fn take(
        &mut self,
        packet: &mut Packet,
        emit: &mut impl FnMut(Piece) -> Result<(), Stopped>,
    ) -> Result<(), Failure> {
        let Some(ticks) = packet.pts().or(packet.dts()).filter(|_| packet.size() > 0) else { return Ok(()) };
        packet.set_pts(Some(ticks));
        let at_us = to_us(ticks, self.time_base) - self.origin_us;
        let Some(open) = &self.open else {
            self.open = Some(self.begin(ticks, Some(0))?);
            return self.add(packet, at_us);
        };
        if self.next.as_ref().is_some_and(|(next, _)| next.start_us.is_some_and(|start_us| at_us > start_us)) {
            self.close(emit)?;
        } else if packet.is_key() && is_discarded(packet) && open.end_us > 0 {
            // A later part of an edit list: what leads to it has times that belong to other frames.
            self.finish(emit)?;
            self.open = Some(self.begin(ticks, None)?);
        } else if self.next.is_none() && packet.is_key() && self.is_enough(open, at_us) {
            self.next = Some((self.begin(ticks, Some(at_us))?, Some(packet.clone())));
        }
        self.add(packet, at_us)
    }

    fn is_enough(&self, open: &Open, at_us: i64) -> bool {
        let length_us = at_us - open.start_us.unwrap_or(at_us);
        length_us >= self.plan.target_us || (length_us > 0 && open.writer.bytes() >= self.plan.enough_bytes)
    }

    /// Opens a piece whose first packet is at `ticks` and whose first frame is presented at `start_us`.
    fn begin(&mut self, ticks: i64, start_us: Option<i64>) -> Result<Open, Failure> {
        let shift_ticks = *self.shift_ticks.get_or_insert_with(|| whole_seconds(ticks, self.time_base));
        let made = Writer::new(&self.parameters, self.time_base, shift_ticks, &self.plan.keep);
        let writer =
            made.map_err(|e| Failure::reject(Code::Undecodable, anyhow::Error::new(e).context("begin piece")))?;
        Ok(Open { writer, frames: 0, start_us, lead_in: start_us.is_none(), end_us: start_us.unwrap_or(0) })
    }

    fn add(&mut self, packet: &Packet, at_us: i64) -> Result<(), Failure> {
        let length_us = to_us(packet.duration(), self.time_base);
        let length_us = if length_us > 0 { length_us.min(1_000_000.max(self.step_us)) } else { self.step_us };
        let presented = (!is_discarded(packet)).then_some((at_us, at_us + length_us));
        let Some((next, key)) = &mut self.next else {
            self.check_size()?;
            if let Some(open) = &mut self.open {
                open.put(packet, presented);
            }
            return Ok(());
        };
        if next.start_us.is_some_and(|start_us| at_us < start_us)
            && let Some(open) = &mut self.open
        {
            if let Some(key) = key.take() {
                open.put(&key, None);
            }
            open.put(packet, presented);
        }
        next.put(packet, presented);
        Ok(())
    }

    /// Sees that the open piece may grow.
    fn check_size(&self) -> Result<(), Failure> {
        let Some(open) = &self.open else { return Ok(()) };
        let (frames, bytes) = (open.frames, open.writer.bytes());
        if frames < self.plan.most_frames && bytes < self.plan.most_bytes {
            return Ok(());
        }
        let seen = anyhow::anyhow!("no keyframe in {frames} frames, {bytes} bytes");
        Err(Failure::reject(Code::KeyframesTooFarApart, seen))
    }

    /// Hands the open piece on; the next takes its place.
    fn close(&mut self, emit: &mut impl FnMut(Piece) -> Result<(), Stopped>) -> Result<(), Failure> {
        let next = self.next.take().map(|(next, _)| next);
        let next_start_us = next.as_ref().and_then(|next| next.start_us);
        let Some(open) = std::mem::replace(&mut self.open, next) else { return Ok(()) };
        let (start_us, end_us) = (open.start_us.unwrap_or(open.end_us), next_start_us.unwrap_or(open.end_us));
        let shift_us = to_us(self.shift_ticks.unwrap_or(0), self.time_base);
        let written = open.writer.finish();
        // It may fit later, beside less; if it never does, the video ends all the same.
        let file = written.map_err(|e| Failure::Retry(anyhow::Error::new(e).context("write piece")))?;
        if end_us <= start_us {
            return Ok(());
        }
        self.pieces += 1;
        let origin_us = self.origin_us + shift_us;
        Ok(emit(Piece::Video { start_us, end_us, file, demuxer: DEMUXER, origin_us })?)
    }

    fn finish(&mut self, emit: &mut impl FnMut(Piece) -> Result<(), Stopped>) -> Result<(), Failure> {
        while self.open.is_some() {
            self.close(emit)?;
        }
        Ok(())
    }
}

impl Open {
    /// Adds `packet`, whose frame is `presented` in that span, if at all. One that the muxer refuses is damaged,
    /// and the others go on without it.
    fn put(&mut self, packet: &Packet, presented: Option<(i64, i64)>) {
        if let Err(error) = self.writer.write(packet) {
            tracing::debug!(%error, "packet left out");
            return;
        }
        self.frames += 1;
        if let Some((at_us, end_us)) = presented {
            if self.lead_in {
                self.start_us = Some(self.start_us.map_or(at_us, |start_us| start_us.min(at_us)));
            }
            self.end_us = self.end_us.max(end_us);
        }
    }
}

/// Returns the least number of ticks that is whole seconds and makes every time after `first` positive, with
/// room for pictures presented before it; none when it is positive already.
fn whole_seconds(first: i64, time_base: Rational) -> i64 {
    if first >= 0 {
        return 0;
    }
    let (seconds, ticks) = (i64::from(time_base.numerator()), i64::from(time_base.denominator()));
    let needed_us = -to_us(first, time_base) + 10_000_000;
    let times = needed_us / (seconds * 1_000_000) + 1;
    times * ticks
}
