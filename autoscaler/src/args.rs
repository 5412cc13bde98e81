//! What an operator may set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pipeline::stage::StageName;
use planning::observation::Observation;
use planning::pin::{self, Pin};
use planning::policy::Policy;
use planning::stages::{STAGES, scaled};

/// The policy's settings.
#[derive(clap::Args, Clone, Debug)]
pub struct PolicyArgs {
    /// Time between two observations.
    #[arg(long, env = "SPILLWAY_TICK", default_value = "5s", value_parser = positive, value_name = "TIME")]
    pub tick: Duration,
    /// Time a new worker takes until it works, until some were seen starting.
    #[arg(long, env = "SPILLWAY_STARTUP", default_value = "45s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub startup: Duration,
    /// Time a record takes to be worked on until some were seen done, for all stages or one: `10s`, `cut=30s`; may be given
    /// several times [default: what was measured of each; 60s when work is emulated].
    #[arg(long, env = "SPILLWAY_SERVICE_TIME", value_name = "[STAGE=]TIME", value_delimiter = ';', value_parser = stage_time)]
    pub service_time: Vec<(Option<StageName>, Duration)>,
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
        let mut policy = Policy::measured();
        policy.service_s = given_s(&self.service_time, None).unwrap_or(policy.service_s);
        for stage in STAGES {
            if let Some(service_s) = given_s(&self.service_time, Some(stage)) {
                policy.service_s_of.insert(stage.to_string(), service_s);
            }
        }
        Policy {
            tick_s: self.tick.as_secs_f64(),
            startup_s: self.startup.as_secs_f64(),
            down_window_s: self.down_window.as_secs_f64(),
            hold_s: self.hold.as_secs_f64(),
            ..policy
        }
    }
}

/// Returns the time that was given for `stage`, or else for all, in seconds; of several the last.
fn given_s(times: &[(Option<StageName>, Duration)], stage: Option<StageName>) -> Option<f64> {
    let of = |wanted: Option<StageName>| times.iter().rev().find(move |(of, _)| *of == wanted);
    of(stage).or_else(|| of(None)).map(|(_, time)| time.as_secs_f64())
}

/// The fewest and the most workers of a stage where nothing is said.
const MIN_WORKERS: u32 = 1;
const MAX_WORKERS: u32 = 40;
/// How long records may wait where nothing is said, in seconds.
const WAIT_TARGET_S: f64 = 120.0;

/// Between what the scale of each stage is kept, and what for.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Bounds {
    /// Fewest workers of each stage [default: 1].
    #[arg(long, env = "SPILLWAY_MIN_WORKERS", value_name = "COUNT")]
    pub min_workers: Option<u32>,
    /// Most workers of each stage; in `spillway dev`, where a worker is a slot, its slots [default: 40, in `spillway dev`
    /// the number of cores, or what --slots says].
    #[arg(long, env = "SPILLWAY_MAX_WORKERS", value_name = "COUNT")]
    pub max_workers: Option<u32>,
    /// What a person wants of a stage's scale, which wins over everything else: `analyze=min:2,max:10` or
    /// `cut=fixed:4`; may be given several times. `spillway autoscale pin` does the same while the autoscaler runs.
    #[arg(long, env = "SPILLWAY_PINS", value_name = "STAGE=PIN", value_delimiter = ';', value_parser = pin::parse)]
    pub pin: Vec<(StageName, Pin)>,
    /// How long records may wait before work on them begins, for all stages or one: `120s`, `fetch=30s`; may be given
    /// several times [default: 120s].
    #[arg(long, env = "SPILLWAY_WAIT_TARGET", value_name = "[STAGE=]TIME", value_delimiter = ';', value_parser = stage_time)]
    pub wait_target: Vec<(Option<StageName>, Duration)>,
    /// What all workers together may cost in an hour. Workers above it are let go, but for the fewest of each stage and
    /// those that a pin wants.
    #[arg(long, env = "SPILLWAY_BUDGET_PER_HOUR", value_name = "PRICE", value_parser = price)]
    pub budget_per_hour: Option<f64>,
    /// What one worker costs in an hour, in the same currency [default: 1, so that the budget is a number of workers].
    #[arg(long, env = "SPILLWAY_COST_PER_WORKER_HOUR", value_name = "PRICE", value_parser = price)]
    pub cost_per_worker_hour: Option<f64>,
}

impl Bounds {
    /// Returns how long records of `stage` may wait, in seconds.
    pub fn wait_target_s(&self, stage: StageName) -> f64 {
        given_s(&self.wait_target, Some(stage)).unwrap_or(WAIT_TARGET_S)
    }

    /// Returns the fewest workers of a stage that is not pinned.
    pub fn min_workers(&self) -> u32 {
        self.min_workers.unwrap_or(MIN_WORKERS)
    }

    /// Returns the most workers of a stage that is not pinned.
    pub fn max_workers(&self) -> u32 {
        self.max_workers.unwrap_or(MAX_WORKERS)
    }

