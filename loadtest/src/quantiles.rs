//! Values in order, and which of them a share lies below.

use serde::{Deserialize, Serialize};

/// What is told of many values of one kind.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many there were.
    pub count: usize,
    /// Half of them were no larger.
    pub p50: f64,
    /// 95 % of them were no larger.
    pub p95: f64,
    /// 99 % of them were no larger.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Quantiles {
    /// Describes `values`; nothing when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let sorted = sorted(values);
        let at = |share| below(&sorted, share);
        Some(Self { count: sorted.len(), p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)?, max: at(1.0)? })
    }
}

/// Returns `values` in order.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Returns the value below which `share` of `sorted` lies, by the nearest rank.
fn below(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let all = Quantiles::of((1..=200).rev().map(f64::from)).unwrap();
        assert_eq!(all, Quantiles { count: 200, p50: 100.0, p95: 190.0, p99: 198.0, max: 200.0 });
        assert_eq!(Quantiles::of([]), None);
    }
}
