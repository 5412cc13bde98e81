//! The load test's emulation as a simulation: the same steps, pieces and start-up, to hold one against the other.
//!
//! The emulated workers of `spillway loadtest --emulate` only take time: each of a video's steps draws a time from the old
//! system's ranges, and pieces and clips share it evenly. One slot is one worker there, and all slots of a stage share its
//! queues, as they do here.

use std::ops::RangeInclusive;
use std::time::Duration;

use pipeline::lane::Lane;
use pipeline::stage::StageName;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::system;
use crate::simulate::flow::{Flow, Spread, StageSpec};
use crate::simulate::load::{Kind, Load, Video, Work};
use crate::stages::STAGES;

/// A step of the old system: one after another, once a video.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Here `fetch`.
    Download,
    /// Here `transcribe`, shared by the pieces of sound.
    Transcription,
    /// Here `moments`.
    Moments,
    /// Here `analyze`, shared by the pieces of picture.
    Faces,
    /// Here a part of `cut`, shared by the clips.
    Cropping,
    /// Here the other part of `cut`.
    Cutting,
}

impl Step {
    /// Every step in the old order.
    pub const ALL: [Self; 6] =
        [Self::Download, Self::Transcription, Self::Moments, Self::Faces, Self::Cropping, Self::Cutting];

    /// Returns how long it takes for a video, in seconds.
    pub const fn range_s(self) -> RangeInclusive<f64> {
        match self {
            Self::Download => 10.0..=60.0,
            Self::Transcription => 20.0..=120.0,
            Self::Moments => 5.0..=30.0,
            Self::Faces => 15.0..=90.0,
            Self::Cropping => 10.0..=40.0,
            Self::Cutting => 30.0..=180.0,
        }
    }

    /// Returns its name: `download`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Transcription => "transcription",
            Self::Moments => "moments",
            Self::Faces => "faces",
            Self::Cropping => "cropping",
            Self::Cutting => "cutting",
        }
    }
}

/// The steps that lie on each of [`STAGES`]; `split` is none of the old system's.
const STEPS: [&[Step]; 6] = [
    &[Step::Download],
    &[],
    &[Step::Transcription],
    &[Step::Faces],
    &[Step::Moments],
    &[Step::Cropping, Step::Cutting],
];
/// The midpoints of all ranges, added up, in seconds.
pub const MIDPOINTS_S: f64 = 305.0;
/// What 180 videos an hour with 20 workers come to for one video, in seconds.
pub const MEASURED_S: f64 = 400.0;
/// A piece of picture and one of sound, in seconds. Longer than the real ones: each costs the broker and the store what
/// a real one does, and hundreds of videos share them with the load test.
const PIECES_S: (f64, f64) = (60.0, 120.0);
/// No video has more pieces of a kind.
const MOST_PIECES: u32 = 8;

/// What the emulation is told.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Emulation {
    /// What a video takes on average, in seconds: 305 by the ranges' midpoints, or the 400 that 180 videos an hour with
    /// 20 workers come to.
    pub mean_s: f64,
    /// Start-up time of a slot, in seconds.
    pub startup_s: f64,
    /// Most slots of a stage.
    pub max_workers: u32,
    /// Partitions of each lane.
    pub partitions: u32,
    /// Time between two decisions, in seconds.
    pub tick_s: f64,
    /// Longest wait of a unit, in seconds.
    pub wait_target_s: f64,
}

/// A video that is sent.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sent {
    /// When, in seconds.
    pub at_s: f64,
    /// How long it is, in seconds.
    pub length_s: f64,
    /// It asks for the priority lane.
    pub priority: bool,
    /// Its clips.
    pub clips: u32,
}

impl Default for Emulation {
    fn default() -> Self {
        Self {
            mean_s: MEASURED_S,
            startup_s: 45.0,
            max_workers: 400,
            partitions: 400,
            tick_s: 5.0,
            wait_target_s: 120.0,
        }
    }
}

impl Emulation {
    /// Returns the emulated stages.
    pub fn flow(&self) -> Flow {
        let after: [&[usize]; 6] = system::AFTER;
        let stage = |(name, after): (StageName, &[usize])| StageSpec {
            name: name.to_string(),
            after: after.to_vec(),
            partitions: self.partitions,
            slots_per_worker: 1,
            startup: Spread::constant(self.startup_s),
            min_replicas: 1,
            max_replicas: self.max_workers,
            wait_slo_s: self.wait_target_s,
            ..StageSpec::default()
        };
        let stages = STAGES.into_iter().zip(after).map(stage).collect();
        Flow { stages, tick_s: self.tick_s, budget_per_hour: None }
    }

    /// Returns the work of the videos that are `sent`, in order of time, with times drawn from `seed`.
    pub fn load(&self, sent: &[Sent], seed: u64) -> Load {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut load = Load { seed, ..Load::default() };
        for video in sent {
            let units = units(video);
            let mut work = |(steps, units): (&[Step], u32)| {
                let drawn: f64 = steps.iter().map(|step| rng.random_range(step.range_s())).sum();
                let each_s = drawn * self.mean_s / MIDPOINTS_S / f64::from(units);
                Work { units, service: Spread::constant(each_s) }
            };
            let work = STEPS.into_iter().zip(units).map(&mut work).collect();
            let by_length = Lane::for_duration(Duration::from_secs_f64(video.length_s));
            let lane = if video.priority { Lane::Priority } else { by_length };
            load.videos.push(Video { arrives_at: video.at_s, lane, kind: load.kinds.len() });
            load.kinds.push(Kind { media_s: video.length_s, work });
        }
        load
    }
}

fn units(video: &Sent) -> [u32; 6] {
    let (picture, sound) = pieces(video.length_s);
    [1, 1, sound, picture, 1, video.clips.max(1)]
}

/// Returns how many pieces of picture and of sound a video of `length_s` seconds is split into.
pub fn pieces(length_s: f64) -> (u32, u32) {
    let of = |piece_s: f64| ((length_s / piece_s).ceil() as u32).clamp(1, MOST_PIECES);
    (of(PIECES_S.0), of(PIECES_S.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midpoints_add_up() {
        let middle = |step: Step| (step.range_s().start() + step.range_s().end()) / 2.0;
        assert_eq!(Step::ALL.map(middle).iter().sum::<f64>(), MIDPOINTS_S);
    }

    #[test]
    fn pieces_fit_the_length() {
        assert_eq!([5.0, 60.0, 61.0, 300.0, 7200.0].map(pieces), [(1, 1), (1, 1), (2, 1), (5, 3), (8, 8)]);
    }

    #[test]
    fn a_video_takes_as_long_as_the_old_system_said() {
        let sent: Vec<Sent> = (0..2000)
            .map(|place| Sent { at_s: f64::from(place), length_s: 300.0, priority: false, clips: 3 })
            .collect();
        let load = Emulation::default().load(&sent, 3);
        let whole = |kind: &Kind| kind.work.iter().map(|w| f64::from(w.units) * w.service.mean_s).sum::<f64>();
        let mean = load.kinds.iter().map(whole).sum::<f64>() / load.kinds.len() as f64;
        assert!((mean / 400.0 - 1.0).abs() < 0.02, "{mean}");
        assert_eq!(load.kinds[0].work.iter().map(|w| w.units).collect::<Vec<_>>(), [1, 1, 3, 5, 1, 3]);
        assert_eq!(load.videos[0].lane, Lane::Standard);
    }
}
