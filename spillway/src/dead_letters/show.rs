//! `spillway dead-letters show`.

use std::process::ExitCode;

use anyhow::Result;
use pipeline::dead_letter::{Letter, LetterId, Letters};
use pipeline::kafka::{BrokerArgs, Header};
use processors::replay;

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
    let row = |name: &str, value: &str| println!("{name:<10} {}", one_line(value));
    row("letter", &letter.id.to_string());
    row("state", state(settled));
    row("given up", &letter.at.to_string());
    show_message(&letter, row);
    println!("\nheaders");
    for (name, value) in letter.headers.iter() {
        println!("  {name:<20} {}", one_line(value));
    }
    println!("\nwhat was seen\n  {}", one_line(letter.header(Header::Detail)));
    println!("\nwhat to do\n  {}", advice(&letter));
    if settled.is_none() {
        println!("  spillway dead-letters replay {0}    or    spillway dead-letters discard {0}", letter.id);
    }
    Ok(ExitCode::SUCCESS)
}

fn show_message(letter: &Letter, row: impl Fn(&str, &str)) {
    match replay::read(letter) {
        Ok(message) => {
            row("about", &message.about);
            row("tenant", message.job.tenant().as_str());
            row("video", &message.job.video().to_string());
            row("unit", letter.header(Header::Unit));
            row("lane", message.job.lane().as_str());
            row("options", &format!("{:?}", message.job.options));
        }
        Err(error) => {
            row("about", &format!("{} bytes that cannot be read: {:#}", letter.body.len(), anyhow::Error::from(error)))
        }
    }
}

fn advice(letter: &Letter) -> String {
    let Some(code) = letter.code() else {
        return "This version does not know the reason; see what was seen.".to_owned();
    };
    match code.blames_input() {
        true => format!("{} A replay only helps if the input is another one by then.", code.message()),
        false => code.message().to_owned(),
    }
}
