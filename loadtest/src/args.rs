//! What `spillway loadtest` can be told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipeline::runtime::{RuntimeArgs, user_reports_folder};
use url::Url;

use crate::mix::MixArgs;
use crate::report::kept::Kept;
use crate::schedule::{Schedule, ScheduleArgs};
use crate::spec::{Basis, LONGEST_STARTUP};

/// Where the load goes, and how the system is made if it is emulated.
#[derive(clap::Args, Clone, Debug)]
pub struct LoadArgs {
    /// When videos come; see below.
    #[arg(value_name = "SCHEDULE", required = true)]
    pub schedule: Option<Schedule>,
    /// The seed from which arrivals and emulated times follow [default: another one each time; it is printed].
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// How the schedule is narrowed or sized.
    #[command(flatten, next_help_heading = "Load")]
    pub times: ScheduleArgs,
    /// What comes.
    #[command(flatten, next_help_heading = "Load")]
    pub mix: MixArgs,
    /// Videos to send; without any, test pictures are made with ffmpeg.
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with = "emulate", help_heading = "Load")]
    pub video: Vec<PathBuf>,
    /// Where the load goes.
    #[command(flatten, next_help_heading = "Where to")]
    pub target: TargetArgs,
    /// How the system is made if it is emulated.
    #[command(flatten, next_help_heading = "Emulation")]
    pub emulation: EmulationArgs,
    /// What is done with the numbers.
    #[command(flatten, next_help_heading = "Report")]
    pub output: OutputArgs,
}

/// Where the load goes.
#[derive(clap::Args, Clone, Debug)]
pub struct TargetArgs {
    /// Address of the server.
    #[arg(long, env = "SPILLWAY_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub server: Url,
    /// Key of the tenant that sends, for a server that asks for one.
    #[arg(long, env = "SPILLWAY_KEY", hide_env_values = true, value_name = "KEY", conflicts_with = "keys")]
    pub key: Option<String>,
    /// Kafka of that server, `host:port,..`, to see workers, what waits and decisions; what else it needs is taken from
    /// the variables that `spillway topics --help` names.
    #[arg(long, env = "SPILLWAY_BROKERS", value_name = "LIST")]
    pub brokers: Option<String>,
    /// The server's workers are `spillway loadtest work` with this spec: send what stands for videos, at its time scale.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["emulate", "video"])]
    pub emulated_by: Option<PathBuf>,
    /// Uploads under way at once; one that finds no place counts as not sent.
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub connections: u32,
    /// How long to wait for the last end after the last arrival, in time of the schedule; what has not ended by then is
    /// lost.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub patience: Duration,
}

/// How the system is made if it is emulated.
#[derive(clap::Args, Clone, Debug)]
pub struct EmulationArgs {
    /// Start a system of its own, whose heavy stages only take time; everything else of it is real.
    #[arg(long)]
    pub emulate: bool,
    /// How many times faster than the schedule everything goes: arrivals, work, start-up, ticks and leases.
    #[arg(long, value_name = "TIMES", default_value_t = 5.0, value_parser = time_scale, requires = "emulate")]
    pub time_scale: f64,
    /// The most slots of each stage.
    #[arg(long, value_name = "COUNT", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_024), requires = "emulate")]
    pub max_workers: u32,
    /// What a video takes: the ranges of the old system's steps (305 s on average), or the same stretched to the 400 s
    /// that its 180 videos an hour with 20 workers come to.
    #[arg(long, value_name = "BASIS", value_enum, default_value = "measured", requires = "emulate")]
    pub basis: Basis,
    /// How long a new worker takes until it works, e.g. `45s`; an hour at the most.
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = startup, requires = "emulate")]
    pub startup: Duration,
    /// Size of an upload that stands for a video, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub upload_kib: u32,
    /// Keep the data folder and say where it is.
    #[arg(long, requires = "emulate")]
    pub keep: bool,
    /// Where run-time files lie.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
}

/// What is done with the numbers.
#[derive(clap::Args, Clone, Debug)]
pub struct OutputArgs {
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page with plots to this file; it needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Folder in which every run is kept as JSON and as a page, named after its moment and schedule [default:
    /// `spillway/reports` in the user's data folder].
    #[arg(long, env = "SPILLWAY_REPORTS", value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// Keep no report of this run there.
    #[arg(long)]
    pub no_reports: bool,
    /// Show an earlier run's JSON beside this one.
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Price of a slot for an hour, in dollars, to judge what a video costs.
    #[arg(long, value_name = "DOLLARS")]
    pub slot_hour_price: Option<f64>,
}

impl OutputArgs {
    /// Opens the folder in which this run is to be kept; nothing if it is not to be, or the user has no data folder and
    /// none was given.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn kept(&self) -> Result<Option<Kept>> {
        if self.no_reports {
            return Ok(None);
        }
        let folder = self.reports.clone().or_else(user_reports_folder);
        folder.map(Kept::open).transpose()
    }
}

impl LoadArgs {
    /// Checks what cannot be seen from one flag alone, and returns the schedule.
    ///
    /// # Errors
    /// Says what does not go together.
    pub fn check(&self) -> Result<&Schedule> {
        let schedule = self.schedule.as_ref().context("a schedule is wanted")?;
        let price = self.output.slot_hour_price;
        ensure!(price.is_none_or(|price| price.is_finite() && price > 0.0), "--slot-hour-price must be above 0");
        ensure!(
            *schedule != Schedule::Fairness || self.emulation.emulate || self.mix.keys.is_some(),
            "the schedule fairness needs two tenants: give their --keys, or --emulate"
        );
        let output = &self.output;
        ensure!(
            *schedule != Schedule::Fairness
                || (output.json.is_none() && output.html.is_none() && output.compare.is_none() && price.is_none()),
            "the schedule fairness makes no report: it takes no --json, --html, --compare or --slot-hour-price"
        );
        ensure!(
            !self.emulation.emulate || self.target.key.is_none(),
            "with --emulate the system is a new one: it knows no --key"
        );
        Ok(schedule)
    }
}

fn startup(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time <= LONGEST_STARTUP { Ok(time) } else { Err("must be an hour at the most".to_owned()) }
}

fn time_scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale| (1.0..=100.0).contains(scale));
    scale.ok_or_else(|| "must be from 1 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn check(arguments: &str, refused: &str) {
        let read = Alone::try_parse_from(["loadtest"].into_iter().chain(arguments.split(' ')));
        let told = match read {
            Ok(alone) => alone.load.check().err().map(|error| error.to_string()).unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(refused) && told.is_empty() == refused.is_empty(), "{arguments}: {told}");
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        check("fairness --emulate", "");
        for flag in ["--json a", "--html a", "--compare a", "--slot-hour-price 1"] {
            check(&format!("fairness --emulate {flag}"), "the schedule fairness makes no report");
            check(&format!("viral-500 --emulate {flag}"), "");
        }
        check("fairness", "two tenants");
        check("viral-500 --emulate --startup 1h", "");
        check("viral-500 --emulate --startup 61m", "an hour at the most");
    }
}
