//! `spillway topics`: creates and checks the topics.

use std::process::ExitCode;

use anyhow::Result;
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{BrokerArgs, topics};

/// What `spillway topics` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct TopicsArgs {
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    shape: Shape,
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
        topics::ensure(&args.brokers, args.shape).await?;
    }
    println!("topics are as they should be");
    Ok(ExitCode::SUCCESS)
}
