//! How long a video is and how many frames it has a second, measured from packets.

use std::io;

use ffmpeg::format::context::Input;
use ffmpeg::{Discard, Packet};
use ffmpeg_next as ffmpeg;
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Pulse;

use super::source::Trouble;
use super::to_us;

/// Files up to this size are read to the end: everything is exact then, and it takes less than a second.
const WHOLE_PASS_BYTES: u64 = 64 << 20;

/// How much of the beginning of a larger file is looked at for the frame rate, in microseconds.
const HEAD_US: i64 = 30_000_000;

/// How much of the beginning or the end is looked at at the most, in bytes: thirty seconds of a mezzanine codec are gigabytes.
const STRETCH_BYTES: usize = 64 << 20;

/// How far before the declared end the last packets are looked for, in microseconds: less where it is many bytes.
const TAIL_US: std::ops::RangeInclusive<i64> = 1_000_000..=10_000_000;

/// A last frame that claims to stay longer than any other did is not believed beyond this, in microseconds.
const LAST_FRAME_US: i64 = 1_000_000;

/// What the packets of a video stream say about time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measured {
    /// From the first presented frame to the end of the last.
    pub duration_us: i64,
    /// Mean frames a second.
    pub frame_rate: f64,
}

/// Presented packets of one stretch of the stream.
#[derive(Default, Debug)]
struct Stretch {
    frames: u64,
    first_us: Option<i64>,
    last_us: i64,
    last_length_us: i64,
}

impl Stretch {
    fn add(&mut self, at_us: i64, length_us: i64) {
        self.frames += 1;
        self.first_us = Some(self.first_us.map_or(at_us, |first| first.min(at_us)));
        if self.frames == 1 || at_us >= self.last_us {
            self.last_us = at_us;
            self.last_length_us = length_us;
        }
    }

    fn span_us(&self) -> i64 {
        self.first_us.map_or(0, |first| self.last_us - first)
    }

    /// Mean distance of frames, in microseconds; `None` for fewer than two.
    fn step_us(&self) -> Option<f64> {
        (self.frames > 1 && self.span_us() > 0).then(|| self.span_us() as f64 / (self.frames - 1) as f64)
    }
}

/// Reads the packets of `stream` in `input` as far as needed. `origin_us` is the time of the first presented frame.
pub(crate) fn measure(
    input: &mut Input,
    stream: usize,
    bytes: u64,
    origin_us: i64,
    trouble: &Trouble,
    pulse: &Pulse,
) -> Result<Measured, Failure> {
    for mut other in input.streams_mut().filter(|s| s.index() != stream) {
        discard_all(&mut other);
    }
    let declared_us = i128::from(input.duration().max(1));
    let tail_us = STRETCH_BYTES as i128 * declared_us / i128::from(bytes.max(1));
    let tail_us = tail_us.clamp((*TAIL_US.start()).into(), (*TAIL_US.end()).into()) as i64;
    let mut walk = Walk { input, stream, tail_us, trouble, pulse };
    walk.seek(origin_us)?;
    let head = match bytes {
        ..=WHOLE_PASS_BYTES => walk.stretch(i64::MAX, usize::MAX)?,
        _ => walk.stretch(origin_us + HEAD_US, STRETCH_BYTES)?,
    };
    let tail = if head.ended { Stretch::default() } else { walk.tail(&head.stretch)? };
    let head = head.stretch;
    if head.frames == 0 {
        return Err(Failure::reject(Code::Damaged, anyhow::anyhow!("no video packet can be read")));
    }
    Ok(conclude(&head, &tail, origin_us))
}

fn conclude(head: &Stretch, tail: &Stretch, origin_us: i64) -> Measured {
    let last = if tail.frames > 0 && tail.last_us > head.last_us { tail } else { head };
    let step_us = match (head.step_us(), tail.step_us()) {
        (Some(a), Some(b)) if tail.frames > 1 => (a + b) / 2.0,
        (Some(a), _) => a,
        (None, Some(b)) => b,
        (None, None) => (last.last_length_us.clamp(1, LAST_FRAME_US)) as f64,
    };
    let believable_us = LAST_FRAME_US.max(step_us as i64);
    let length_us = if last.last_length_us > 0 { last.last_length_us.min(believable_us) } else { step_us as i64 };
    let duration_us = (last.last_us - origin_us + length_us).max(1);
    Measured { duration_us, frame_rate: 1e6 / step_us }
}

struct Walked {
    stretch: Stretch,
    /// The end of the file was met.
    ended: bool,
}

struct Walk<'a> {
    input: &'a mut Input,
    stream: usize,
    tail_us: i64,
    trouble: &'a Trouble,
    pulse: &'a Pulse,
}

