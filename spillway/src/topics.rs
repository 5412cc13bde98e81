//! `spillway topics`: creates and checks the topics.

use std::process::ExitCode;

use anyhow::Result;
use pipeline::kafka::{BrokerArgs, topics};

/// What `spillway topics` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct TopicsArgs {
    #[command(flatten)]
    brokers: BrokerArgs,
    /// Partitions of each topic that is created; 12 for one machine, 60 for a cluster, 400 for spikes.
    #[arg(long, env = "SPILLWAY_PARTITIONS", value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Only check what is there; create nothing.
    #[arg(long)]
    check: bool,
}

/// Creates missing topics and checks those that exist.
///
/// # Errors
/// One line for what does not fit, or that the brokers cannot be reached.
pub async fn run(args: TopicsArgs) -> Result<ExitCode> {
    if args.check {
        topics::check(&args.brokers).await?;
    } else {
        topics::ensure(&args.brokers, args.partitions).await?;
    }
    println!("topics are as they should be");
    Ok(ExitCode::SUCCESS)
}
