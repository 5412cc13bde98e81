//! A curve of arrivals: how many come in which stretch of time.

use serde::{Deserialize, Serialize};

use super::BURST_S;
use crate::chance::Chance;

/// So many arrivals in a stretch of time, all moments of it alike.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Where it begins, in seconds.
    pub start_s: f64,
    /// How long it is, in seconds.
    pub width_s: f64,
    /// How many come.
    pub count: u64,
}

/// Stretches of time with their arrivals.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Curve {
    /// The stretches; they may overlap.
    pub buckets: Vec<Bucket>,
}

impl Curve {
    /// Makes the curve of `count` who come at once.
    pub(super) fn of_burst(count: u32) -> Self {
        Self { buckets: vec![Bucket { start_s: 0.0, width_s: BURST_S, count: count.into() }] }
    }

    /// Spreads `count` over `pieces` equal pieces of `length_s` seconds from `start_s` on, as `shape` says of the
    /// seconds since then.
    pub(super) fn shaped(start_s: f64, length_s: f64, pieces: u32, count: u64, shape: impl Fn(f64) -> f64) -> Self {
        let width_s = length_s / f64::from(pieces);
        let middle = |piece: u32| (f64::from(piece) + 0.5) * width_s;
        let weights: Vec<f64> = (0..pieces).map(|piece| shape(middle(piece))).collect();
        let starts = (0..pieces).map(|piece| start_s + f64::from(piece) * width_s);
        let buckets = starts.zip(apportioned(count, &weights));
        Self { buckets: buckets.map(|(start_s, count)| Bucket { start_s, width_s, count }).collect() }
    }

    /// Adds another curve.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.buckets.extend(other.buckets);
        self
    }

    /// Moves the curve to a later time.
    pub(super) fn later(mut self, by_s: f64) -> Self {
        self.buckets.iter_mut().for_each(|bucket| bucket.start_s += by_s);
        self
    }

    /// Keeps the stretches that begin within `length_s` (or any time) from `skip_s` on, which becomes its start.
    pub(super) fn part(self, skip_s: f64, length_s: Option<f64>) -> Self {
        let end_s = length_s.map_or(f64::INFINITY, |length_s| skip_s + length_s);
        let within = |bucket: &Bucket| (skip_s..end_s).contains(&bucket.start_s);
        Self { buckets: self.buckets.into_iter().filter(within).collect() }.later(-skip_s)
    }

    /// Keeps the shape and changes the number.
    pub(super) fn scaled_to(mut self, count: u64) -> Self {
        let weights: Vec<f64> = self.buckets.iter().map(|bucket| bucket.count as f64).collect();
        for (bucket, count) in self.buckets.iter_mut().zip(apportioned(count, &weights)) {
            bucket.count = count;
        }
        self
    }

    /// Returns how many arrive.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// Returns where the last stretch ends, in seconds.
    pub fn length_s(&self) -> f64 {
        self.buckets.iter().map(|bucket| bucket.start_s + bucket.width_s).fold(0.0, f64::max)
    }

    /// Returns the moments of arrival that `seed` gives, in order, in seconds.
    pub fn moments(&self, seed: u64) -> Vec<f64> {
        let mut moments = Vec::new();
        for (place, bucket) in self.buckets.iter().enumerate() {
            let mut chance = Chance::new(seed, &["arrivals", &place.to_string()]);
            moments.extend((0..bucket.count).map(|_| bucket.start_s + chance.share() * bucket.width_s));
        }
        moments.sort_by(f64::total_cmp);
        moments
    }
}

/// Divides `count` by weight into whole numbers that add up to it: what is left after rounding down goes to those that
/// lost most by it.
fn apportioned(count: u64, weights: &[f64]) -> Vec<u64> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| count as f64 * weight / sum).collect();
    let mut whole: Vec<u64> = exact.iter().map(|exact| exact.floor() as u64).collect();
    let left = count.saturating_sub(whole.iter().sum());
    let mut by_loss: Vec<usize> = (0..weights.len()).collect();
    by_loss.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    for place in by_loss.into_iter().take(left as usize) {
        whole[place] += 1;
    }
    whole
}
