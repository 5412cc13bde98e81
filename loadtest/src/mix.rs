//! What comes: whose videos, how long, how urgent, and by which way, drawn from a seed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pipeline::id::TenantId;
use planning::plan::lengths::Lengths;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chance::Chance;
use crate::schedule::Curve;

/// What the load is made of.
#[derive(clap::Args, Clone, Debug)]
pub struct MixArgs {
    /// Lengths of the videos and their weights, e.g. `60s=2,10m=1` [default: 60s=2,3m=4,10m=3,40m=1 with --emulate, else
    /// 10s=1,30s=1; of no meaning with --video].
    #[arg(long, value_name = "LENGTH=WEIGHT,..")]
    pub lengths: Option<Lengths>,
    /// Share of the videos that ask for the priority lane, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub priority_share: f64,
    /// Share of the videos that come as a URL, which this process serves on loopback, 0 to 1 [default: 0.2 with
    /// --emulate, else 0; a server that is to fetch from loopback needs SPILLWAY_ALLOW_PRIVATE_URLS].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub url_share: Option<f64>,
    /// File with the tenants that send, a line each: name, key, and a weight if not 1, parted by spaces.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
}

/// Who sends.
#[derive(Clone, PartialEq, Debug)]
pub struct Sender {
    /// The tenant; `default` where no keys are asked for.
    pub name: TenantId,
    /// Its key.
    pub key: Option<String>,
    /// How much it sends beside the others.
    pub weight: f64,
}

/// One video on its way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// Its place among all.
    pub number: u32,
    /// When it comes, in seconds of the schedule.
    pub at_s: f64,
    /// Which of the senders sends it.
    pub sender: usize,
    /// It asks for the priority lane.
    pub priority: bool,
    /// It comes as a URL.
    pub by_url: bool,
    /// Which of the lengths, or files, it has.
    pub kind: usize,
}

/// What arrivals are drawn from.
#[derive(Clone, PartialEq, Debug)]
pub struct Mix {
    /// Weights of the lengths, or files.
    pub kinds: Vec<f64>,
    /// Who sends.
    pub senders: Vec<Sender>,
    /// Share that asks for priority.
    pub priority_share: f64,
    /// Share that comes as a URL.
    pub url_share: f64,
}

impl Mix {
    /// Returns the arrivals of `curve` that `seed` gives, in order.
    pub fn arrivals(&self, curve: &Curve, seed: u64) -> Vec<Arrival> {
        let arrival = |(number, at_s): (usize, f64)| {
            let mut chance = Chance::new(seed, &["video", &number.to_string()]);
            Arrival {
                number: number as u32,
                at_s,
                sender: chance.place(self.senders.iter().map(|sender| sender.weight)),
                priority: chance.share() < self.priority_share,
                by_url: chance.share() < self.url_share,
                kind: chance.place(self.kinds.iter().copied()),
            }
        };
        curve.moments(seed).into_iter().enumerate().map(arrival).collect()
    }
}

/// Returns the one sender of an installation, who needs a key or does not.
pub fn somebody(key: Option<String>) -> Sender {
    Sender { name: TenantId::default_tenant(), key, weight: 1.0 }
}

/// Returns the file by which an installation knows the senders that have keys, `--tenants` of `spillway ingest`; nothing
/// when none has one.
pub fn tenants_file(senders: &[Sender]) -> Option<String> {
    let keyed = senders.iter().filter_map(|sender| Some((&sender.name, sender.key.as_ref()?)));
    let tenant = |(name, key): (&TenantId, &String)| {
        let hash: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[tenant]]\nname = \"{name}\"\nkey_sha256 = [\"{hash}\"]\npriority = true\n")
    };
    let tenants: String = keyed.map(tenant).collect();
    (!tenants.is_empty()).then_some(tenants)
}

/// Reads the senders of a file.
///
/// # Errors
/// With the line, when it is not as it should be.
pub fn senders(file: &Path) -> Result<Vec<Sender>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    parse_senders(&text).with_context(|| format!("understand {}", file.display()))
}

fn parse_senders(text: &str) -> Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, key, weight) = match words[..] {
            [] => continue,
            [comment, ..] if comment.starts_with('#') => continue,
            [name, key] => (name, key, 1.0),
            [name, key, weight] => (name, key, weight.parse().unwrap_or(f64::NAN)),
            _ => (words[0], "", f64::NAN),
        };
        let name = name.parse().with_context(|| format!("line {}", number + 1))?;
        ensure!(weight > 0.0, "line {}: a name, a key and perhaps a weight above 0 are wanted", number + 1);
        senders.push(Sender { name, key: Some(key.to_owned()), weight });
    }
    ensure!(!senders.is_empty(), "no tenant is named");
    Ok(senders)
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schedule::{Schedule, ScheduleArgs};

    fn curve() -> Curve {
        let args = ScheduleArgs { rate: 600.0, length: None, skip: Duration::ZERO, videos: None };
        Schedule::Users(2000).curve(&args).unwrap()
    }

    #[test]
    fn arrivals_follow_from_the_seed_and_have_the_shares() {
        let senders = parse_senders("# who\nlarge k1 3\nsmall k2\n").unwrap();
        let mix = Mix { kinds: vec![1.0, 1.0], senders, priority_share: 0.1, url_share: 0.5 };
        let arrivals = mix.arrivals(&curve(), 5);
        assert_eq!(arrivals, mix.arrivals(&curve(), 5));
        assert_ne!(arrivals, mix.arrivals(&curve(), 6));
        let share = |what: &dyn Fn(&Arrival) -> bool| {
            arrivals.iter().filter(|arrival| what(arrival)).count() as f64 / arrivals.len() as f64
        };
        for (seen, wanted) in [
            (share(&|arrival| arrival.sender == 0), 0.75),
            (share(&|arrival| arrival.priority), 0.1),
            (share(&|arrival| arrival.by_url), 0.5),
            (share(&|arrival| arrival.kind == 1), 0.5),
        ] {
            assert!((seen - wanted).abs() < 0.04, "{seen} instead of {wanted}");
        }
    }

    #[test]
    fn wrong_keys_are_refused() {
        for text in ["", "# nobody", "one", "one key 0", "one key 1 more", "A key"] {
            assert!(parse_senders(text).is_err(), "{text}");
        }
    }
}
