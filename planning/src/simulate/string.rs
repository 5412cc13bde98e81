//! The shortest line between two rising curves: a string pulled tight.

/// Returns the line of least length that stays between `lower` and `upper`, which have a value a step, from the first
/// value of `lower` to its last.
///
/// Of all lines between the two it also changes its slope least: as a plan of work done by the time, it is the one with
/// the fewest workers started and the lowest peak. `lower` is nowhere above `upper`.
pub(super) fn tight(lower: &[f64], upper: &[f64]) -> Vec<f64> {
    let Some(last) = lower.len().checked_sub(1) else { return Vec::new() };
    let mut line = vec![lower[0]];
    while line.len() <= last {
        let from = line.len() - 1;
        let (to, value) = straight(lower, upper, from, line[from]);
        let slope = (value - line[from]) / (to - from) as f64;
        for step in 1..=to - from {
            line.push(line[from] + slope * step as f64);
        }
    }
    line
}

/// Returns where the string that is fixed at `start` in place `from` bends next.
fn straight(lower: &[f64], upper: &[f64], from: usize, start: f64) -> (usize, f64) {
    let last = lower.len() - 1;
    // The steepest slope that the lower curve asks for so far, the gentlest that the upper one admits, and where.
    let (mut least, mut least_at) = (f64::NEG_INFINITY, from);
    let (mut most, mut most_at) = (f64::INFINITY, from);
    for place in from + 1..=last {
        let run = (place - from) as f64;
        let ceiling = if place == last { lower[last] } else { upper[place] };
        let (asked, admitted) = ((lower[place] - start) / run, (ceiling - start) / run);
        if asked > most {
            return (most_at, upper[most_at]);
        }
        if admitted < least {
            return (least_at, lower[least_at]);
        }
        if asked >= least {
            (least, least_at) = (asked, place);
        }
        if admitted <= most {
            (most, most_at) = (admitted, place);
        }
    }
    (last, lower[last])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_string_is_straight_where_it_can_be_and_bends_where_it_must() {
        assert_eq!(tight(&[0.0, 0.0, 0.0, 3.0], &[0.0, 3.0, 3.0, 3.0]), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(tight(&[0.0, 0.0, 0.0, 4.0], &[0.0, 0.0, 0.0, 4.0]), [0.0, 0.0, 0.0, 4.0]);
        assert_eq!(tight(&[0.0, 3.0, 3.0, 4.0], &[0.0, 4.0, 4.0, 4.0]), [0.0, 3.0, 3.5, 4.0]);
        assert_eq!(tight(&[], &[]), [0.0; 0]);
    }

    proptest! {
        #[test]
        fn a_string_stays_between_its_curves(
            steps in prop::collection::vec(0.0f64..10.0, 1..60),
            late in 0usize..8,
        ) {
            let upper: Vec<f64> = steps.iter().scan(0.0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let lower: Vec<f64> =
                (0..upper.len()).map(|place| place.checked_sub(late).map_or(0.0, |earlier| upper[earlier])).collect();
            for (place, value) in tight(&lower, &upper).into_iter().enumerate() {
                prop_assert!(value >= lower[place] - 1e-6 && value <= upper[place].max(lower[0]) + 1e-6);
            }
        }
    }
}
