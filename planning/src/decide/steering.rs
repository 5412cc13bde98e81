//! How a stage is steered: by its queue, where a worker is there in time for those who wait, else by what is expected.

use crate::arrivals::Level;
use crate::observation::Stage;
use crate::rollforward::{Outlook, Target};

/// Added to the start-up time for what cannot be helped sooner, in seconds.
const GRACE_S: f64 = 15.0;
/// The share of records that are to begin in time where nothing is said, and the most of them that can be asked for.
const IN_TIME: f64 = 0.999;
const MOST_IN_TIME: f64 = 0.999_999;
/// Share of the wait target that stages after the first plan with: waits add up along the flow.
const LATER_SHARE: f64 = 0.2;
/// Looks ahead at least this long after a new worker would be ready, in seconds.
const AFTER_START_S: f64 = 120.0;

/// How a stage with this target, start-up time and arrivals is steered.
///
/// Where a worker is there well before those who wait must have begun, the queue itself is the buffer: it may stand,
/// and workers may go as soon as it is short. Where it is not, a queue is too late a sign: workers must be enough for
/// what is expected, and stay.
pub(super) struct Steering {
    pub up: Target,
    pub down: Target,
    /// Share of the expected load below which workers never go.
    pub load_floor: f64,
    /// From 0, where the queue cannot be the buffer, to 1, where it is.
    pub patience: f64,
}

impl Steering {
    pub(super) fn new(stage: &Stage, startup_s: f64, is_first: bool, level: &Level) -> Self {
        let slo_s = stage.wait_slo_s;
        let patience = (2.0 * (0.9 * slo_s - startup_s) / slo_s.max(1e-9)).clamp(0.0, 1.0);
        let (up_share, down_share) = if is_first {
            // A burst is answered for those who are there, with a shorter wait in mind. When nobody comes any more, the
            // queue may stand for longer: nothing can make it worse.
            (0.8 + (0.1 - 0.15 * level.burst()) * patience, 1.0 - (0.3 - 0.1 * level.lull()) * patience)
        } else {
            (LATER_SHARE, 0.6 * LATER_SHARE)
        };
        let up_wait_s = slo_s * up_share;
        let up = Target {
            wait_s: up_wait_s,
            earliest_s: startup_s + GRACE_S,
            horizon_s: (startup_s - up_wait_s).max(0.0) + 60.0 - 30.0 * patience,
        };
        let down = Target { wait_s: slo_s * down_share, earliest_s: 0.0, horizon_s: startup_s + AFTER_START_S };
        Self { up, down, load_floor: 1.0 - 0.5 * patience, patience }
    }

    /// Returns the slots beyond the load that keep chance from making a queue that nobody can be sent to in time.
    ///
    /// With `s` slots to spare those who wait in an M/G/c queue have waits of mean `service (1 + cv^2) / (2 s)`,
    /// exponentially distributed: the share that waits for longer than the target falls by e for each such mean, down to
    /// what the target's quantile leaves. The number of slots does not matter, so a small stage needs as many to spare as a
    /// large one, but no more than its load and the deviation of that (`load` slots): where hardly anything comes, hardly
    /// anything meets.
    pub(super) fn spare(&self, stage: &Stage, outlook: &Outlook, load: f64) -> f64 {
        let variation = 1.0 / outlook.phases as f64;
        let mean_s = outlook.service_s * (1.0 + variation) / 2.0;
        let in_time = stage.wait_slo_quantile.unwrap_or(IN_TIME).clamp(0.0, MOST_IN_TIME);
        let spare = (1.0 - self.patience) * -(1.0 - in_time).ln() * mean_s / stage.wait_slo_s.max(1e-9);
        spare.min(load + load.sqrt())
    }
}
