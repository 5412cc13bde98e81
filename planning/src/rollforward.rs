//! The fluid roll-forward: with so many workers, how long will whom have waited?
//!
//! Time goes in steps. Arrivals join the queue, free slots take from its front, and what is in work is done after a
//! time with as many exponential phases as fit its variation (an Erlang distribution): a pool that begins all at once
//! also ends nearly at once, which one phase would not show.

/// Most phases of a service time.
pub const MOST_PHASES: usize = 4;

/// A stage's state and what is expected of it.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Length of a step, in seconds.
    pub step_s: f64,
    /// Mean time of a unit in a slot, in seconds.
    pub service_s: f64,
    /// Phases of it, from 1 to [`MOST_PHASES`].
    pub phases: usize,
    /// Units in work by phase, those of draining workers apart.
    pub in_work: [f64; MOST_PHASES],
    /// Units that wait, the oldest first: how long each group of them has waited, in seconds, and how many it is.
    pub waiting: Vec<(f64, f64)>,
    /// Expected arrivals in each step.
    pub arrivals: Vec<f64>,
    /// Slots that are there or will be, by step.
    pub slots: Vec<f64>,
    /// Most units that can be in work at once.
    pub most_in_work: f64,
}

/// Workers to be compared with those that [`Outlook::slots`] stands for.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Workers that `slots` stands for.
    pub there: u32,
    /// Step from which more of them would work; fewer work at once.
    pub ready_from: usize,
    /// Slots of each.
    pub slots_per_worker: f64,
}

/// What every unit is to have.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Longest wait, in seconds.
    pub wait_s: f64,
    /// No unit can be helped before this time, in seconds from now: its limit is put off to it.
    pub earliest_s: f64,
    /// The queue and what arrives until this time count, in seconds from now.
    pub horizon_s: f64,
}

/// Units by which a target may be missed: a fluid has no whole ones.
const TOLERANCE: f64 = 0.5;

/// Says whether enough were `begun` of what was `due` by the same time.
fn in_time(due: f64, begun: f64) -> bool {
    begun + TOLERANCE >= due
}

impl Outlook {
    /// Returns the fewest workers from `least` to `most` that keep `target`; `most` if none do.
    pub fn fewest(&self, target: &Target, pool: &Pool, least: u32, most: u32) -> u32 {
        if least >= most {
            return most;
        }
        let due = self.due(target);
        if self.keeps(&due, pool, least) { least } else { self.search(&due, pool, least, most) }
    }

    /// Returns the same from those that are there, with whom so many units will have been [begun](Self::begun).
    pub fn fewest_from_there(&self, target: &Target, pool: &Pool, begun: &[f64], most: u32) -> u32 {
        if pool.there >= most {
            return most;
        }
        let due = self.due(target);
        let is_kept = due.iter().zip(begun).all(|(due, begun)| in_time(*due, *begun));
        if is_kept { pool.there } else { self.search(&due, pool, pool.there, most) }
    }

    /// Returns the fewest workers that begin what is `due`, of which `short` are not enough; `enough` if no fewer are.
    fn search(&self, due: &[f64], pool: &Pool, mut short: u32, mut enough: u32) -> u32 {
        while enough - short > 1 {
            let middle = short + (enough - short) / 2;
            if self.keeps(due, pool, middle) { enough = middle } else { short = middle }
        }
        enough
    }

    fn keeps(&self, due: &[f64], pool: &Pool, workers: u32) -> bool {
        let mut keeps = true;
        self.roll(workers, pool, |step, begun, _| {
            keeps = due.get(step).is_none_or(|due| in_time(*due, begun));
            keeps
        });
        keeps
    }

    /// Returns the units that `workers` finish in each step.
    pub fn finishes(&self, workers: u32, pool: &Pool) -> Vec<f64> {
        let mut finished = Vec::with_capacity(self.slots.len());
        self.roll(workers, pool, |_, _, done| {
            finished.push(done);
            true
        });
        finished
    }

    /// Returns the units that `workers` will have begun by the end of each step.
    pub fn begun(&self, workers: u32, pool: &Pool) -> Vec<f64> {
        let mut all = Vec::with_capacity(self.slots.len());
        self.roll(workers, pool, |_, begun, _| {
            all.push(begun);
            true
        });
        all
    }

    /// Returns the longest wait, in seconds, that a unit begun within the outlook will have had, where so many will have been
    /// [begun](Self::begun).
    pub fn longest_wait_s(&self, begun: &[f64]) -> f64 {
        let queue = self.waiting.iter().map(|(waited_s, count)| (-waited_s, *count));
        let coming = self.arrivals.iter().enumerate().map(|(step, count)| (step as f64 * self.step_s, *count));
        let mut groups = queue.chain(coming).filter(|(_, count)| *count > 0.0).peekable();
        let (mut before, mut longest) = (0.0, 0.0_f64);
        for (step, begun) in begun.iter().enumerate() {
            let now_s = step as f64 * self.step_s;
            while let Some((arrived_s, count)) = groups.peek().copied()
                && before + count <= begun + TOLERANCE
                && arrived_s <= now_s
            {
                longest = longest.max(now_s - arrived_s);
                before += count;
                groups.next();
            }
        }
        let left = groups.next().map_or(0.0, |(arrived_s, _)| self.slots.len() as f64 * self.step_s - arrived_s);
        longest.max(left)
    }

