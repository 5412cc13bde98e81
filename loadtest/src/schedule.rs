//! When videos come: a schedule is a curve of arrivals, and with a seed it is a row of moments.

mod curve;
mod trace;

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use curve::{Bucket, Curve};

/// How a schedule may be narrowed or sized.
#[derive(clap::Args, Clone, Debug)]
pub struct ScheduleArgs {
    /// Videos an hour: of `steady`, and at the end of `ramp`.
    #[arg(long, value_name = "VIDEOS", default_value_t = 600.0, value_parser = rate)]
    pub rate: f64,
    /// How long `steady` and `ramp` last, and how much of a day or trace is played, e.g. `10m` [default: 10m, and all
    /// of a day or trace].
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub length: Option<Duration>,
    /// Where in a day or trace to begin, e.g. `18h`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub skip: Duration,
    /// How many videos the part of a trace that is played stands for; without it a count is a video.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub videos: Option<u32>,
}

/// What can be asked for, for `--help`.
pub const SCHEDULES: &str = "Schedules:
  users-10 users-30 users-100  so many videos within ten seconds, then none
  viral-500                    500 videos within ten seconds, then 50 more in a tail of five minutes
  steady                       --rate videos an hour, at random, for --for
  ramp                         from none to --rate videos an hour over --for
  growth-3 growth-6 growth-12  a day of 200, 800 or 4,000 videos: quiet at night, busy in the evening, and at 19:00
                               50, 100 or 500 of them within ten seconds; --skip and --for play a part of it
  trace:FILE.csv               counts by time, with the header `seconds,arrivals`; --skip, --for and --videos
  fairness                     one video of a tenant alone, then the same while another tenant has sent 499";

/// When videos come.
#[derive(Clone, PartialEq, Debug)]
pub enum Schedule {
    /// So many at once.
    Users(u32),
    /// 500 at once, then a tail.
    Viral,
    /// At an even rate.
    Steady,
    /// At a rate that grows.
    Ramp,
    /// A day of the given size.
    Growth(Growth),
    /// As was counted elsewhere.
    Trace(PathBuf),
    /// One tenant's single video beside another one's many.
    Fairness,
}

/// How large a day is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    months: u32,
    videos: u32,
    peak: u32,
}

/// The days the product was asked to stand, by months from its start.
const GROWTH: [Growth; 3] = [
    Growth { months: 3, videos: 200, peak: 50 },
    Growth { months: 6, videos: 800, peak: 100 },
    Growth { months: 12, videos: 4_000, peak: 500 },
];

/// In how many seconds those come who come at once.
pub const BURST_S: f64 = 10.0;
/// How many come at once when something goes viral, and how many follow in which time.
const VIRAL: (u32, u32, f64) = (500, 50, 300.0);
/// The tail's rate halves in this time, in seconds.
const TAIL_HALVES_S: f64 = 60.0;
const DAY_S: f64 = 86_400.0;
/// When a day's peak comes, in seconds from midnight.
const PEAK_AT_S: f64 = 19.0 * 3600.0;

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let growth = |months: &str| GROWTH.into_iter().find(|growth| months == growth.months.to_string());
        let found = match text {
            "viral-500" => Some(Self::Viral),
            "steady" => Some(Self::Steady),
            "ramp" => Some(Self::Ramp),
            "fairness" => Some(Self::Fairness),
            _ => None,
        };
        let sized = || match text.split_once(['-', ':'])? {
            ("users", count) => count.parse().ok().filter(|count| (1..=10_000).contains(count)).map(Self::Users),
            ("growth", months) => growth(months).map(Self::Growth),
            ("trace", file) if !file.is_empty() => Some(Self::Trace(file.into())),
            _ => None,
        };
        let names = "users-N, viral-500, steady, ramp, growth-3, growth-6, growth-12, trace:FILE.csv or fairness";
        found.or_else(sized).ok_or_else(|| format!("no such schedule; one of {names}"))
    }
}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Users(count) => write!(f, "users-{count}"),
            Self::Viral => f.write_str("viral-500"),
            Self::Steady => f.write_str("steady"),
            Self::Ramp => f.write_str("ramp"),
            Self::Growth(growth) => write!(f, "growth-{}", growth.months),
            Self::Trace(file) => write!(f, "trace:{}", file.display()),
            Self::Fairness => f.write_str("fairness"),
        }
    }
}

impl Schedule {
    /// Returns its curve, as far as `args` has it played.
    ///
    /// # Errors
    /// When a trace cannot be read, or nothing is left of the schedule.
    pub fn curve(&self, args: &ScheduleArgs) -> Result<Curve> {
        let length_s = args.length.map_or(600.0, |length| length.as_secs_f64());
        let steady = (args.rate / 3600.0 * length_s).round() as u64;
        let mut curve = match self {
            Self::Users(count) => Curve::of_burst(*count),
            Self::Viral => {
                let (at_once, later, tail_s) = VIRAL;
                let falling = |at_s: f64| 0.5_f64.powf(at_s / TAIL_HALVES_S);
                let tail = Curve::shaped(BURST_S, tail_s, 30, later.into(), falling);
                Curve::of_burst(at_once).with(tail)
            }
            Self::Steady => Curve::shaped(0.0, length_s, 1, steady, |_| 1.0),
            Self::Ramp => Curve::shaped(0.0, length_s, 60, steady / 2, |at_s| at_s),
            Self::Growth(growth) => growth.day(),
            Self::Trace(file) => trace::read(file).with_context(|| format!("read the trace {}", file.display()))?,
            // The other one's 499 come at once; the single one's video is put among them by the scenario itself.
            Self::Fairness => Curve::of_burst(499),
        };
        if matches!(self, Self::Growth(_) | Self::Trace(_)) {
            curve = curve.part(args.skip.as_secs_f64(), args.length.map(|length| length.as_secs_f64()));
        }
        if let (Self::Trace(_), Some(videos)) = (self, args.videos) {
            curve = curve.scaled_to(videos.into());
        }
        ensure!(curve.count() > 0, "the schedule {self} has no arrival in the part that is played");
        ensure!(curve.count() <= 1_000_000, "the schedule {self} has {} arrivals; give --videos", curve.count());
        Ok(curve)
    }
}

impl Growth {
    fn day(self) -> Curve {
        // Least at seven in the morning, most at seven in the evening, four times as much.
        let shape = |at_s: f64| 1.0 + 0.6 * ((at_s - PEAK_AT_S) / DAY_S * std::f64::consts::TAU).cos();
        let all_day = Curve::shaped(0.0, DAY_S, 1440, u64::from(self.videos - self.peak), shape);
        all_day.with(Curve::of_burst(self.peak).later(PEAK_AT_S))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1.0..=1e6).contains(rate));
    rate.ok_or_else(|| "must be from 1 to 1,000,000 videos an hour".to_owned())
}

#[cfg(test)]
mod tests;
