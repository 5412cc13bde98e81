//! `spillway workers`: who works, and letting one go.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use pipeline::event::{UnitInHand, WorkerReport};
use pipeline::kafka::{BrokerArgs, Producer};
use pipeline::workers;
use serde_json::json;

/// Shows workers, and lets one go.
#[derive(clap::Args, Clone, Debug)]
pub struct WorkersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// List the workers that were heard within 15 s: what each is, and what it has in hand.
    List(ListArgs),
    /// Let one worker finish what it has in hand and end.
    ///
    /// It does what SIGTERM makes it do: takes no more, finishes within its grace (`--drain-grace`), hands the rest back
    /// and ends with code 0. What watches it (`spillway dev`, Kubernetes, Compose) starts another in its place. A process
    /// that runs several stages ends with any of them.
    Drain(DrainArgs),
}

/// What `spillway workers list` needs to know.
#[derive(clap::Args, Clone, Debug)]
struct ListArgs {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// What `spillway workers drain` needs to know.
#[derive(clap::Args, Clone, Debug)]
struct DrainArgs {
    /// Its id, as `spillway workers list` shows it.
    worker: String,
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// When the brokers cannot be reached, or there is no such worker.
pub async fn run(args: WorkersArgs) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => list(args).await?,
        Command::Drain(args) => drain(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: ListArgs) -> Result<()> {
    let heard = workers::heard(&args.brokers).await?;
    let now = Timestamp::now();
    if args.json {
        for report in &heard {
            println!("{}", as_json(report));
        }
        return Ok(());
    }
    if heard.is_empty() {
        eprintln!("no worker was heard within {:?}", workers::SILENCE);
        return Ok(());
    }
    println!(
        "{:<43} {:<10} {:<8} {:<8} {:>5} {:>5} {:>9} {:>7}  IN HAND",
        "WORKER", "STAGE", "STATE", "VERSION", "SLOTS", "BUSY", "MEMORY", "SEEN"
    );
    for report in &heard {
        let silent = since(report, now);
        println!(
            "{:<43} {:<10} {:<8} {:<8} {:>5} {:>5} {:>5} MiB {:>5.1} s  {}",
            report.worker,
            report.stage().as_str(),
            report.state().as_str(),
            report.version,
            report.slots,
            report.busy,
            report.memory_bytes >> 20,
            silent.as_secs_f64(),
            in_hand(report, silent),
        );
    }
    Ok(())
}

async fn drain(args: DrainArgs) -> Result<()> {
    let heard = workers::heard(&args.brokers).await?;
    let Some(report) = heard.iter().find(|report| report.worker == args.worker) else {
        let there: Vec<&str> = heard.iter().map(|report| report.worker.as_str()).collect();
        match there.is_empty() {
            true => bail!("no worker was heard within {:?}; is this the right --brokers?", workers::SILENCE),
            false => bail!("no worker is called {}; there are: {}", args.worker, there.join(", ")),
        }
    };
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let producer = Producer::connect(&args.brokers).await?;
    workers::drain(&producer, &report.worker, &format!("spillway workers drain at {host}")).await?;
    println!("{} was told to end; it has {} units in hand, which it finishes first", report.worker, report.busy);
    Ok(())
}

/// Returns how long nothing was heard of a worker.
fn since(report: &WorkerReport, now: Timestamp) -> Duration {
    Duration::from_millis(now.as_millisecond().saturating_sub(report.at_ms).max(0).unsigned_abs())
}

/// Names the unit that a worker has had in hand for longest, and how many more there are.
fn in_hand(report: &WorkerReport, silent: Duration) -> String {
    let Some(UnitInHand { video, unit, age_ms, .. }) = report.units.iter().max_by_key(|unit| unit.age_ms) else {
        return "-".to_owned();
    };
    let age_s = (Duration::from_millis(*age_ms) + silent).as_secs_f64();
    let more = match report.units.len() {
        1 => String::new(),
        units => format!(" and {} more", units - 1),
    };
    format!("{video} {unit} for {age_s:.1} s{more}")
}

fn as_json(report: &WorkerReport) -> serde_json::Value {
    let at = Timestamp::from_millisecond(report.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let unit = |unit: &UnitInHand| json!({"video": unit.video, "unit": unit.unit, "lane": unit.lane().as_str(), "age_ms": unit.age_ms});
    json!({
        "worker": report.worker,
        "stage": report.stage().as_str(),
        "state": report.state().as_str(),
        "version": report.version,
        "at": at,
        "slots": report.slots,
        "busy": report.busy,
        "queued": report.queued,
        "done_total": report.done_total,
        "memory_bytes": report.memory_bytes,
        "pid": report.pid,
        "units": report.units.iter().map(unit).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_in_hand_for_longest_is_named() {
        let unit = |name: &str, age_ms| UnitInHand {
            video: "v".to_owned(),
            unit: name.to_owned(),
            age_ms,
            ..UnitInHand::default()
        };
        let check = |units: Vec<UnitInHand>, expected: &str| {
            let report = WorkerReport { units, ..WorkerReport::default() };
            assert_eq!(in_hand(&report, Duration::from_millis(500)), expected);
        };
        check(vec![], "-");
        check(vec![unit("clip/1", 700)], "v clip/1 for 1.2 s");
        check(vec![unit("clip/1", 700), unit("clip/2", 9_500), unit("clip/3", 0)], "v clip/2 for 10.0 s and 2 more");
    }
}