impl Walk<'_> {
    /// Goes to the last keyframe before `at_us`; what cannot seek is left where it is.
    fn seek(&mut self, at_us: i64) -> Result<bool, Failure> {
        self.pulse.beat()?;
        let found = self.input.seek(at_us, ..at_us).is_ok();
        self.trouble.check()?;
        Ok(found)
    }

    /// Reads on until a packet beyond `limit_us`, more than `limit_bytes` of packets, or the end.
    fn stretch(&mut self, limit_us: i64, limit_bytes: usize) -> Result<Walked, Failure> {
        let time_base = self.input.stream(self.stream).map(|s| s.time_base()).unwrap_or(ffmpeg::rescale::TIME_BASE);
        let mut stretch = Stretch::default();
        let (mut broken, mut read_bytes) = (0, 0);
        loop {
            self.pulse.beat()?;
            let mut packet = Packet::empty();
            match packet.read(self.input) {
                Ok(()) => broken = 0,
                Err(ffmpeg::Error::InvalidData) if broken < 1000 => {
                    broken += 1;
                    continue;
                }
                Err(ffmpeg::Error::Exit) => return Err(self.trouble.explain(ffmpeg::Error::Exit, Code::Damaged)),
                Err(_) => {
                    self.trouble.check()?;
                    return Ok(Walked { stretch, ended: true });
                }
            }
            let hidden = packet.stream() != self.stream || is_discarded(&packet) || packet.size() == 0;
            let Some(ticks) = packet.pts().or(packet.dts()).filter(|_| !hidden) else { continue };
            stretch.add(to_us(ticks, time_base), to_us(packet.duration(), time_base));
            read_bytes += packet.size();
            if stretch.last_us > limit_us || read_bytes > limit_bytes {
                return Ok(Walked { stretch, ended: false });
            }
        }
    }

    /// Finds the last packets: near the declared end, or, when nothing is there, where packets do end.
    fn tail(&mut self, head: &Stretch) -> Result<Stretch, Failure> {
        let declared_us = self.declared_end_us().max(head.last_us);
        let (mut there_us, mut beyond_us) = (head.last_us, declared_us);
        let mut target_us = (declared_us - self.tail_us).max(head.last_us);
        while beyond_us - there_us > self.tail_us {
            let found = self.seek(target_us)? && self.peek(there_us)?;
            if found {
                there_us = target_us;
                if beyond_us == declared_us {
                    break;
                }
            } else {
                beyond_us = target_us;
            }
            target_us = there_us + (beyond_us - there_us) / 2;
        }
        self.seek(there_us)?;
        Ok(self.stretch(i64::MAX, usize::MAX)?.stretch)
    }

    /// Says whether a packet later than `after_us` can be read from here.
    fn peek(&mut self, after_us: i64) -> Result<bool, Failure> {
        Ok(!self.stretch(after_us, usize::MAX)?.ended)
    }

    fn declared_end_us(&self) -> i64 {
        let start_us = self.input.stream(self.stream).map_or(0, |s| to_us(s.start_time().max(0), s.time_base()));
        start_us.saturating_add(self.input.duration().max(0))
    }
}

/// Says whether the container wants `packet` decoded and not shown (an edit list's lead-in).
pub(crate) fn is_discarded(packet: &Packet) -> bool {
    use ffmpeg::packet::Ref;
    // SAFETY: the packet is alive, and its flags are a plain integer; the safe accessor hides this flag.
    unsafe { (*packet.as_ptr()).flags & ffmpeg::ffi::AV_PKT_FLAG_DISCARD != 0 }
}

/// Tells the demuxer that nothing of `stream` is wanted.
pub(crate) fn discard_all(stream: &mut ffmpeg::StreamMut<'_>) {
    // SAFETY: the stream belongs to an open context which is borrowed mutably.
    unsafe { (*stream.as_mut_ptr()).discard = Discard::All.into() };
}

/// Reads up to `buffer.len()` bytes from the start of `reader` and goes back there.
pub(crate) fn read_head(reader: &mut (impl io::Read + io::Seek), buffer: &mut Vec<u8>, count: usize) -> io::Result<()> {
    use io::Read;
    reader.seek(io::SeekFrom::Start(0))?;
    reader.by_ref().take(count as u64).read_to_end(buffer)?;
    reader.seek(io::SeekFrom::Start(0))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(times_us: &[i64], last_length_us: i64) -> Stretch {
        let mut stretch = Stretch::default();
        times_us.iter().for_each(|&t| stretch.add(t, last_length_us));
        stretch
    }

    #[test]
    fn a_lone_frame_that_claims_two_days_lasts_a_second() {
        let measured = conclude(&stretch(&[0], 172_800_000_000), &Stretch::default(), 0);
        assert_eq!(measured.duration_us, LAST_FRAME_US);
    }

    #[test]
    fn presentation_order_does_not_matter() {
        let measured = conclude(&stretch(&[0, 120_000, 40_000, 80_000], 40_000), &Stretch::default(), 0);
        assert_eq!(measured, Measured { duration_us: 160_000, frame_rate: 25.0 });
    }

    #[test]
    fn the_tail_of_a_long_file_counts() {
        let measured = conclude(&stretch(&[0, 40_000], 40_000), &stretch(&[9_000_000, 9_040_000], 40_000), 0);
        assert_eq!(measured.duration_us, 9_080_000);
    }
}
