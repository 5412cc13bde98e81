//! `spillway dead-letters replay` and `discard`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use pipeline::dead_letter::{Letter, Outcome, Selection, discard_all, replay_all};
use pipeline::kafka::{BrokerArgs, Header, Producer};
use pipeline::store::{self, StoreArgs};
use tokio::sync::mpsc;

use super::select::SelectionArgs;

/// What `spillway dead-letters replay` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// How many units are sent to work a second at the most.
    #[arg(long, value_name = "COUNT", default_value_t = 5.0, value_parser = rate)]
    rate: f64,
    /// Only say which ones would be replayed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What `spillway dead-letters discard` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct DiscardArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Only say which ones would be discarded.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// Replays letters. Exits with 0 when all that are meant are settled, else with 1.
///
/// # Errors
/// When there is no such letter, or broker or store cannot be reached.
pub async fn run(args: ReplayArgs) -> Result<ExitCode> {
    let (selection, brokers) = (args.selection.selection()?, &args.brokers);
    if args.dry_run {
        return only_say(&selection, brokers, "would be replayed").await;
    }
    let (producer, store) = (Producer::connect(brokers).await?, store::open(&args.store).await?);
    let mut tally = Tally::default();
    let tell = |letter: &Letter, outcome: &Outcome| match outcome {
        Outcome::Replayed => tally.tell(letter, "replayed", ""),
        Outcome::Unneeded(why) => tally.tell(letter, "not needed", why),
        Outcome::Refused(why) => tally.tell(letter, REFUSED, why),
    };
    replay_all(brokers, &producer, &store, &selection, args.rate, tell).await?;
    Ok(tally.end())
}

/// Discards letters. Exits with 0 when all that are meant are settled.
///
/// # Errors
/// When there is no such letter, or the broker cannot be reached.
pub async fn discard(args: DiscardArgs) -> Result<ExitCode> {
    let (selection, brokers) = (args.selection.selection()?, &args.brokers);
    if args.dry_run {
        return only_say(&selection, brokers, "would be discarded").await;
    }
    let producer = Producer::connect(brokers).await?;
    let mut tally = Tally::default();
    discard_all(brokers, &producer, &selection, |letter| tally.tell(letter, "discarded", "")).await?;
    Ok(tally.end())
}

/// Says `word` of each letter that is meant, and does nothing.
async fn only_say(selection: &Selection, brokers: &BrokerArgs, word: &'static str) -> Result<ExitCode> {
    let (give, mut letters) = mpsc::channel(1);
    let mut tally = Tally::default();
    let saying = async {
        while let Some(letter) = letters.recv().await {
            tally.tell(&letter, word, "");
        }
        Ok(())
    };
    tokio::try_join!(selection.each(brokers, give), saying)?;
    Ok(tally.end())
}

/// What nothing more is done for.
const REFUSED: &str = "not replayed";

/// What letters came to, told one by one and counted.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn tell(&mut self, letter: &Letter, word: &'static str, why: &str) {
        *self.counts.entry(word).or_default() += 1;
        let (id, unit, video) = (letter.id, letter.header(Header::Unit), letter.header(Header::Video));
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        println!("{id}  {video}  {unit}  {word}{why}");
    }

    fn end(self) -> ExitCode {
        if self.counts.is_empty() {
            eprintln!("no open dead letter fits");
            return ExitCode::FAILURE;
        }
        let summary: Vec<String> = self.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
        println!("{}", summary.join(", "));
        if self.counts.contains_key(REFUSED) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 1000".to_owned()) }
}
