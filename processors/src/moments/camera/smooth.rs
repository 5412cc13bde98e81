//! The smoothest path through moving bounds: a quadratic programme, solved by alternating directions (ADMM).
//!
//! The path minimises its own speed and acceleration, so it rests wherever it may, under bounds on place, speed and
//! acceleration. Each round solves one banded system (factored once) and clips three copies to their bounds.

/// What is asked of the path at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The best place.
    pub wanted: f64,
    /// The least admitted.
    pub least: f64,
    /// The most admitted.
    pub most: f64,
}

/// What holds everywhere, in the unit of places, a step.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The greatest change from point to point.
    pub speed: f64,
    /// The greatest change of that change.
    pub acceleration: f64,
    /// The greatest place; the least is 0.
    pub most: f64,
}

/// How much it costs to be away from the best place, to move, and to change speed. Being away costs just enough
/// that the camera comes back to the middle in some seconds; changing speed is what is seen.
const AWAY: f64 = 0.002;
const MOVING: f64 = 0.2;
const TURNING: f64 = 20.0;

/// The penalty on disagreement between the path and its clipped copies, and how often they are brought together.
const PENALTY: f64 = 1.0;
const ROUNDS: usize = 300;

/// Differences of speed are small numbers; weighed up, their bound converges as fast as the others.
const ACCELERATION_SCALE: f64 = 4.0;

/// Returns the place at each of `points`. Places and speed keep their limits exactly, bounds as far as those allow.
/// `unit` is the size that costs are relative to.
pub fn path(points: &[Point], limits: Limits, unit: f64) -> Vec<f64> {
    let count = points.len();
    let scaled = |v: f64| v / unit;
    let bounds: Vec<(f64, f64)> = points.iter().map(|p| (scaled(p.least), scaled(p.most))).collect();
    let wanted: Vec<f64> = points.iter().map(|p| scaled(p.wanted)).collect();
    let (speed, acceleration) = (scaled(limits.speed), scaled(limits.acceleration) * ACCELERATION_SCALE);

    let first = PENALTY + MOVING;
    let second = PENALTY * ACCELERATION_SCALE * ACCELERATION_SCALE + TURNING;
    let system = Banded::new(count, AWAY + PENALTY, first, second);
    let mut x = wanted.clone();
    let mut copies = [Copies::new(x.clone()), Copies::new(steps(&x)), Copies::new(turns(&x))];
    for _ in 0..ROUNDS {
        let mut right: Vec<f64> = wanted.iter().map(|w| AWAY * w).collect();
        let [place, step, turn] = &copies;
        place.add_to(&mut right, &[1.0]);
        step.add_to(&mut right, &[-1.0, 1.0]);
        turn.add_to(&mut right, &[ACCELERATION_SCALE, -2.0 * ACCELERATION_SCALE, ACCELERATION_SCALE]);
        x = system.solve(right);
        copies[0].clip(&x, |i, v| v.clamp(bounds[i].0.min(bounds[i].1), bounds[i].1.max(bounds[i].0)));
        copies[1].clip(&steps(&x), |_, v| v.clamp(-speed, speed));
        copies[2].clip(&turns(&x), |_, v| v.clamp(-acceleration, acceleration));
    }
    // The rounds bring limits near; these two make speed and place exact (clamping never makes a step larger).
    for index in 1..count {
        x[index] = x[index].clamp(x[index - 1] - speed, x[index - 1] + speed);
    }
    x.into_iter().map(|v| (v * unit).clamp(0.0, limits.most)).collect()
}

fn steps(x: &[f64]) -> Vec<f64> {
    x.windows(2).map(|w| w[1] - w[0]).collect()
}

fn turns(x: &[f64]) -> Vec<f64> {
    x.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]) * ACCELERATION_SCALE).collect()
}

/// A clipped copy of a linear image of the path, and the sum of what clipping took away.
struct Copies {
    clipped: Vec<f64>,
    owed: Vec<f64>,
}

impl Copies {
    fn new(values: Vec<f64>) -> Self {
        Self { owed: vec![0.0; values.len()], clipped: values }
    }

    /// Adds the image's transpose (a window of `weights`) of what the copy asks for.
    fn add_to(&self, right: &mut [f64], weights: &[f64]) {
        for (index, (clipped, owed)) in self.clipped.iter().zip(&self.owed).enumerate() {
            for (place, weight) in weights.iter().enumerate() {
                right[index + place] += PENALTY * weight * (clipped - owed);
            }
        }
    }

    fn clip(&mut self, values: &[f64], bound: impl Fn(usize, f64) -> f64) {
        for (index, value) in values.iter().enumerate() {
            self.clipped[index] = bound(index, value + self.owed[index]);
            self.owed[index] += value - self.clipped[index];
        }
    }
}

