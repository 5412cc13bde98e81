//! What `spillway plan` can be told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pipeline::stage::StageName;
use planning::cost::{Costs, Prices};
use planning::plan::arrivals::{Arrivals, VIDEOS_PER_USER};
use planning::plan::lengths::Lengths;
use planning::plan::scenario::{Bytes, Limits, Machines, Mix, Scenario};
use planning::stages::{STAGES, scaled};

const EXAMPLES: &str = "Examples:
  spillway plan --users 500 --partitions 400 --html plan.html
  spillway plan --costs bench.json --price 0.02 --startup 180s
  spillway plan --trace week.csv --trace-videos 20000 --json";

/// Say beforehand what a load needs, what it costs, what it waits, and what breaks first.
///
/// Simulates the whole flow, with the policy that scales it live, through a day and many times through its busiest hour.
/// Beside it stand KEDA with the horizontal pod autoscaler by their formulas (lag threshold 10 and all defaults; and
/// threshold 2, no rate limit, a down window of a minute), a scaler that knows what will come, and the system that this one
/// replaces (20 workers, 180 videos an hour, first come, first served).
///
/// Waits are those of the videos that come in the busiest hour: the time in queues until the first segment is begun; work
/// lasts from the first worker to the end. Numbers in brackets are what 5 and 95 % of the seeds stay below, or the least and
/// the most of fewer than 20. A limit breaks at the load at which it alone makes waits miss their target. Without any flag it
/// answers for 500, 2,000 and 10,000 users at once with the costs measured of this product. All that is assumed can be set,
/// and stands below the tables with its source.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    /// Users who come within ten seconds at the busiest time of the day, one scenario each.
    #[arg(long, value_name = "COUNT,..", value_delimiter = ',', default_value = "500,2000,10000", help_heading = "What comes",
        value_parser = clap::value_parser!(u32).range(0..=200_000))]
    users: Vec<u32>,
    /// Videos a day, those of the users at once included: fewest at seven in the morning, four times as many at seven in
    /// the evening [default: eight for each of the users at once].
    #[arg(long, value_name = "COUNT", help_heading = "What comes", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    videos_per_day: Option<u32>,
    /// Plan for counts by time instead: a CSV file with the header `seconds,arrivals` and equal steps.
    #[arg(long, value_name = "FILE", help_heading = "What comes", conflicts_with_all = ["users", "videos_per_day"])]
    trace: Option<PathBuf>,
    /// How many videos the whole trace stands for; without it a count is a video.
    #[arg(long, value_name = "COUNT", help_heading = "What comes", requires = "trace", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    trace_videos: Option<u32>,
    /// Lengths of the videos and their weights.
    #[arg(
        long,
        value_name = "LENGTH=WEIGHT,..",
        default_value = "60s=2,3m=4,10m=3,40m=1",
        help_heading = "What comes"
    )]
    lengths: Lengths,
    /// Share of the videos in the priority lane, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, help_heading = "What comes", value_parser = share)]
    priority_share: f64,
    /// Clips of a video.
    #[arg(long, value_name = "COUNT", default_value_t = 3, help_heading = "What comes", value_parser = clap::value_parser!(u32).range(1..=20))]
    clips: u32,
    /// Length of a clip.
    #[arg(long, value_name = "TIME", default_value = "30s", help_heading = "What comes", value_parser = time)]
    clip_length: Duration,
    /// Bits of a second of source video, in kbit/s.
    #[arg(long, value_name = "KBIT", default_value_t = 1928.0, help_heading = "What comes", value_parser = positive)]
    bitrate: f64,

    /// Time from asking for a worker until it takes work.
    #[arg(long, value_name = "TIME", default_value = "45s", help_heading = "What it runs on", value_parser = time)]
    startup: Duration,
    /// By how much that varies: standard deviation over mean.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, help_heading = "What it runs on", value_parser = share)]
    startup_variation: f64,
    /// Longest wait before work on a unit is to begin.
    #[arg(long, value_name = "TIME", default_value = "120s", help_heading = "What it runs on", value_parser = time)]
    wait_target: Duration,
    /// Fewest workers of each stage.
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "What it runs on", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    min_workers: u32,
    /// Most workers of each stage.
    #[arg(long, value_name = "COUNT", default_value_t = 400, help_heading = "What it runs on", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_workers: u32,
    /// Partitions of each lane of each stage (`spillway topics --partitions`).
    #[arg(long, value_name = "COUNT", default_value_t = 60, help_heading = "What it runs on", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// Disk of the brokers for one copy of everything, in GB: of three brokers that keep three copies, the disk of one.
    #[arg(long, value_name = "GB", default_value_t = 500.0, help_heading = "What it runs on", value_parser = positive)]
    broker_disk: f64,
    /// Pieces of sound that an outside transcriber takes in an hour [default: no limit].
    #[arg(long, value_name = "PIECES", help_heading = "What it runs on", value_parser = positive)]
    quota: Option<f64>,

    /// Take what work costs from a report of `spillway bench --json FILE`.
    #[arg(long, value_name = "FILE", help_heading = "What it costs")]
    costs: Option<PathBuf>,
    /// Busy seconds of a slot for each second of video (of `cut`: of clip), e.g. `analyze=0.05`; may be given several
    /// times, and wins over --costs.
    #[arg(long, value_name = "STAGE=SECONDS", help_heading = "What it costs", value_parser = stage_cost)]
    cost: Vec<(String, f64)>,
    /// Price of a worker for an hour, in dollars [default: 0.045].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = price)]
    price: Option<f64>,
    /// Price of everything that always runs, for an hour [default: 0.67].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = price)]
    base_price: Option<f64>,
    /// Price of a GB of blobs for a month [default: 0.023].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = price)]
    storage_price: Option<f64>,
    /// Price of a video in the old system [default: 0.10].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = price)]
    old_price: Option<f64>,
    /// Days for which sources are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 14.0, help_heading = "What it costs", value_parser = price)]
    keep_sources: f64,
    /// Months of clips that are there to be paid for: they stay until they are deleted.
    #[arg(long, value_name = "MONTHS", default_value_t = 12.0, help_heading = "What it costs", value_parser = price)]
    keep_clips: f64,
    /// What a month may cost [default: no limit].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = positive)]
    budget: Option<f64>,
    /// What all workers together may cost in an hour: the policy keeps to it, and waits grow instead [default: no limit].
    #[arg(long, value_name = "PRICE", help_heading = "What it costs", value_parser = positive)]
    budget_per_hour: Option<f64>,

    /// By how much the load grows in a month, in percent: for the days until something breaks.
    #[arg(long, value_name = "PERCENT", default_value_t = 20.0, help_heading = "Answer", value_parser = price)]
    growth: f64,
    /// How many times the busiest hour is simulated, each with other chance, for the bands; the rivals and the whole day get
    /// a fifth.
    #[arg(long, value_name = "COUNT", default_value_t = 20, help_heading = "Answer", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub seeds: u32,
    /// Simulate instead the videos of an emulated load test (`spillway loadtest --emulate --json FILE`), and show its waits
    /// beside the simulation's: how far the simulator can be believed.
    #[arg(long, value_name = "FILE", help_heading = "Answer", conflicts_with_all = ["users", "videos_per_day", "trace", "html"])]
    pub beside: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, help_heading = "Answer")]
    pub json: bool,
    /// Write a page with plots to this file; it needs nothing else.
    #[arg(long, value_name = "FILE", help_heading = "Answer")]
    pub html: Option<PathBuf>,
}

