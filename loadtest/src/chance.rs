//! Chance that can be had again: each draw follows from a seed and from what it is about, so that nothing depends on the
//! order in which things are drawn.

use std::ops::RangeInclusive;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};

/// A row of draws.
pub struct Chance(StdRng);

impl Chance {
    /// Begins the row that `seed` has for what `parts` name.
    pub fn new(seed: u64, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(StdRng::from_seed(hash.finalize().into()))
    }

    /// Draws a number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        self.0.random_range(0.0..1.0)
    }

    /// Draws a number of `range`, all alike.
    pub fn within(&mut self, range: &RangeInclusive<f64>) -> f64 {
        range.start() + self.share() * (range.end() - range.start())
    }

    /// Draws a place in `weights`, each as likely as its weight says; the first when none has any.
    pub fn place(&mut self, weights: impl IntoIterator<Item = f64> + Clone) -> usize {
        let sum: f64 = weights.clone().into_iter().sum();
        let mut left = self.share() * sum;
        for (place, weight) in weights.into_iter().enumerate() {
            if left < weight {
                return place;
            }
            left -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_draw_the_same_and_others_do_not() {
        let draw = |seed, name| Chance::new(seed, &[name]).share();
        assert_eq!(draw(7, "a"), draw(7, "a"));
        assert_ne!(draw(7, "a"), draw(7, "b"));
        assert_ne!(draw(7, "a"), draw(8, "a"));
    }

    #[test]
    fn places_are_drawn_by_their_weight() {
        let mut chance = Chance::new(1, &["weights"]);
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[chance.place([1.0, 0.0, 2.0])] += 1;
        }
        assert!((900..1100).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
    }
}
