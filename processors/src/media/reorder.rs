//! Presentation times for streams that have none: AVI stores frames in the order of decoding and no more.
//!
//! A decoder is run beside the copy, on the cheap, to learn the order in which frames come out. A frame's time is
//! that of the packet which made it come out, which is also what everybody who decodes the source itself sees.

use std::collections::VecDeque;

use ffmpeg::{Packet, Stream, codec, frame};
use ffmpeg_next as ffmpeg;

/// How many packets may wait for their frame; one that never comes out is damaged.
const WAITING: usize = 40;

/// Gives packets their presentation times.
pub(crate) struct Reorder {
    decoder: ffmpeg::decoder::Video,
    /// Packets in the order of decoding, with their times as far as they are known.
    waiting: VecDeque<(Packet, Option<i64>)>,
    /// The number of the first packet in `waiting`.
    first: i64,
    last_time: i64,
    /// Distance of frames, in ticks.
    step: i64,
}

/// Says whether the stream `number` of a container read by `demuxer` has no presentation times of its own.
pub(crate) fn is_needed(demuxer: &str, parameters: &codec::Parameters) -> bool {
    // SAFETY: the parameters are alive; the delay is a plain integer.
    demuxer == "avi" && unsafe { (*parameters.as_ptr()).video_delay } > 0
}

impl Reorder {
    /// Prepares for the packets of `stream`.
    pub(crate) fn new(stream: &Stream<'_>) -> Result<Self, ffmpeg::Error> {
        let decoder = super::decode::order_only(stream)?;
        Ok(Self { decoder, waiting: VecDeque::new(), first: 0, last_time: i64::MIN, step: 1 })
    }

    /// Adds the next packet; returns those whose time is known now, in the order of decoding.
    pub(crate) fn push(&mut self, packet: &Packet) -> Vec<Packet> {
        self.step = packet.duration().max(1);
        let now = packet.dts().unwrap_or(self.last_time.saturating_add(self.step));
        let mut numbered = packet.clone();
        numbered.set_pts(Some(self.first + self.waiting.len() as i64));
        self.waiting.push_back((packet.clone(), None));
        let _ = self.decoder.send_packet(&numbered);
        self.receive(Some(now));
        self.ready(WAITING)
    }

    /// Returns the packets that still wait.
    pub(crate) fn finish(&mut self) -> Vec<Packet> {
        let _ = self.decoder.send_eof();
        self.receive(None);
        self.ready(0)
    }

    fn receive(&mut self, now: Option<i64>) {
        let mut decoded = frame::Video::empty();
        while self.decoder.receive_frame(&mut decoded).is_ok() {
            let next = self.last_time.saturating_add(if now.is_some() { 1 } else { self.step });
            self.last_time = now.map_or(next, |now| now.max(next));
            let place = decoded.pts().and_then(|number| usize::try_from(number - self.first).ok());
            if let Some((_, time)) = place.and_then(|place| self.waiting.get_mut(place)) {
                *time = Some(self.last_time);
            }
        }
    }

    /// Takes the packets at the front whose time is known, and those beyond `most`, whose frame never came.
    fn ready(&mut self, most: usize) -> Vec<Packet> {
        let mut ready = Vec::new();
        while let Some((mut packet, time)) = self.waiting.pop_front() {
            if time.is_none() && self.waiting.len() < most {
                self.waiting.push_front((packet, time));
                break;
            }
            self.first += 1;
            packet.set_pts(time.or(packet.dts()));
            ready.push(packet);
        }
        ready
    }
}