impl PlanArgs {
    /// Returns what is asked for.
    ///
    /// # Errors
    /// When a file cannot be read or is something else.
    pub fn scenarios(&self) -> Result<Vec<Scenario>> {
        ensure!(self.min_workers <= self.max_workers, "--min-workers is above --max-workers");
        let scenario = |users: u32| {
            let videos = self.videos_per_day.unwrap_or(users.saturating_mul(VIDEOS_PER_USER));
            ensure!(videos > 0, "with no users at once, say how many --videos-per-day");
            ensure!(videos >= users, "--videos-per-day {videos} does not hold the {users} who come at once");
            Scenario::of_users(users, videos).with(self)
        };
        let Some(file) = &self.trace else {
            return self.users.iter().map(|users| scenario(*users)).collect();
        };
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let arrivals = Arrivals::parse(&text, self.trace_videos);
        let arrivals = arrivals.with_context(|| format!("understand the trace {}", file.display()))?;
        let name = format!("the trace {}", file.display());
        Ok(vec![Scenario { name, arrivals, ..Scenario::of_users(0, 0).with(self)? }])
    }

    fn costs(&self) -> Result<Costs> {
        let mut costs = match &self.costs {
            None => Costs::measured(),
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
                Costs::from_bench(&text, &file.display().to_string())?
            }
        };
        for (stage, seconds) in &self.cost {
            costs.set(stage, *seconds, "--cost");
        }
        Ok(costs)
    }

    fn prices(&self) -> Prices {
        let known = Prices::default();
        let given = [
            (self.price, "--price"),
            (self.base_price, "--base-price"),
            (self.storage_price, "--storage-price"),
            (self.old_price, "--old-price"),
        ];
        let given: Vec<&str> = given.iter().filter(|(price, _)| price.is_some()).map(|(_, flag)| *flag).collect();
        let source =
            if given.is_empty() { known.source } else { format!("{}; else {}", given.join(", "), known.source) };
        Prices {
            worker_hour: self.price.unwrap_or(known.worker_hour),
            base_hour: self.base_price.unwrap_or(known.base_hour),
            storage_gb_month: self.storage_price.unwrap_or(known.storage_gb_month),
            old_video: self.old_price.unwrap_or(known.old_video),
            source,
        }
    }
}

