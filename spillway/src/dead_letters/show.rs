//! `spillway dead-letters show`.

use std::process::ExitCode;

use anyhow::Result;
use pipeline::dead_letter::{Described, LetterId, Letters, describe};
use pipeline::kafka::BrokerArgs;

use super::list::{one_line, state};

/// What `spillway dead-letters show` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ShowArgs {
    /// Its id, as `spillway dead-letters list` shows it.
    #[arg(value_name = "ID")]
    id: LetterId,
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// Shows one letter.
///
/// # Errors
/// When there is no such letter, or the broker cannot be reached.
pub async fn run(args: ShowArgs) -> Result<ExitCode> {
    let letters = Letters::open(&args.brokers, args.id.stage).await?;
    let letter = letters.find(args.id).await?;
    let settled = letters.settled(args.id);
    let Described { about, job, unit, detail, advice, .. } = describe(&letter);
    let row = |name: &str, value: &str| println!("{name:<10} {}", one_line(value));
    row("letter", &letter.id.to_string());
    row("state", state(settled));
    row("given up", &letter.at.to_string());
    row("about", &about);
    if let Some(job) = job {
        row("tenant", job.tenant().as_str());
        row("video", &job.video().to_string());
        row("unit", &unit);
        row("lane", job.lane().as_str());
        row("options", &format!("{:?}", job.options));
    }
    println!("\nheaders");
    for (name, value) in letter.headers.iter() {
        println!("  {name:<20} {}", one_line(value));
    }
    println!("\nwhat was seen\n  {}", one_line(&detail));
    println!("\nwhat to do\n  {advice}");
    if settled.is_none() {
        println!("  spillway dead-letters replay {0}    or    spillway dead-letters discard {0}", letter.id);
    }
    Ok(ExitCode::SUCCESS)
}
