//! What is emulated: how long the old system's steps take for a video, and how that time lies on the stages. Written as
//! JSON for the workers, which draw every time from it by the video's id.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipeline::event::Options;
use pipeline::id::VideoId;
use planning::plan::emulated::{MEASURED_S, MIDPOINTS_S, Step};
use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// No worker takes longer to start.
pub const LONGEST_STARTUP: Duration = Duration::from_secs(3600);

/// What the workers of a load test emulate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// Every time that is drawn follows from this and the video's id.
    pub seed: u64,
    /// How many times faster than the times below everything is.
    pub time_scale: f64,
    /// What the ranges are multiplied by.
    pub basis: Basis,
    /// How long a new slot takes until it works, in seconds.
    pub startup_s: f64,
}

/// What the old system's times are taken to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The ranges given for its steps, whose midpoints add up to 305 s a video.
    Ranges,
    /// The same ranges stretched so that the mean is 400 s, which is what 180 videos an hour with 20 workers come to.
    Measured,
}

impl Basis {
    /// Returns what a video takes on average, in seconds of one worker.
    pub const fn mean_s(self) -> f64 {
        match self {
            Self::Ranges => MIDPOINTS_S,
            Self::Measured => MEASURED_S,
        }
    }
}

impl Spec {
    /// Reads a spec from a file.
    ///
    /// # Errors
    /// When it cannot be read, is no spec, or makes no sense.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let spec: Self = serde_json::from_str(&text).with_context(|| format!("understand {}", file.display()))?;
        ensure!(spec.time_scale.is_finite() && spec.time_scale >= 1.0, "the time scale is to be 1 or more");
        let startup = 0.0..=LONGEST_STARTUP.as_secs_f64();
        ensure!(startup.contains(&spec.startup_s), "the start-up time is to be 0 to {:?}", LONGEST_STARTUP);
        Ok(spec)
    }

    /// Returns how long `step` takes for the whole of `video`, in seconds of the old system.
    pub fn work_s(&self, step: Step, video: VideoId) -> f64 {
        let drawn = Chance::new(self.seed, &[step.name(), &video.to_string()]).within(&step.range_s());
        drawn * self.basis.mean_s() / MIDPOINTS_S
    }

    /// Returns how long a time of the old system lasts here.
    pub fn real(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds.max(0.0) / self.time_scale)
    }

    /// Returns how long a new slot takes here until it works.
    pub fn startup(&self) -> Duration {
        self.real(self.startup_s)
    }
}

/// Returns where the clips of a video of `length_s` seconds lie, in seconds: as many as were asked for and fit.
pub fn clips(length_s: f64, options: &Options) -> Vec<(f64, f64)> {
    let [min_s, max_s] = [options.min_clip(), options.max_clip()].map(|length| length.as_secs_f64());
    let count = ((length_s / min_s) as u32).clamp(1, options.clips.max(1));
    let part_s = length_s / f64::from(count);
    (0..count).map(|place| f64::from(place) * part_s).map(|start_s| (start_s, start_s + part_s.min(max_s))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(basis: Basis) -> Spec {
        Spec { seed: 1, time_scale: 10.0, basis, startup_s: 45.0 }
    }

    #[test]
    fn times_are_the_videos_own_and_their_mean_is_the_basis() {
        for basis in [Basis::Ranges, Basis::Measured] {
            let spec = spec(basis);
            let whole = |video: VideoId| Step::ALL.map(|step| spec.work_s(step, video)).iter().sum::<f64>();
            let videos: Vec<VideoId> =
                (0..2000_u128).map(|number| format!("{:032x}", number << 64).parse().expect("a uuid")).collect();
            let mean = videos.iter().map(|video| whole(*video)).sum::<f64>() / videos.len() as f64;
            assert!((mean / basis.mean_s() - 1.0).abs() < 0.02, "{basis:?}: {mean}");
            assert_eq!(whole(videos[0]), whole(videos[0]));
        }
    }

    #[test]
    fn clips_fit_the_length() {
        let options = Options::default();
        assert_eq!(clips(5.0, &options), [(0.0, 5.0)]);
        assert_eq!(clips(120.0, &options), [(0.0, 30.0), (40.0, 70.0), (80.0, 110.0)]);
    }

    #[test]
    fn a_spec_survives_its_file_and_nonsense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spec.json");
        let spec = spec(Basis::Measured);
        std::fs::write(&file, serde_json::to_vec(&spec).unwrap()).unwrap();
        assert_eq!(Spec::read(&file).unwrap(), spec);
        std::fs::write(&file, serde_json::to_vec(&Spec { time_scale: 0.0, ..spec }).unwrap()).unwrap();
        assert!(Spec::read(&file).unwrap_err().to_string().contains("time scale"));
    }
}
