//! Looks at what goes into the encoder and at what came out of it, before a clip is released.

use std::fmt;
use std::fs::File;
use std::path::Path;

use ffmpeg::{Packet, Rational, Rescale, frame};
use ffmpeg_next as ffmpeg;
use pipeline::outbox::Pulse;

use super::camera::View;
use super::clock::slot_us;
use super::{During, Error};
use crate::media::{ADMITTED_DEMUXERS, open};

/// Points looked at in a frame, in each direction.
const GRID: usize = 32;

/// Luma up to which a point is black.
const BLACK: u8 = 32;

/// The share of a clip's frames that may be black or frozen while the source was not.
const TOLERATED: f64 = 0.5;

/// How far the sound's end may lie from the picture's, in microseconds: the encoder rounds up to 1024 samples.
const END_TOLERANCE_US: i64 = 30_000;

/// What is wrong with a clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Says whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what else is wrong.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    fn note(&mut self, wrong: bool, text: impl FnOnce() -> String) {
        if wrong {
            self.0.push(text());
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

/// Counts frames that are black or repeat the one before, in the clip and in the part of the source it shows.
#[derive(Default)]
pub struct Watch {
    frames: u32,
    source: Seen,
    clip: Seen,
}

#[derive(Default)]
struct Seen {
    last: Vec<u8>,
    black: u32,
    frozen: u32,
}

impl Watch {
    /// Looks at a frame of the clip and at the part `view` of the source's frame it was made from.
    pub fn see(&mut self, source: &frame::Video, view: &View, shown: &frame::Video) {
        self.frames += 1;
        self.source.see(source, view);
        let all = View { x: 0.0, y: 0.0, width: f64::from(shown.width()), height: f64::from(shown.height()) };
        self.clip.see(shown, &all);
    }

    /// Returns what is wrong with the clip but was not with the source.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        let most = f64::from(self.frames) * TOLERATED;
        let black = self.clip.black.saturating_sub(self.source.black);
        faults.note(self.frames > 1 && f64::from(black) > most, || format!("{black} frames turned black"));
        let frozen = self.clip.frozen.saturating_sub(self.source.frozen);
        faults.note(self.frames > 1 && f64::from(frozen) > most, || format!("{frozen} frames froze"));
        faults
    }
}

impl Seen {
    fn see(&mut self, frame: &frame::Video, view: &View) {
        let (stride, luma) = (frame.stride(0), frame.data(0));
        let (wide, high) = (frame.width() as usize, frame.height() as usize);
        let mut points = Vec::with_capacity(GRID * GRID);
        for row in 0..GRID {
            let y = ((view.y + (row as f64 + 0.5) * view.height / GRID as f64) as usize).min(high - 1);
            for column in 0..GRID {
                let x = ((view.x + (column as f64 + 0.5) * view.width / GRID as f64) as usize).min(wide - 1);
                points.push(luma[y * stride + x]);
            }
        }
        let dark = points.iter().filter(|&&p| p <= BLACK).count();
        self.black += u32::from(dark * 100 >= points.len() * 98);
        self.frozen += u32::from(points == self.last);
        self.last = points;
    }
}

/// Reads the packets of the finished file: there must be `frames` of them at an even `rate`, from 0 on, in order, and
/// as much sound.
pub fn inspect(file: &Path, frames: u64, rate: Rational, pulse: &Pulse) -> Result<Faults, Error> {
    let unreadable = |_| ffmpeg::Error::InvalidData;
    let reader = File::open(file).map_err(unreadable).during("open finished file")?;
    let mut input = open(reader, ADMITTED_DEMUXERS, pulse).during("open finished file")?;
    let micro = Rational(1, 1_000_000);
    let bases: Vec<Rational> = input.streams().map(|s| s.time_base()).collect();
    let mut tracks = [Packets::default(), Packets::default()];
    loop {
        // Reading into a packet that holds one already would leak that one.
        let mut packet = Packet::empty();
        if packet.read(&mut input).is_err() {
            break;
        }
        pulse.beat()?;
        let (Some(track), Some(&base)) = (tracks.get_mut(packet.stream()), bases.get(packet.stream())) else {
            continue;
        };
        let (Some(pts), Some(dts)) = (packet.pts(), packet.dts()) else { continue };
        let pts_us = pts.rescale(base, micro);
        track.count += 1;
        track.disordered += u64::from(track.last_dts.is_some_and(|last| dts <= last));
        track.last_dts = Some(dts);
        track.first_us = track.first_us.min(pts_us);
        track.end_us = track.end_us.max((pts + packet.duration()).rescale(base, micro));
    }
    let [video, audio] = tracks;
    let end_us = slot_us(frames as i64, rate);
    let slack_us = slot_us(1, rate) / 2;
    let mut faults = Faults::default();
    faults.note(video.count != frames, || format!("{} frames instead of {frames}", video.count));
    faults.note(video.disordered + audio.disordered > 0, || "timestamps go back".to_owned());
    faults.note(video.first_us.abs() > 1000, || format!("picture begins at {} us", video.first_us));
    faults.note((video.end_us - end_us).abs() > slack_us, || {
        format!("picture ends at {} us instead of {end_us}", video.end_us)
    });
    faults.note(audio.first_us.abs() > END_TOLERANCE_US, || format!("sound begins at {} us", audio.first_us));
    faults.note((audio.end_us - end_us).abs() > END_TOLERANCE_US, || {
        format!("sound ends at {} us instead of {end_us}", audio.end_us)
    });
    Ok(faults)
}

struct Packets {
    count: u64,
    disordered: u64,
    last_dts: Option<i64>,
    first_us: i64,
    end_us: i64,
}

impl Default for Packets {
    fn default() -> Self {
        Self { count: 0, disordered: 0, last_dts: None, first_us: i64::MAX, end_us: i64::MIN }
    }
}