/// Sets a scenario as the arguments say.
trait With: Sized {
    fn with(self, args: &PlanArgs) -> Result<Self>;
}

impl With for Scenario {
    fn with(self, args: &PlanArgs) -> Result<Self> {
        let mix = Mix {
            lengths: args.lengths.in_seconds(),
            priority_share: args.priority_share,
            clips: args.clips,
            clip_s: args.clip_length.as_secs_f64(),
            ..Mix::default()
        };
        let machines = Machines {
            startup_s: args.startup.as_secs_f64(),
            startup_variation: args.startup_variation,
            min_workers: args.min_workers,
            wait_target_s: args.wait_target.as_secs_f64(),
            ..Machines::default()
        };
        let limits = Limits {
            max_workers: args.max_workers,
            partitions: args.partitions,
            broker_disk_gb: args.broker_disk,
            quota_per_hour: args.quota,
            budget_per_month: args.budget,
            budget_per_hour: args.budget_per_hour,
            growth_per_month: args.growth / 100.0,
        };
        let bytes = Bytes {
            source_per_s: args.bitrate * 125.0,
            keep_sources_days: args.keep_sources,
            keep_clips_months: args.keep_clips,
            ..Bytes::default()
        };
        Ok(Self { mix, costs: args.costs()?, prices: args.prices(), machines, limits, bytes, ..self })
    }
}

fn stage_cost(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(stage, seconds)| Some((stage, seconds.parse::<f64>().ok()?)));
    let known = parsed.filter(|(stage, seconds)| scaled(stage).is_ok() && (1e-9..1e4).contains(seconds));
    let known = known.map(|(stage, seconds)| (stage.to_owned(), seconds));
    let names = || STAGES.map(StageName::as_str).join(", ");
    known.ok_or_else(|| format!("give one of {} and its busy seconds, e.g. analyze=0.05", names()))
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

fn price(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|price| (0.0..1e12).contains(price))
        .ok_or_else(|| "must be a number of 0 or more".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value| (1e-9..1e12).contains(value)).ok_or_else(|| "must be a number above 0".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let admitted = Duration::from_secs(1)..=Duration::from_secs(86_400);
    if admitted.contains(&time) { Ok(time) } else { Err("give a time of 1s to 1day".to_owned()) }
}
