//! What is planned for: what comes, what it runs on, what that costs and where its limits are.

use serde::Serialize;

use super::arrivals::Arrivals;
use crate::cost::{Costs, Prices};
use crate::simulate::flow::Spread;

/// Everything that a plan depends on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Scenario {
    /// Its name in tables.
    pub name: String,
    /// When videos come.
    pub arrivals: Arrivals,
    /// What they are.
    pub mix: Mix,
    /// What work costs.
    pub costs: Costs,
    /// What is paid.
    pub prices: Prices,
    /// What the stages run on.
    pub machines: Machines,
    /// What may not be exceeded.
    pub limits: Limits,
    /// What is kept, and how much of it there is.
    pub bytes: Bytes,
}

/// What videos are.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mix {
    /// Lengths in seconds, each with its weight.
    pub lengths: Vec<(f64, f64)>,
    /// Share of videos in the priority lane, 0 to 1.
    pub priority_share: f64,
    /// Clips of a video.
    pub clips: u32,
    /// Length of a clip, in seconds.
    pub clip_s: f64,
    /// Length of a piece of picture, in seconds.
    pub picture_piece_s: f64,
    /// Length of a piece of sound, in seconds.
    pub sound_piece_s: f64,
}

/// What the stages run on.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Machines {
    /// Time from asking for a worker until it takes work, in seconds.
    pub startup_s: f64,
    /// Standard deviation over mean of that time.
    pub startup_variation: f64,
    /// Fewest workers of a stage.
    pub min_workers: u32,
    /// Longest wait before work on a unit is to begin, in seconds.
    pub wait_target_s: f64,
    /// Time between two decisions, in seconds.
    pub tick_s: f64,
}

/// What may not be exceeded.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Limits {
    /// Most workers of a stage.
    pub max_workers: u32,
    /// Partitions of each lane of each stage.
    pub partitions: u32,
    /// Disk that the brokers have for one copy of everything, in gigabytes.
    pub broker_disk_gb: f64,
    /// Pieces of sound that an outside transcriber takes in an hour.
    pub quota_per_hour: Option<f64>,
    /// What a month may cost.
    pub budget_per_month: Option<f64>,
    /// What all workers together may cost in an hour: the policy keeps to it.
    pub budget_per_hour: Option<f64>,
    /// Growth of the load in a month, as a share: 0.2 is a fifth more each month.
    pub growth_per_month: f64,
}

/// What is kept, and how much of it there is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bytes {
    /// A second of source video, in bytes.
    pub source_per_s: f64,
    /// A second of clip, in bytes.
    pub clip_per_s: f64,
    /// How long sources are kept, in days.
    pub keep_sources_days: f64,
    /// Months of clips that are kept: clips stay until somebody deletes them.
    pub keep_clips_months: f64,
    /// Where the numbers come from.
    pub source: String,
}

/// Days of a month, on average.
pub const MONTH_DAYS: f64 = 30.44;

/// A second of sound between stages, in bytes: 16 kHz, mono, 16 bits.
pub const SOUND_BYTES_PER_S: f64 = 32_000.0;
/// What the log of events keeps for ever of each unit of work, in bytes.
pub const EVENT_BYTES_PER_UNIT: f64 = 1_060.0;
/// What gatherers' topics keep of each second of video, in bytes, and for how many days.
pub const GATHERED_BYTES_PER_S: (f64, f64) = (4_560.0, 7.0);

impl Default for Mix {
    fn default() -> Self {
        Self {
            lengths: vec![(60.0, 2.0), (180.0, 4.0), (600.0, 3.0), (2400.0, 1.0)],
            priority_share: 0.1,
            clips: 3,
            clip_s: 30.0,
            picture_piece_s: 6.0,
            sound_piece_s: 30.0,
        }
    }
}

impl Mix {
    /// Returns the mean length, in seconds.
    pub fn mean_s(&self) -> f64 {
        let weights: f64 = self.lengths.iter().map(|(_, weight)| weight).sum();
        self.lengths.iter().map(|(length_s, weight)| length_s * weight).sum::<f64>() / weights.max(f64::MIN_POSITIVE)
    }

    /// Returns how many clips a video of `length_s` has, and how long one is, in seconds.
    pub fn clips(&self, length_s: f64) -> (u32, f64) {
        let fit = (length_s / self.clip_s).floor() as u32;
        (self.clips.min(fit.max(1)), self.clip_s.min(length_s))
    }

    /// Returns the mean length of a video's clips together, in seconds.
    pub fn mean_clips_s(&self) -> f64 {
        let weights: f64 = self.lengths.iter().map(|(_, weight)| weight).sum();
        let of = |(length_s, weight): &(f64, f64)| {
            let (count, clip_s) = self.clips(*length_s);
            f64::from(count) * clip_s * weight
        };
        self.lengths.iter().map(of).sum::<f64>() / weights.max(f64::MIN_POSITIVE)
    }
}

impl Default for Machines {
    fn default() -> Self {
        Self { startup_s: 45.0, startup_variation: 0.2, min_workers: 1, wait_target_s: 120.0, tick_s: 5.0 }
    }
}

impl Machines {
    /// Returns the start-up time with its spread.
    pub fn startup(&self) -> Spread {
        Spread { mean_s: self.startup_s, cv: self.startup_variation }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_workers: 400,
            partitions: 60,
            broker_disk_gb: 500.0,
            quota_per_hour: None,
            budget_per_month: None,
            budget_per_hour: None,
            growth_per_month: 0.2,
        }
    }
}

impl Limits {
    /// Returns no limit on anything that work could wait for.
    pub fn open(&self) -> Self {
        Self {
            max_workers: u32::from(u16::MAX),
            partitions: u32::from(u16::MAX),
            quota_per_hour: None,
            budget_per_hour: None,
            ..self.clone()
        }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            source_per_s: 241_000.0,
            clip_per_s: 175_000.0,
            keep_sources_days: 14.0,
            keep_clips_months: 12.0,
            source: "the talk of scripts/make-talk, 1280x720, 20.8 MB for 86 s; its three clips, 11.1 MB for 63 s; what the \
                     topics hold after it: 26.5 KB of events for 25 units, 392 KB for the gatherers"
                .to_owned(),
        }
    }
}

impl Scenario {
    /// Returns the same with so many times the load.
    pub fn times(&self, times: f64) -> Self {
        Self { arrivals: self.arrivals.times(times), ..self.clone() }
    }

    /// Makes the scenario of `users` who come within ten seconds at the busiest time of a day of `videos_per_day`.
    pub fn of_users(users: u32, videos_per_day: u32) -> Self {
        Self {
            name: format!("{users} users at once"),
            arrivals: Arrivals::day(users, videos_per_day),
            mix: Mix::default(),
            costs: Costs::measured(),
            prices: Prices::default(),
            machines: Machines::default(),
            limits: Limits::default(),
            bytes: Bytes::default(),
        }
    }
}
