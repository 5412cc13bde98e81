//! What an operator may set about a worker.

use std::time::Duration;

use rand::RngExt;

use crate::control::MAX_SLOTS;

/// How a worker treats its stage's inputs.
#[derive(clap::Args, Clone, Debug)]
pub struct RunnerArgs {
    /// Units worked on at once.
    #[arg(long, env = "SPILLWAY_SLOTS", value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SLOTS)))]
    pub slots: u32,
    /// Shares of the lanes priority, express, standard and batch while all of them have work.
    #[arg(long, env = "SPILLWAY_LANE_WEIGHTS", value_name = "WEIGHTS", value_delimiter = ',', num_args = 1.., default_value = "8,4,2,1")]
    pub lane_weights: Vec<u32>,
    /// The least share of a lane that has work, 0 to 0.25.
    #[arg(long, env = "SPILLWAY_LANE_FLOOR", value_name = "SHARE", default_value_t = 0.05)]
    pub lane_floor: f64,
    /// How long a record may wait before it counts as one lane higher.
    #[arg(long, env = "SPILLWAY_AGE_LIMIT", default_value = "5m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub age_limit: Duration,
    /// How long a claim lasts unless it is renewed; it is renewed three times as often.
    #[arg(long, env = "SPILLWAY_CLAIM_LEASE", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub claim_lease: Duration,
    /// Attempts before a unit is given up.
    #[arg(long, env = "SPILLWAY_ATTEMPTS", value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub attempts: u32,
    /// Deaths of a worker, with a unit alone in it, before the unit is given up.
    #[arg(long, env = "SPILLWAY_LONE_DEATHS", value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub lone_deaths: u32,
    /// Wait before the second attempt; it doubles with each further one.
    #[arg(long, env = "SPILLWAY_BACKOFF", default_value = "1s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub backoff: Duration,
    /// The longest wait between attempts, and between probes of a dependency that is down.
    #[arg(long, env = "SPILLWAY_BACKOFF_MAX", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub backoff_max: Duration,
    /// Time without progress after which a unit is told to stop; the attempt counts as failed.
    #[arg(long, env = "SPILLWAY_SOFT_LIMIT", default_value = "5m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub soft_limit: Duration,
    /// Time without progress after which the process ends, because the unit did not stop.
    #[arg(long, env = "SPILLWAY_HARD_LIMIT", default_value = "10m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub hard_limit: Duration,
    /// How long units in hand may go on after the worker was told to stop.
    #[arg(long, env = "SPILLWAY_DRAIN_GRACE", default_value = "25s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub drain_grace: Duration,
    /// Memory that units which wait or back off may keep, in MiB; beyond it they keep their slot.
    #[arg(long, env = "SPILLWAY_PARKED_MIB", value_name = "MIB", default_value_t = 64)]
    pub parked_mib: u32,
    /// Time between two heartbeats while there is work; without work they are five times rarer.
    #[arg(long, env = "SPILLWAY_REPORT_EVERY", default_value = "1s", value_parser = parse_every, value_name = "TIME")]
    pub report_every: Duration,
    /// Whether units are claimed and told as done. Nothing for operators: without claims a rebalance repeats work. It is
    /// how their cost is measured.
    #[arg(skip = true)]
    pub claims: bool,
}

impl RunnerArgs {
    /// Returns the wait after `failures` failed attempts, from half to one and a half times the nominal one.
    pub(super) fn backoff_after(&self, failures: u32) -> Duration {
        let nominal = self.backoff.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.backoff_max);
        nominal.mul_f64(rand::rng().random_range(0.5..1.5))
    }
}

fn parse_every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    (every >= Duration::from_millis(10)).then_some(every).ok_or_else(|| "give at least 10ms".to_owned())
}

impl Default for RunnerArgs {
    /// Returns what the command line gives when nothing is said.
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            args: RunnerArgs,
        }
        <Alone as clap::Parser>::parse_from(["worker"]).args
    }
}
