//! What an operator may set about the policy.

use std::time::Duration;

use planning::policy::Policy;

/// The policy's settings, as flags.
#[derive(clap::Args, Clone, Debug)]
pub struct PolicyArgs {
    /// Time between two observations.
    #[arg(long, env = "SPILLWAY_TICK", default_value = "5s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub tick: Duration,
    /// Time a new worker takes until it works, until some were seen starting.
    #[arg(long, env = "SPILLWAY_STARTUP", default_value = "45s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub startup: Duration,
    /// Time a record takes to be worked on, until some were seen done.
    #[arg(long, env = "SPILLWAY_SERVICE_TIME", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub service_time: Duration,
}

impl PolicyArgs {
    /// Returns the policy that the flags make.
    pub fn policy(&self) -> Policy {
        Policy {
            tick_s: self.tick.as_secs_f64(),
            startup_s: self.startup.as_secs_f64(),
            service_s: self.service_time.as_secs_f64(),
        }
    }
}
