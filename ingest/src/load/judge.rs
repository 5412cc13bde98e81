//! Whether the service is to save work, and whether it has to refuse it: pure functions of what is seen, of what was
//! decided before, and of the operator's limits. A breaker that opened stays open for a while and until there is
//! some distance to its limit again, so that the mode does not flicker.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::readings::Memory;

/// A breaker closes when what it watches is below this share of its limit, in percent.
const CLOSES_BELOW_PERCENT: u64 = 80;

/// When the service saves work, and when it refuses it.
#[derive(clap::Args, Clone, Debug)]
pub struct OverloadArgs {
    /// So many videos that have not ended degrade the service: new ones are made without optional work; 0 is never.
    #[arg(long, env = "SPILLWAY_DEGRADE_AT_QUEUE", default_value_t = 200, value_name = "VIDEOS")]
    pub degrade_at_queue: u64,
    /// So much of the memory in use degrades the service, in percent of the limit; 0 is never.
    #[arg(long, env = "SPILLWAY_DEGRADE_AT_MEMORY", default_value_t = 80, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub degrade_at_memory: u64,
    /// So many failures in a row of an outside service that workers ask, such as a speech service, degrade the service;
    /// 0 is never.
    #[arg(long, env = "SPILLWAY_DEGRADE_AT_FAILURES", default_value_t = 10, value_name = "COUNT")]
    pub degrade_at_failures: u64,
    /// The shortest time for which the service stays degraded, e.g. `60s`.
    #[arg(long, env = "SPILLWAY_DEGRADED_FOR", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub degraded_for: Duration,
    /// So much of the memory in use makes the API refuse videos, in percent of the limit; 0 is never.
    #[arg(long, env = "SPILLWAY_REFUSE_AT_MEMORY", default_value_t = 95, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub refuse_at_memory: u64,
    /// The memory that this process may use, in bytes [default: the limit of its control group, if there is one].
    #[arg(long, env = "SPILLWAY_MEMORY_LIMIT", value_name = "BYTES")]
    pub memory_limit: Option<u64>,
    /// So little free space on a disk that is written to makes the API refuse videos, in bytes; 0 is never.
    #[arg(long, env = "SPILLWAY_DISK_RESERVE", default_value_t = 1 << 30, value_name = "BYTES")]
    pub disk_reserve: u64,
}

/// What the service is judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Videos that have not ended; nothing while the store is away.
    pub unfinished: Option<u64>,
    /// Memory of this process, where there is a limit.
    pub memory: Option<Memory>,
    /// Free space of the fullest disk that is written to, in bytes, where there is one.
    pub disk_free_bytes: Option<u64>,
    /// The most failures in a row of an outside service that a worker reports.
    pub outside_failures: u64,
}

/// What is watched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Breaker {
    /// Videos that have not ended.
    Queue,
    /// Memory of this process.
    Memory,
    /// Outside services that workers ask.
    Outside,
}

impl Breaker {
    /// Every breaker.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Memory, Self::Outside];

    /// Returns its name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Memory => "memory",
            Self::Outside => "outside",
        }
    }
}

/// An open breaker.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    since: Timestamp,
    reason: String,
}

/// Which breakers are open; none is all well.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement(BTreeMap<Breaker, Open>);

impl Judgement {
    /// Says whether work is saved.
    pub fn is_degraded(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns the breakers that are open.
    pub fn open(&self) -> Vec<Breaker> {
        self.0.keys().copied().collect()
    }

    /// Returns why, one line with numbers for each breaker that is open.
    pub fn reasons(&self) -> Vec<String> {
        self.0.values().map(|open| open.reason.clone()).collect()
    }
}

/// Why videos are refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shortage {
    /// The disk has too little room.
    Disk {
        /// What is free.
        free_bytes: u64,
        /// What must be.
        needed_bytes: u64,
    },
    /// The process has too little memory.
    Memory {
        /// What is in use.
        used_percent: u64,
        /// What may be.
        limit_percent: u64,
    },
}

impl Shortage {
    /// Returns what a caller is told of it.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Disk { .. } => "There is too little free space for this video now",
            Self::Memory { .. } => "There is too little free memory for more videos now",
        }
    }

    /// Returns when to come again: space comes with an operator or the sweep, memory with the end of other uploads.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Disk { .. } => Duration::from_secs(60),
            Self::Memory { .. } => Duration::from_secs(10),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { free_bytes, needed_bytes } => {
                write!(f, "{free_bytes} bytes of disk are free, {needed_bytes} are needed")
            }
            Self::Memory { used_percent, limit_percent } => {
                write!(f, "{used_percent} % of the memory is in use, the limit is {limit_percent} %")
            }
        }
    }
}

impl OverloadArgs {
    /// Judges by what is `seen` at the time `now`, given what was decided `before`.
    pub fn judge(&self, before: &Judgement, seen: &Seen, now: Timestamp) -> Judgement {
        let judged = Breaker::ALL.into_iter().filter_map(|breaker| {
            let open = self.judge_one(before.0.get(&breaker), self.measure(breaker, seen), now)?;
            Some((breaker, open))
        });
        Judgement(judged.collect())
    }

    fn judge_one(&self, before: Option<&Open>, measured: Option<Measured>, now: Timestamp) -> Option<Open> {
        // What cannot be seen stays as it was.
        let Some(Measured { value, limit, text }) = measured else { return before.cloned() };
        if limit == 0 {
            return None;
        }
        let since = before.map_or(now, |open| open.since);
        let hold = SignedDuration::try_from(self.degraded_for).unwrap_or(SignedDuration::MAX);
        let is_near = value.saturating_mul(100) >= limit.saturating_mul(CLOSES_BELOW_PERCENT);
        let stays = before.is_some() && (is_near || now.duration_since(since) < hold);
        (value >= limit || stays).then_some(Open { since, reason: text })
    }

