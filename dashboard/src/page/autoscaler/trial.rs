//! What the policy would have decided of what was seen, with settings of the viewer's: it decides again at each recorded tick;
//! what it would have changed of the queues nobody knows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use planning::decide::decide;
use planning::memory::Memory;
use planning::observation::Observation;
use planning::policy::Policy;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::asked::Asked;
use crate::fault::Fault;
use crate::seen::scaling::Tick;

/// How far back is decided again, in milliseconds.
pub const SPAN_MS: i64 = 3_600_000;
/// Trials that are kept for who asks the same.
const KEPT: usize = 16;

/// What the viewer wants to be different; what is not given is as it was recorded.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Settings {
    /// Longest wait before work begins, in seconds.
    pub wait_s: Option<f64>,
    /// Share of forecasts whose upper band is to hold.
    pub coverage: Option<f64>,
    /// Time for which fewer workers must be enough before some are let go, in seconds.
    pub down_window_s: Option<f64>,
    /// Time that a new worker takes to start, in seconds.
    pub startup_s: Option<f64>,
}

/// What the other policy would have decided, by stage.
#[derive(Debug, Default)]
pub struct Trial {
    stages: BTreeMap<String, Other>,
}

/// What it would have decided for one stage, an entry a tick: nothing where the stage was not seen.
#[derive(Debug)]
pub struct Other {
    pub dry_run: Vec<Option<u32>>,
    /// Why the dry run has its last number.
    pub reason: String,
}

/// A dry run beside what was decided live.
#[derive(Serialize)]
pub struct DryRun {
    /// Workers of the stage by the last decision, live.
    pub live: u32,
    pub live_reason: String,
    /// By the other policy, of the same observation.
    pub other: u32,
    pub other_reason: String,
    /// Ticks of the last hour at which the two did not decide the same.
    pub differing_ticks: usize,
    /// All ticks of the last hour.
    pub ticks: usize,
}

/// Makes trials, one after another, and keeps the last ones.
pub struct Trials {
    turn: Semaphore,
    made: Mutex<VecDeque<(Key, Arc<Trial>)>>,
}

/// What a trial depends on: the last tick, how many there are, and the settings.
type Key = (i64, usize, [Option<u64>; 4]);

impl Default for Trials {
    fn default() -> Self {
        Self { turn: Semaphore::new(1), made: Mutex::default() }
    }
}

impl Trials {
    /// Lets the other policy decide at `ticks`, the oldest first.
    ///
    /// # Errors
    /// When it panics, which is a bug.
    pub async fn run(&self, ticks: Vec<Tick>, settings: &Settings) -> Result<Arc<Trial>, Fault> {
        let Some(last) = ticks.last() else { return Ok(Arc::default()) };
        let key = (last.at_ms, ticks.len(), settings.key());
        // Who asks for the same meanwhile finds it made.
        let _turn = self.turn.acquire().await.map_err(|error| Fault::Internal(error.into()))?;
        if let Some((_, trial)) = self.made().iter().find(|(made, _)| *made == key) {
            return Ok(trial.clone());
        }
        let settings = *settings;
        let made = tokio::task::spawn_blocking(move || Arc::new(Trial::of(&ticks, &settings))).await;
        let trial = made.map_err(|error| Fault::Internal(error.into()))?;
        let mut all = self.made();
        all.truncate(KEPT - 1);
        all.push_front((key, trial.clone()));
        Ok(trial)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, VecDeque<(Key, Arc<Trial>)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    /// Reads what is wanted from a URL.
    ///
    /// # Errors
    /// When a number is out of its bounds.
    pub fn asked(asked: &Asked) -> Result<Self, Fault> {
        Ok(Self {
            wait_s: asked.number("wait", "The longest wait, in seconds,", 1.0..=3600.0)?,
            coverage: asked.number("coverage", "The share of forecasts that hold", 0.05..=0.99)?,
            down_window_s: asked.number("down", "The window for scaling down, in seconds,", 5.0..=3600.0)?,
            startup_s: asked.number("startup", "The start-up time, in seconds,", 1.0..=1800.0)?,
        })
    }

    fn key(&self) -> [Option<u64>; 4] {
        [self.wait_s, self.coverage, self.down_window_s, self.startup_s].map(|setting| setting.map(f64::to_bits))
    }

    /// Returns the policy that decided a tick with these settings in it.
    fn policy(&self, tick: &Tick) -> Policy {
        let usual = tick.recorded.policy.clone().unwrap_or_else(Policy::measured);
        Policy {
            coverage: self.coverage.unwrap_or(usual.coverage),
            down_window_s: self.down_window_s.unwrap_or(usual.down_window_s),
            startup_s: self.startup_s.unwrap_or(usual.startup_s),
            ..usual
        }
    }

    /// Returns what was seen as it would be under these settings.
    fn changed(&self, seen: &Observation) -> Observation {
        let mut seen = seen.clone();
        for stage in &mut seen.stages {
            stage.wait_slo_s = self.wait_s.unwrap_or(stage.wait_slo_s);
            stage.startup_p90_s = self.startup_s.or(stage.startup_p90_s);
        }
        seen
    }

    /// Writes a setting into its field.
    pub fn field(&self, setting: &Option<f64>) -> String {
        setting.map_or_else(String::new, |setting| setting.to_string())
    }
}

impl Trial {
    /// Returns what it would have decided for a stage, if it was seen.
    pub fn stage(&self, stage: &str) -> Option<&Other> {
        self.stages.get(stage)
    }

    fn of(ticks: &[Tick], settings: &Settings) -> Self {
        let mut stages: BTreeMap<String, Other> = BTreeMap::new();
        let mut memory = Memory::default();
        let mut last_at = f64::NEG_INFINITY;
        for (place, tick) in ticks.iter().enumerate() {
            let seen = &tick.recorded.seen;
            // Another autoscaler took over, with a clock of its own and nothing remembered.
            if seen.at <= last_at {
                memory = Memory::default();
            }
            last_at = seen.at;
            let decision = decide(&settings.policy(tick), &mut memory, &settings.changed(seen));
            for (stage, decided) in seen.stages.iter().zip(decision.stages) {
                let other = stages.entry(stage.stage.clone()).or_insert_with(|| Other::unseen(ticks.len()));
                other.dry_run[place] = Some(decided.replicas);
                other.reason = decided.reason;
            }
        }
        Self { stages }
    }
}

impl Other {
    fn unseen(ticks: usize) -> Self {
        Self { dry_run: vec![None; ticks], reason: String::new() }
    }
}

impl DryRun {
    /// Compares what was decided live for a stage with what the dry run says.
    pub fn of(stage: &str, ticks: &[Tick], trial: &Trial) -> Option<Self> {
        let other = trial.stage(stage)?;
        let live = |tick: &Tick| tick.recorded.decided.iter().find(|decided| decided.stage == stage).cloned();
        let last = live(ticks.last()?)?;
        let scales: Vec<Option<u32>> = ticks.iter().map(|tick| live(tick).map(|decided| decided.replicas)).collect();
        let both = scales.iter().zip(&other.dry_run);
        Some(Self {
            live: last.replicas,
            live_reason: last.reason,
            other: other.dry_run.last().copied().flatten()?,
            other_reason: other.reason.clone(),
            differing_ticks: both.filter(|(live, other)| live != other).count(),
            ticks: ticks.len(),
        })
    }
}

#[cfg(test)]
mod tests;
