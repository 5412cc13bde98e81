//! `spillway autoscale`: has as many workers there as the work needs.

use std::io::BufWriter;
use std::process::ExitCode;

use anyhow::Result;
use autoscaler::{PolicyArgs, replay};

/// The exit code for input that cannot be read.
const UNREADABLE: u8 = 2;

/// What `spillway autoscale` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct AutoscaleArgs {
    /// Decide over observations from standard input, one JSON object a line, and write a decision a line; nothing else
    /// is read or changed. Ends with code 2 at a line that cannot be read, and names it; empty lines are passed over.
    #[arg(long, required = true)]
    replay: bool,
    #[command(flatten, next_help_heading = "Policy")]
    policy: PolicyArgs,
}

/// Replays observations.
///
/// # Errors
/// When standard input or output fail.
pub async fn run(args: AutoscaleArgs) -> Result<ExitCode> {
    let policy = args.policy.policy();
    let replayed = tokio::task::spawn_blocking(move || {
        replay::replay(&policy, std::io::stdin().lock(), BufWriter::new(std::io::stdout().lock()))
    });
    match replayed.await? {
        Err(error @ replay::Error::Unreadable { .. }) => {
            eprintln!("spillway: {error}");
            Ok(ExitCode::from(UNREADABLE))
        }
        ended => Ok(ended.map(|()| ExitCode::SUCCESS)?),
    }
}
