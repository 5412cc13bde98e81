//! What arrives: videos with their units, from a trace or a burst, drawn from a seed.

use pipeline::lane::Lane;
use rand::SeedableRng;
use rand_distr::{Distribution, Poisson, StandardNormal, Uniform};
use rand_pcg::Pcg64Mcg;

use super::flow::Spread;

/// One video.
#[derive(Clone, Debug)]
pub struct Video {
    /// When it is submitted, in seconds.
    pub arrives_at: f64,
    /// Its lane.
    pub lane: Lane,
    /// Which of [`Load::kinds`] it is.
    pub kind: usize,
}

/// What a kind of video is at each stage.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its length, in media seconds.
    pub media_s: f64,
    /// Units at each stage, and the time of each.
    pub work: Vec<Work>,
}

/// A video's work at one stage.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many units.
    pub units: u32,
    /// How long one takes in one slot.
    pub service: Spread,
}

/// All that arrives.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// In order of arrival.
    pub videos: Vec<Video>,
    /// The kinds that videos are of.
    pub kinds: Vec<Kind>,
    /// What service times are drawn from: the same for every policy.
    pub seed: u64,
}

impl Load {
    /// Draws how long each unit of `video` takes at the stage in place `stage`, in seconds: always the same.
    pub fn services(&self, video: u32, stage: usize) -> impl Iterator<Item = f32> {
        let work = self.kinds[self.videos[video as usize].kind].work[stage];
        let seed = self.seed ^ (u64::from(video) << 8 | stage as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        (0..work.units).map(move |_| work.service.draw(StandardNormal.sample(&mut rng)) as f32)
    }
}

/// Counts of arrivals in equal buckets.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Trace {
    /// Length of a bucket, in seconds.
    pub bucket_s: f64,
    /// Arrivals in each.
    pub counts: Vec<f64>,
}

impl Trace {
    /// Returns its first `length_s` seconds.
    pub fn first(&self, length_s: f64) -> Self {
        let buckets = (length_s / self.bucket_s).round() as usize;
        Self { bucket_s: self.bucket_s, counts: self.counts.iter().copied().take(buckets).collect() }
    }

    /// Returns its length, in seconds.
    pub fn length_s(&self) -> f64 {
        self.bucket_s * self.counts.len() as f64
    }

    /// Returns the factor that makes it a load of `mean_busy` slots on average for units of `service_s` seconds, lower
    /// where the busiest `window_s` would keep more than `most_busy` slots busy.
    pub fn factor(&self, service_s: f64, mean_busy: f64, window_s: f64, most_busy: f64) -> f64 {
        let total: f64 = self.counts.iter().sum();
        let buckets = (window_s / self.bucket_s).round().max(1.0) as usize;
        let busiest = self.counts.windows(buckets.min(self.counts.len())).map(|w| w.iter().sum::<f64>());
        let busiest_rate = busiest.fold(0.0, f64::max) / (buckets as f64 * self.bucket_s);
        let by_mean = mean_busy / service_s * self.length_s() / total.max(f64::MIN_POSITIVE);
        let by_peak = most_busy / service_s / busiest_rate.max(f64::MIN_POSITIVE);
        by_mean.min(by_peak)
    }

    /// Draws arrival times: a Poisson number in each bucket, evenly spread within it, in order.
    pub fn arrivals(&self, factor: f64, seed: u64) -> Vec<f64> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let mut times = Vec::new();
        for (bucket, count) in self.counts.iter().enumerate() {
            let mean = count * factor;
            let drawn = if mean > 0.0 { Poisson::new(mean).map_or(0.0, |p| p.sample(&mut rng)) } else { 0.0 };
            let start = bucket as f64 * self.bucket_s;
            let from = times.len();
            if let Ok(within) = Uniform::new(start, start + self.bucket_s) {
                times.extend((0..drawn as u64).map(|_| within.sample(&mut rng)));
            }
            times[from..].sort_by(f64::total_cmp);
        }
        times
    }
}