    /// Puts what was given in the place of what `seen` has; the rest of it stays.
    pub fn put_into(&self, seen: &mut Observation) {
        for stage in &mut seen.stages {
            stage.min_replicas = self.min_workers.unwrap_or(stage.min_replicas);
            stage.max_replicas = self.max_workers.unwrap_or(stage.max_replicas);
            stage.wait_slo_s = given_s(&self.wait_target, stage.stage.parse().ok()).unwrap_or(stage.wait_slo_s);
            stage.cost_per_worker_hour = self.cost_per_worker_hour.or(stage.cost_per_worker_hour);
        }
        seen.budget_per_hour = self.budget_per_hour.or(seen.budget_per_hour);
        seen.pins.extend(self.pins().into_iter().map(|(stage, pin)| (stage.to_string(), pin)));
    }

    /// Returns the pins by stage; of several for one stage the last counts.
    pub fn pins(&self) -> BTreeMap<StageName, Pin> {
        self.pin.iter().copied().collect()
    }

    /// Returns `replicas` within the bounds of `stage`; a pin wins over the bounds.
    pub fn clamp(&self, replicas: u32, pin: Option<&Pin>) -> u32 {
        let (least, most) = pin::limits(pin, self.min_workers(), self.max_workers());
        replicas.clamp(least, most)
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

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse().ok().filter(|price| (0.0..f64::INFINITY).contains(price));
    price.ok_or_else(|| "give a price, 0 or more".to_owned())
}

fn stage_time(text: &str) -> Result<(Option<StageName>, Duration), String> {
    match text.split_once('=') {
        Some((stage, time)) => Ok((Some(scaled(stage)?), positive(time)?)),
        None => Ok((None, positive(text)?)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use planning::observation::Stage;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        policy: PolicyArgs,
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
    fn records_take_what_was_measured_of_their_stage_unless_it_is_said() {
        let service_s = |arguments: &[&str]| {
            let alone = Alone::try_parse_from([&["autoscale"], arguments].concat()).unwrap();
            let policy = alone.policy.policy();
            ["fetch", "transcribe", "analyze", "cut", "another"].map(|stage| policy.service_s(stage))
        };
        let usual = service_s(&[]);
        let near = [0.9, 5.0, 1.1, 25.0, 60.0];
        assert!(usual.iter().zip(near).all(|(is, near)| (is / near - 1.0).abs() < 0.1), "{usual:?}");
        assert_eq!(service_s(&["--service-time", "7s"]), [7.0; 5]);
        let one = service_s(&["--service-time", "cut=30s;7s", "--service-time", "fetch=2s"]);
        assert_eq!(one, [2.0, 7.0, 7.0, 30.0, 7.0]);
        assert_eq!(service_s(&["--service-time", "cut=30s"])[..3], usual[..3]);
    }

    #[test]
    fn waits_are_set_for_all_stages_or_one() {
        let bounds = bounds(&["--wait-target", "90s", "--wait-target", "fetch=30s"]).unwrap();
        assert_eq!([StageName::Fetch, StageName::Cut].map(|stage| bounds.wait_target_s(stage)), [30.0, 90.0]);
    }

    #[test]
    fn what_is_given_takes_the_place_of_what_was_seen_and_nothing_else_does() {
        let stage =
            |name: &str| Stage { stage: name.to_owned(), max_replicas: 30, wait_slo_s: 60.0, ..Stage::default() };
        let seen = Observation { stages: vec![stage("fetch"), stage("another")], ..Observation::default() };
        let changed = |arguments: &[&str]| {
            let mut seen = seen.clone();
            bounds(arguments).unwrap().put_into(&mut seen);
            seen
        };
        assert_eq!(changed(&[]), seen);
        let given =
            ["--max-workers", "7", "--wait-target", "90s", "--wait-target", "fetch=30s", "--pin", "cut=fixed:3"];
        let changed = changed(&[&given[..], &["--budget-per-hour", "9", "--min-workers", "2"]].concat());
        let of = |stage: &Stage| (stage.min_replicas, stage.max_replicas, stage.wait_slo_s);
        assert_eq!(changed.stages.iter().map(of).collect::<Vec<_>>(), [(2, 7, 30.0), (2, 7, 90.0)]);
        assert_eq!((changed.budget_per_hour, changed.pins["cut"].fixed), (Some(9.0), Some(3)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            ["--wait-target", "0s"],
            ["--wait-target", "join=30s"],
            ["--service-time", "join=30s"],
            ["--service-time", "0s"],
            ["--pin", "cut"],
            ["--pin", "record=max:2"],
            ["--pin", "cut=max:-1"],
            ["--pin", "cut=most:1"],
            ["--pin", "cut=min:5,max:4"],
            ["--pin", "cut=fixed:3,max:4"],
            ["--budget-per-hour", "NaN"],
            ["--budget-per-hour", "inf"],
            ["--budget-per-hour=-1", "--min-workers=1"],
            ["--cost-per-worker-hour", "much"],
        ] {
            assert!(bounds(&wrong).is_err(), "{wrong:?}");
        }
    }
}
