//! `spillway dead-letters list`.

use std::process::ExitCode;

use anyhow::Result;
use pipeline::dead_letter::{Letter, Letters, Settled};
use pipeline::kafka::{BrokerArgs, Header};
use serde_json::json;

use super::select::FilterArgs;

/// The longest detail in the table, in characters.
const DETAIL_CHARS: usize = 60;

/// What `spillway dead-letters list` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Show those too that are settled: replayed, unneeded or discarded.
    #[arg(long)]
    all: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// Lists letters.
///
/// # Errors
/// When the broker cannot be reached or a topic is missing.
pub async fn run(args: ListArgs) -> Result<ExitCode> {
    let filter = args.filter.filter();
    let mut count = 0_u64;
    for stage in args.filter.stages() {
        let letters = Letters::open(&args.brokers, stage).await?;
        let mut reading = letters.read();
        while let Some(letter) = reading.next().await? {
            let settled = letters.settled(letter.id);
            if !filter.fits(&letter) || settled.is_some() && !args.all {
                continue;
            }
            if count == 0 && !args.json {
                println!(
                    "{:<20} {:<20} {:<20} {:<36}  {:<16} {:<9}  DETAIL",
                    "ID", "SINCE", "CODE", "VIDEO", "UNIT", "STATE"
                );
            }
            count += 1;
            if args.json { print_json(&letter, settled) } else { print_row(&letter, settled) }
        }
    }
    if count == 0 && !args.json {
        eprintln!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

fn print_row(letter: &Letter, settled: Option<Settled>) {
    let header = |header| letter.header(header);
    let detail: String = one_line(header(Header::Detail)).chars().take(DETAIL_CHARS).collect();
    let unit: String = header(Header::Unit).chars().take(16).collect();
    println!(
        "{:<20} {:<20} {:<20} {:<36}  {:<16} {:<9}  {detail}",
        letter.id.to_string(),
        letter.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        header(Header::Code),
        header(Header::Video),
        unit,
        state(settled),
    );
}

fn print_json(letter: &Letter, settled: Option<Settled>) {
    let header = |header| letter.header(header);
    let line = json!({
        "id": letter.id.to_string(),
        "at": letter.at,
        "stage": letter.id.stage.as_str(),
        "code": header(Header::Code),
        "detail": header(Header::Detail),
        "attempts": header(Header::Attempts).parse::<u32>().ok(),
        "tenant": header(Header::Tenant),
        "video": header(Header::Video),
        "unit": header(Header::Unit),
        "lane": header(Header::Lane),
        "replay_of": letter.headers.get(Header::ReplayOf),
        "state": state(settled),
    });
    println!("{line}");
}

/// Returns the name of what became of a letter.
pub fn state(settled: Option<Settled>) -> &'static str {
    settled.map_or("open", Settled::as_str)
}

/// Makes hostile text harmless for a terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
