//! The best clips that do not overlap: weighted interval scheduling with a bound on how many.

use pipeline::media_time::MediaRange;

/// A span with what choosing it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// The span.
    pub range: MediaRange,
    /// Its worth, not negative.
    pub score: f64,
}

/// Chooses at most `count` of `offers` that do not overlap, with the greatest sum of scores; returns their indices by
/// time. Of sets with the same sum it takes the one that ends earlier, so the choice depends on the offers alone.
///
/// `O(n log n + n * count)` time, `O(n * count)` bits of memory's worth of decisions.
pub fn choose(offers: &[Offer], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..offers.len()).filter(|i| offers[*i].range.start < offers[*i].range.end).collect();
    order.sort_by_key(|i| (offers[*i].range.end, offers[*i].range.start, *i));
    let ends: Vec<_> = order.iter().map(|i| offers[*i].range.end).collect();
    // How many of the ordered offers end before each one begins.
    let free: Vec<usize> = order.iter().map(|i| ends.partition_point(|end| *end <= offers[*i].range.start)).collect();

    let total = order.len();
    let mut best = vec![0.0_f64; total + 1];
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        let mut next = vec![0.0_f64; total + 1];
        let mut takes = vec![false; total];
        for (place, index) in order.iter().enumerate() {
            let with = offers[*index].score + best[free[place]];
            takes[place] = with > next[place];
            next[place + 1] = next[place].max(with);
        }
        best = next;
        taken.push(takes);
    }

    let mut chosen = Vec::new();
    let mut place = total;
    for takes in taken.iter().rev() {
        while place > 0 && !takes[place - 1] {
            place -= 1;
        }
        let Some(last) = place.checked_sub(1) else { break };
        chosen.push(order[last]);
        place = free[last];
    }
    chosen.reverse();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::timeline::span;
    use proptest::prelude::*;

    fn offer(start: i64, end: i64, score: f64) -> Offer {
        Offer { range: span(start, end), score }
    }

    fn sum(offers: &[Offer], chosen: &[usize]) -> f64 {
        chosen.iter().map(|i| offers[*i].score).sum()
    }

    /// Tries every set.
    fn exhaustive(offers: &[Offer], count: usize) -> f64 {
        let fits = |set: u32| {
            let chosen: Vec<usize> = (0..offers.len()).filter(|i| set >> i & 1 == 1).collect();
            let apart =
                chosen.iter().all(|a| chosen.iter().all(|b| a == b || !offers[*a].range.overlaps(offers[*b].range)));
            (chosen.len() <= count && apart).then(|| sum(offers, &chosen))
        };
        (0..1_u32 << offers.len()).filter_map(fits).fold(0.0, f64::max)
    }

    #[test]
    fn two_good_ones_beat_one_better_one() {
        let offers = [offer(0, 10, 0.6), offer(5, 15, 0.9), offer(10, 20, 0.6)];
        assert_eq!(choose(&offers, 2), [0, 2]);
        assert_eq!(choose(&offers, 1), [1]);
    }

    #[test]
    fn equals_are_decided_by_time() {
        let offers = [offer(20, 30, 0.5), offer(0, 10, 0.5), offer(10, 20, 0.5)];
        assert_eq!(choose(&offers, 1), [1]);
        assert_eq!(choose(&offers, 2), [1, 2]);
        assert_eq!(choose(&[], 3), [0_usize; 0]);
    }

    proptest! {
        #[test]
        fn the_choice_is_the_best_there_is(
            spans in proptest::collection::vec((0i64..40, 1i64..15, 1u32..100), 0..11), count in 0usize..5
        ) {
            let offers: Vec<Offer> = spans.iter().map(|(s, l, v)| offer(*s, s + l, f64::from(*v) / 100.0)).collect();
            let chosen = choose(&offers, count);
            prop_assert!(chosen.len() <= count);
            for pair in chosen.windows(2) {
                prop_assert!(offers[pair[0]].range.end <= offers[pair[1]].range.start);
            }
            prop_assert!((sum(&offers, &chosen) - exhaustive(&offers, count)).abs() < 1e-9);
        }
    }
}