    /// Goes step by step with `workers`; `each` gets the step, how many units were begun by its end and how many were
    /// done within it, and says whether to go on.
    fn roll(&self, workers: u32, pool: &Pool, mut each: impl FnMut(usize, f64, f64) -> bool) {
        let extra = (f64::from(workers) - f64::from(pool.there)) * pool.slots_per_worker;
        let from = if extra < 0.0 { 0 } else { pool.ready_from };
        let over = 1.0 - (-self.step_s * self.phases as f64 / self.service_s).exp();
        let mut queue = self.waiting.iter().map(|group| group.1).sum::<f64>();
        let (mut in_work, mut begun) = (self.in_work, 0.0);
        for (step, slots) in self.slots.iter().enumerate() {
            let slots = slots + if step >= from { extra } else { 0.0 };
            queue += self.arrivals.get(step).copied().unwrap_or(0.0);
            // A slot begins several units in a step if they are that short.
            let turns = (self.step_s / self.service_s).max(1.0);
            let free = slots.min(self.most_in_work) * turns - in_work.iter().sum::<f64>();
            let starts = free.clamp(0.0, queue);
            queue -= starts;
            begun += starts;
            in_work[0] += starts;
            let mut moves = 0.0;
            for phase in in_work.iter_mut().take(self.phases) {
                let leaves = *phase * over;
                *phase += moves - leaves;
                moves = leaves;
            }
            if !each(step, begun, moves) {
                return;
            }
        }
    }

    /// Returns how many units must have been begun by the end of each step.
    fn due(&self, target: &Target) -> Vec<f64> {
        let mut due = vec![0.0; self.slots.len()];
        let mut total = 0.0;
        let mut note = |limit_s: f64, count: f64| {
            total += count;
            let step = (limit_s.max(target.earliest_s) / self.step_s).ceil().max(0.0) as usize;
            if let Some(due) = due.get_mut(step) {
                *due = f64::max(*due, total);
            }
        };
        for (waited_s, count) in &self.waiting {
            note(target.wait_s - waited_s, *count);
        }
        for (step, count) in self.arrivals.iter().enumerate() {
            let at = step as f64 * self.step_s;
            if at > target.horizon_s {
                break;
            }
            note(at + target.wait_s, *count);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: Pool = Pool { there: 10, ready_from: 9, slots_per_worker: 1.0 };

    /// Ten workers of one slot, units of a minute, `waiting` in the queue, `rate` a second arriving.
    fn outlook(waiting: f64, rate: f64) -> Outlook {
        Outlook {
            step_s: 5.0,
            service_s: 60.0,
            phases: 2,
            in_work: [5.0, 5.0, 0.0, 0.0],
            waiting: vec![(0.0, waiting)],
            arrivals: vec![rate * 5.0; 60],
            slots: vec![10.0; 60],
            most_in_work: 1000.0,
        }
    }

    const TARGET: Target = Target { wait_s: 90.0, earliest_s: 50.0, horizon_s: 120.0 };

    #[test]
    fn what_is_enough_stays() {
        assert_eq!(outlook(0.0, 10.0 / 60.0).fewest(&TARGET, &POOL, 10, 100), 10);
    }

    #[test]
    fn a_longer_queue_needs_more_workers_and_more_rate_too() {
        let mut last = 0;
        for waiting in [0.0, 20.0, 40.0, 80.0, 160.0] {
            let needs = outlook(waiting, 0.2).fewest(&TARGET, &POOL, 1, 1000);
            assert!(needs >= last, "{waiting}: {needs} < {last}");
            last = needs;
        }
        assert!(
            outlook(20.0, 0.5).fewest(&TARGET, &POOL, 1, 1000) > outlook(20.0, 0.2).fewest(&TARGET, &POOL, 1, 1000)
        );
    }

    #[test]
    fn those_that_are_there_are_searched_from_as_any_others() {
        for (waiting, rate) in [(0.0, 0.1), (20.0, 0.2), (80.0, 0.5)] {
            let outlook = outlook(waiting, rate);
            let begun = outlook.begun(POOL.there, &POOL);
            let (from_there, fewest) = (
                outlook.fewest_from_there(&TARGET, &POOL, &begun, 1000),
                outlook.fewest(&TARGET, &POOL, POOL.there, 1000),
            );
            assert_eq!(from_there, fewest, "{waiting} {rate}");
            assert_eq!(outlook.fewest_from_there(&TARGET, &POOL, &begun, 4), 4);
        }
    }

    #[test]
    fn nothing_is_begun_above_the_partitions() {
        let bounded = Outlook { most_in_work: 10.0, ..outlook(500.0, 0.0) };
        assert_eq!(bounded.fewest(&TARGET, &POOL, 1, 400), 400, "no number is enough");
    }

    #[test]
    fn longest_wait_falls_with_workers() {
        let outlook = outlook(60.0, 0.2);
        let waits: Vec<f64> = [10, 20, 40].map(|workers| outlook.longest_wait_s(&outlook.begun(workers, &POOL))).into();
        assert!(waits.is_sorted_by(|a, b| a >= b), "{waits:?}");
        assert!(waits[0] > waits[2]);
    }

    #[test]
    fn what_is_begun_is_done_in_the_end() {
        let outlook = Outlook { slots: vec![10.0; 400], arrivals: Vec::new(), ..outlook(30.0, 0.0) };
        let done: f64 = outlook.finishes(10, &POOL).iter().sum();
        assert!((done - 40.0).abs() < 0.1, "{done}");
    }
}