/// `diagonal * I + first * D1'D1 + second * D2'D2`, symmetric with two bands on each side, as its LDL' factors.
struct Banded {
    pivots: Vec<f64>,
    below: Vec<[f64; 2]>,
}

impl Banded {
    fn new(count: usize, diagonal: f64, first: f64, second: f64) -> Self {
        // Entry [row][k] is the matrix at (row, row - k).
        let mut entries = vec![[diagonal, 0.0, 0.0]; count];
        add_square(&mut entries, first, &[-1.0, 1.0]);
        add_square(&mut entries, second, &[1.0, -2.0, 1.0]);
        let mut pivots = vec![0.0; count];
        let mut below = vec![[0.0; 2]; count];
        for row in 0..count {
            let [mut pivot, mut near, far] = entries[row];
            if row >= 2 {
                below[row][1] = far / pivots[row - 2];
                near -= below[row][1] * pivots[row - 2] * below[row - 1][0];
                pivot -= below[row][1].powi(2) * pivots[row - 2];
            }
            if row >= 1 {
                below[row][0] = near / pivots[row - 1];
                pivot -= below[row][0].powi(2) * pivots[row - 1];
            }
            pivots[row] = pivot;
        }
        Self { pivots, below }
    }

    fn solve(&self, mut x: Vec<f64>) -> Vec<f64> {
        let count = x.len();
        for row in 0..count {
            for back in 1..=row.min(2) {
                x[row] -= self.below[row][back - 1] * x[row - back];
            }
        }
        for (value, pivot) in x.iter_mut().zip(&self.pivots) {
            *value /= pivot;
        }
        for row in (0..count).rev() {
            for ahead in 1..=(count - 1 - row).min(2) {
                x[row] -= self.below[row + ahead][ahead - 1] * x[row + ahead];
            }
        }
        x
    }
}

/// Adds `scale` times the square of the operator that slides `weights` along.
fn add_square(entries: &mut [[f64; 3]], scale: f64, weights: &[f64]) {
    for start in 0..(entries.len() + 1).saturating_sub(weights.len()) {
        for (a, weight_a) in weights.iter().enumerate() {
            for (b, weight_b) in weights.iter().enumerate().take(a + 1) {
                entries[start + a][a - b] += scale * weight_a * weight_b;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { speed: 20.0, acceleration: 3.0, most: 875.0 };

    fn held(wanted: f64) -> Point {
        Point { wanted, least: wanted - 40.0, most: wanted + 40.0 }
    }

    #[test]
    fn the_factors_solve_the_system() {
        let system = Banded::new(3, 1.0, 2.0, 3.0);
        // I + 2 D1'D1 + 3 D2'D2 for three points.
        let matrix = [[6.0, -8.0, 3.0], [-8.0, 17.0, -8.0], [3.0, -8.0, 6.0]];
        let x = system.solve(vec![1.0, 2.0, 3.0]);
        for (row, expected) in matrix.iter().zip([1.0, 2.0, 3.0]) {
            let sum: f64 = row.iter().zip(&x).map(|(a, b)| a * b).sum();
            assert!((sum - expected).abs() < 1e-9, "{sum}");
        }
    }

    #[test]
    fn a_walk_is_followed_within_its_bounds() {
        let points: Vec<Point> = (0..100).map(|i| held(100.0 + 300.0 * (f64::from(i) / 50.0).min(1.0))).collect();
        let places = path(&points, LIMITS, 405.0);
        for (place, point) in places.iter().zip(&points) {
            assert!((point.least - 4.0..=point.most + 4.0).contains(place), "{place} of {point:?}");
        }
        let sharpest = places.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f64::max);
        assert!(sharpest <= LIMITS.acceleration, "{sharpest}");
    }

    #[test]
    fn swaying_inside_the_bounds_moves_nothing() {
        let points: Vec<Point> = (0..100).map(|i| Point { wanted: 200.0, ..held(200.0 + f64::from(i % 7)) }).collect();
        let places = path(&points, LIMITS, 405.0);
        let (least, most) = places.iter().fold((f64::MAX, f64::MIN), |(l, m), p| (l.min(*p), m.max(*p)));
        assert!(most - least < 3.0, "{least} to {most}");
    }

    proptest! {
        #[test]
        fn any_path_is_in_the_source_and_slow(wanted in proptest::collection::vec(0.0f64..875.0, 2..200)) {
            let points: Vec<Point> = wanted.iter().map(|w| held(*w)).collect();
            let places = path(&points, LIMITS, 405.0);
            prop_assert_eq!(places.len(), points.len());
            prop_assert!(places.iter().all(|p| (0.0..=LIMITS.most).contains(p)));
            prop_assert!(places.windows(2).all(|w| (w[1] - w[0]).abs() <= LIMITS.speed + 1e-9));
        }
    }
}
