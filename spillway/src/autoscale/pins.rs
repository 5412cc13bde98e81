//! What a person says of a stage's scale while the autoscaler runs, and what it says itself.

use std::process::ExitCode;

use anyhow::{Context, Result};
use pipeline::kafka::{BrokerArgs, Producer, reader};
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::pin::{self, Pin};
use planning::record::Recorded;
use planning::stages::scaled;

/// What `spillway autoscale pin` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct PinArgs {
    /// The stage and its limits: `analyze=min:2,max:10`, `cut=fixed:4`.
    #[arg(value_name = "STAGE=PIN", value_parser = pin::parse)]
    pin: (StageName, Pin),
    #[command(flatten, next_help_heading = "Kafka")]
    brokers: BrokerArgs,
}

/// What `spillway autoscale release` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ReleaseArgs {
    /// The stage.
    #[arg(value_parser = scaled)]
    stage: StageName,
    #[command(flatten, next_help_heading = "Kafka")]
    brokers: BrokerArgs,
}

/// What `spillway autoscale status` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct StatusArgs {
    #[command(flatten, next_help_heading = "Kafka")]
    brokers: BrokerArgs,
}

/// Pins a stage.
///
/// # Errors
/// When the brokers do not take it.
pub async fn pin(args: PinArgs) -> Result<ExitCode> {
    let (stage, pin) = args.pin;
    say(&args.brokers, stage, Some(&pin)).await?;
    println!("{stage} is pinned to {pin}");
    Ok(ExitCode::SUCCESS)
}

/// Releases a stage.
///
/// # Errors
/// When the brokers do not take it.
pub async fn release(args: ReleaseArgs) -> Result<ExitCode> {
    say(&args.brokers, args.stage, None).await?;
    println!("{} is released", args.stage);
    Ok(ExitCode::SUCCESS)
}

async fn say(brokers: &BrokerArgs, stage: StageName, pin: Option<&Pin>) -> Result<()> {
    let producer = Producer::connect(brokers).await?;
    Ok(producer.say(Topic::AutoscalerPin, stage.as_str(), &pin::body(pin)).await?)
}

/// Prints what was last seen and decided.
///
/// # Errors
/// When the brokers do not answer.
pub async fn status(args: StatusArgs) -> Result<ExitCode> {
    let Some(recorded) = last(&args.brokers).await? else {
        println!("no autoscaler has said anything within a day");
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(at) = recorded.seen.wall_clock {
        println!("as of {}", at.round(jiff::Unit::Second)?);
    }
    for stage in &recorded.seen.stages {
        let lag: f64 = stage.lanes.iter().map(planning::observation::Lane::lag_records).sum();
        let oldest_s = stage.lanes.iter().map(|lane| lane.head_age_s).fold(0.0, f64::max);
        let decided = recorded.decided.iter().find(|decided| decided.stage == stage.stage);
        let (target, reason) = decided.map_or((stage.replicas, ""), |d| (d.replicas, d.reason.as_str()));
        let (ready, starting) = (stage.workers.ready, stage.workers.starting.len());
        let name = &stage.stage;
        println!(
            "{name:<11} target {target:>4}  ready {ready:>4}  starting {starting:>4}  lag {lag:>6.0}  oldest {oldest_s:>6.1} s  {reason}"
        );
    }
    for (stage, pin) in &recorded.seen.pins {
        println!("{stage} is pinned to {pin}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the last decision.
async fn last(brokers: &BrokerArgs) -> Result<Option<Recorded>> {
    for span in reader::spans(brokers, Topic::AutoscalerDecision).await? {
        let Some(only) = span.only(span.to - 1) else { continue };
        if let Some(record) = reader::read(brokers, only)?.recv().await {
            return Ok(Some(serde_json::from_slice(&record?.body).context("read a decision")?));
        }
    }
    Ok(None)
}