    fn measure(&self, breaker: Breaker, seen: &Seen) -> Option<Measured> {
        let (value, limit, text) = match breaker {
            Breaker::Queue => {
                let (value, limit) = (seen.unfinished?, self.degrade_at_queue);
                (value, limit, format!("{value} videos have not ended, {limit} degrade the service"))
            }
            Breaker::Memory => {
                // Without a limit there is nothing to be short of.
                let (value, limit) = (seen.memory.map_or(0, |memory| memory.percent()), self.degrade_at_memory);
                (value, limit, format!("{value} % of the memory is in use, {limit} % degrade the service"))
            }
            Breaker::Outside => {
                let (value, limit) = (seen.outside_failures, self.degrade_at_failures);
                (value, limit, format!("an outside service failed {value} times in a row, {limit} degrade the service"))
            }
        };
        Some(Measured { value, limit, text })
    }

    /// Says why a video of `bytes` is refused, if it is.
    pub fn shortage(&self, seen: &Seen, bytes: u64) -> Option<Shortage> {
        if let Some(free_bytes) = seen.disk_free_bytes
            && self.disk_reserve > 0
        {
            let needed_bytes = self.disk_reserve.saturating_add(bytes);
            if free_bytes < needed_bytes {
                return Some(Shortage::Disk { free_bytes, needed_bytes });
            }
        }
        let (used_percent, limit_percent) = (seen.memory?.percent(), self.refuse_at_memory);
        let is_short = limit_percent > 0 && used_percent >= limit_percent;
        is_short.then_some(Shortage::Memory { used_percent, limit_percent })
    }
}

/// What a breaker sees.
struct Measured {
    value: u64,
    limit: u64,
    text: String,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        overload: OverloadArgs,
    }

    fn args(flags: &[&str]) -> OverloadArgs {
        Line::parse_from(std::iter::once("x").chain(flags.iter().copied())).overload
    }

    fn queue(unfinished: u64) -> Seen {
        Seen { unfinished: Some(unfinished), ..Seen::default() }
    }

    /// Judges what is seen at each second, and returns at which seconds the service was degraded.
    fn degraded(args: &OverloadArgs, seen: impl Fn(i64) -> Seen, seconds: i64) -> Vec<i64> {
        let mut judgement = Judgement::default();
        let mut found = Vec::new();
        for second in 0..seconds {
            judgement = args.judge(&judgement, &seen(second), Timestamp::from_second(second).expect("a time"));
            if judgement.is_degraded() {
                found.push(second);
            }
        }
        found
    }

    #[test]
    fn a_queue_of_200_degrades_and_one_that_swings_does_not_flicker() {
        let args = args(&[]);
        assert_eq!(degraded(&args, |_| queue(199), 10), [0_i64; 0]);
        // Swings around the limit for 100 s, then is short.
        let swing = |s: i64| queue(if s >= 100 { 159 } else { 190 + 20 * (s as u64 % 2) });
        assert_eq!(degraded(&args, swing, 200), (1..100).collect::<Vec<_>>());
        // One peak holds for a minute.
        assert_eq!(degraded(&args, |s| queue(if s == 5 { 500 } else { 0 }), 200), (5..65).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_seen_changes_nothing() {
        let seen = |s: i64| if (5..100).contains(&s) { Seen::default() } else { queue(if s < 5 { 300 } else { 0 }) };
        assert_eq!(degraded(&args(&[]), seen, 200), (0..100).collect::<Vec<_>>());
        assert_eq!(degraded(&args(&[]), |_| Seen::default(), 10), [0_i64; 0]);
    }

    #[test]
    fn every_limit_counts_for_itself_and_says_so_in_numbers() {
        let memory = Memory { used_bytes: 85, limit_bytes: 100 };
        let seen = Seen { unfinished: Some(231), memory: Some(memory), outside_failures: 12, ..Seen::default() };
        let judge = |flags: &[&str]| args(flags).judge(&Judgement::default(), &seen, Timestamp::UNIX_EPOCH);
        let reasons = [
            "231 videos have not ended, 200 degrade the service",
            "85 % of the memory is in use, 80 % degrade the service",
            "an outside service failed 12 times in a row, 10 degrade the service",
        ];
        assert_eq!(judge(&[]).reasons(), reasons);
        let never = ["--degrade-at-queue", "0", "--degrade-at-memory", "0", "--degrade-at-failures", "0"];
        assert!(!judge(&never).is_degraded());
        assert_eq!(judge(&["--degrade-at-queue", "232", "--degrade-at-failures", "13"]).open(), [Breaker::Memory]);
    }

    #[test]
    fn videos_are_refused_for_want_of_disk_and_memory_alone() {
        let args = args(&["--disk-reserve", "1000"]);
        let seen = |free, used_bytes| Seen {
            unfinished: Some(1_000_000),
            memory: Some(Memory { used_bytes, limit_bytes: 100 }),
            disk_free_bytes: Some(free),
            outside_failures: 99,
        };
        assert_eq!(args.shortage(&seen(1000, 94), 0), None);
        let disk = Shortage::Disk { free_bytes: 1000, needed_bytes: 1001 };
        assert_eq!(args.shortage(&seen(1000, 94), 1), Some(disk));
        let memory = Shortage::Memory { used_percent: 95, limit_percent: 95 };
        assert_eq!(args.shortage(&seen(1000, 95), 0), Some(memory));
        assert_eq!(args.shortage(&Seen::default(), u64::MAX), None, "what cannot be seen is not short");
    }
}
