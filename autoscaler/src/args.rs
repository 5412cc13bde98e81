//! What an operator may set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pipeline::stage::StageName;
use planning::pin::{self, Pin};
use planning::policy::Policy;
use planning::stages::scaled;

/// The policy's settings.
#[derive(clap::Args, Clone, Debug)]
pub struct PolicyArgs {
    /// Time between two observations.
    #[arg(long, env = "SPILLWAY_TICK", default_value = "5s", value_parser = positive, value_name = "TIME")]
    pub tick: Duration,
    /// Time a new worker takes until it works, until some were seen starting.
    #[arg(long, env = "SPILLWAY_STARTUP", default_value = "45s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub startup: Duration,
    /// Time a record takes to be worked on, until some were seen done.
    #[arg(long, env = "SPILLWAY_SERVICE_TIME", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub service_time: Duration,
    /// Time for which fewer workers must be enough before some are let go; start-up time if that is longer.
    #[arg(long, env = "SPILLWAY_DOWN_WINDOW", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub down_window: Duration,
    /// Time for which bad data holds the last good scale; after it, bad data only scales up.
    #[arg(long, env = "SPILLWAY_HOLD", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub hold: Duration,
}

impl PolicyArgs {
    /// Returns the policy that the flags make.
    pub fn policy(&self) -> Policy {
        Policy {
            tick_s: self.tick.as_secs_f64(),
            startup_s: self.startup.as_secs_f64(),
            service_s: self.service_time.as_secs_f64(),
            down_window_s: self.down_window.as_secs_f64(),
            hold_s: self.hold.as_secs_f64(),
            ..Policy::default()
        }
    }
}

/// The most workers of a stage where nothing is said.
const MAX_WORKERS: u32 = 40;

/// Between what the scale of each stage is kept, and what for.
#[derive(clap::Args, Clone, Debug)]
pub struct Bounds {
    /// Fewest workers of each stage.
    #[arg(long, env = "SPILLWAY_MIN_WORKERS", default_value_t = 1, value_name = "COUNT")]
    pub min_workers: u32,
    /// Most workers of each stage; in `spillway dev`, where a worker is a slot, its slots [default: 40, in `spillway dev`
    /// the number of cores, or what --slots says].
    #[arg(long, env = "SPILLWAY_MAX_WORKERS", value_name = "COUNT")]
    pub max_workers: Option<u32>,
    /// What a person wants of a stage's scale, which wins over everything else: `analyze=min:2,max:10` or
    /// `cut=fixed:4`; may be given several times. `spillway autoscale pin` does the same while the autoscaler runs.
    #[arg(long, env = "SPILLWAY_PINS", value_name = "STAGE=PIN", value_delimiter = ';', value_parser = pin::parse)]
    pub pin: Vec<(StageName, Pin)>,
    /// How long records may wait before work on them begins, for all stages or one: `120s`, `fetch=30s`; may be given
    /// several times.
    #[arg(long, env = "SPILLWAY_WAIT_TARGET", value_name = "[STAGE=]TIME", value_delimiter = ';', default_value = "120s",
        value_parser = wait_target)]
    pub wait_target: Vec<(Option<StageName>, Duration)>,
    /// What all workers together may cost in an hour.
    #[arg(long, env = "SPILLWAY_BUDGET_PER_HOUR", value_name = "PRICE")]
    pub budget_per_hour: Option<f64>,
    /// What one worker costs in an hour, in the same currency.
    #[arg(long, env = "SPILLWAY_COST_PER_WORKER_HOUR", value_name = "PRICE")]
    pub cost_per_worker_hour: Option<f64>,
}

impl Bounds {
    /// Returns how long records of `stage` may wait, in seconds.
    pub fn wait_target_s(&self, stage: StageName) -> f64 {
        let of =
            |wanted| self.wait_target.iter().rev().find(|(of, _)| *of == wanted).map(|(_, time)| time.as_secs_f64());
        of(Some(stage)).or_else(|| of(None)).unwrap_or(120.0)
    }

    /// Returns the most workers of a stage that is not pinned.
    pub fn max_workers(&self) -> u32 {
        self.max_workers.unwrap_or(MAX_WORKERS)
    }

    /// Returns the pins by stage; of several for one stage the last counts.
    pub fn pins(&self) -> BTreeMap<StageName, Pin> {
        self.pin.iter().copied().collect()
    }

    /// Returns `replicas` within the bounds of `stage`; a pin wins over the bounds.
    pub fn clamp(&self, replicas: u32, pin: Option<&Pin>) -> u32 {
        let Pin { min, max, fixed } = pin.copied().unwrap_or_default();
        let most = max.unwrap_or(self.max_workers());
        let least = min.unwrap_or(self.min_workers.min(most));
        fixed.unwrap_or(replicas.min(most).max(least))
    }
}

/// What is written down.
#[derive(clap::Args, Clone, Debug)]
pub struct RecordArgs {
    /// Write what is seen and decided to this file, a line a tick, for `spillway autoscale --replay < FILE`. What is there
    /// at the start, or has grown too large, is kept as FILE.1 in place of an earlier one.
    #[arg(long, env = "SPILLWAY_AUTOSCALE_RECORD", value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How large FILE may grow, in MiB; two of that size are all there is.
    #[arg(long, env = "SPILLWAY_AUTOSCALE_RECORD_MIB", value_name = "MIB", default_value_t = 256)]
    pub record_mib: u64,
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("give a time above zero".to_owned()) } else { Ok(time) }
}

fn wait_target(text: &str) -> Result<(Option<StageName>, Duration), String> {
    match text.split_once('=') {
        Some((stage, time)) => Ok((Some(scaled(stage)?), positive(time)?)),
        None => Ok((None, positive(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        bounds: Bounds,
    }

    fn bounds(arguments: &[&str]) -> Result<Bounds, clap::Error> {
        Alone::try_parse_from([&["autoscale"], arguments].concat()).map(|alone| alone.bounds)
    }

    #[test]
    fn a_pin_wins_over_the_bounds() {
        let bounds = bounds(&["--min-workers", "2", "--max-workers", "10"]).unwrap();
        let check = |wanted, pin: &str, expected| {
            let pin = (!pin.is_empty()).then(|| pin.parse::<Pin>().unwrap());
            assert_eq!(bounds.clamp(wanted, pin.as_ref()), expected, "{wanted} {pin:?}");
        };
        check(5, "", 5);
        check(0, "", 2);
        check(50, "", 10);
        check(50, "max:20", 20);
        check(0, "max:1", 1);
        check(0, "min:20", 20);
        check(5, "fixed:0", 0);
        check(5, "fixed:99", 99);
        check(5, "min:3,max:4", 4);
    }

    #[test]
    fn waits_are_set_for_all_stages_or_one() {
        let bounds = bounds(&["--wait-target", "90s", "--wait-target", "fetch=30s"]).unwrap();
        assert_eq!([StageName::Fetch, StageName::Cut].map(|stage| bounds.wait_target_s(stage)), [30.0, 90.0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            ["--wait-target", "0s"],
            ["--wait-target", "join=30s"],
            ["--pin", "cut"],
            ["--pin", "record=max:2"],
            ["--pin", "cut=max:-1"],
            ["--pin", "cut=most:1"],
            ["--pin", "cut=min:5,max:4"],
            ["--pin", "cut=fixed:3,max:4"],
        ] {
            assert!(bounds(&wrong).is_err(), "{wrong:?}");
        }
    }
}
