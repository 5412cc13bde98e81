//! `spillway dead-letters replay` and `discard`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use pipeline::dead_letter::{self, Letter, Outcome, Settled};
use pipeline::kafka::{BrokerArgs, Header, Producer};
use pipeline::store::{self, SharedStore, StoreArgs};
use processors::replay;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use super::select::Selection;

/// What `spillway dead-letters replay` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ReplayArgs {
    #[command(flatten)]
    selection: Selection,
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
    selection: Selection,
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
    let connected = match args.dry_run {
        true => None,
        false => Some((Producer::connect(&args.brokers).await?, store::open(&args.store).await?)),
    };
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / args.rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let act = async |letter: &Letter| match &connected {
        None => Ok(("would be replayed", String::new())),
        Some((producer, store)) => replay_one(producer, store, letter).await,
    };
    each(&args.selection, &args.brokers, Some(pace), act).await
}

/// Discards letters. Exits with 0 when all that are meant are settled.
///
/// # Errors
/// When there is no such letter, or the broker cannot be reached.
pub async fn discard(args: DiscardArgs) -> Result<ExitCode> {
    let producer = match args.dry_run {
        true => None,
        false => Some(Producer::connect(&args.brokers).await?),
    };
    let act = async |letter: &Letter| match &producer {
        None => Ok(("would be discarded", String::new())),
        Some(producer) => {
            dead_letter::settle(producer, letter.id, Settled::Discarded).await?;
            Ok(("discarded", String::new()))
        }
    };
    each(&args.selection, &args.brokers, None, act).await
}

/// What nothing more is done for.
const REFUSED: &str = "not replayed";

async fn replay_one(producer: &Producer, store: &SharedStore, letter: &Letter) -> Result<(&'static str, String)> {
    let openings = match replay::openings(letter) {
        Ok(openings) => openings,
        // Nobody could tell whose it is when it was given up, so nobody waits for it.
        Err(_) if letter.video().is_none() => Vec::new(),
        Err(error) => return Ok((REFUSED, format!("{:#}", anyhow!(error)))),
    };
    let outcome = dead_letter::replay(producer, store, letter, openings).await;
    Ok(match outcome.with_context(|| format!("replay {}", letter.id))? {
        Outcome::Replayed => ("replayed", String::new()),
        Outcome::Unneeded(why) => ("not needed", why.to_owned()),
        Outcome::Refused(why) => (REFUSED, why),
    })
}

/// Does `act` with every letter that is meant, and says so; counts at the end.
async fn each(
    selection: &Selection,
    brokers: &BrokerArgs,
    mut pace: Option<Interval>,
    act: impl AsyncFn(&Letter) -> Result<(&'static str, String)>,
) -> Result<ExitCode> {
    let (give, mut letters) = mpsc::channel(1);
    let acting = async {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        while let Some(letter) = letters.recv().await {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let (word, why) = act(&letter).await?;
            *counts.entry(word).or_default() += 1;
            let (id, unit, video) = (letter.id, letter.header(Header::Unit), letter.header(Header::Video));
            let why = if why.is_empty() { why } else { format!(": {why}") };
            println!("{id}  {video}  {unit}  {word}{why}");
        }
        Ok::<_, anyhow::Error>(counts)
    };
    let ((), counts) = tokio::try_join!(selection.each(brokers, give), acting)?;
    if counts.is_empty() {
        eprintln!("no open dead letter fits");
        return Ok(ExitCode::FAILURE);
    }
    let summary: Vec<String> = counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    println!("{}", summary.join(", "));
    Ok(if counts.contains_key(REFUSED) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=1000.0).contains(&rate) { Ok(rate) } else { Err("must be from 0.01 to 1000".to_owned()) }
}
