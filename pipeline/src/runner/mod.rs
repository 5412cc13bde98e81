//! Runs a stage: takes records from Kafka in the order of their lanes, sees each through to its acknowledgement,
//! and tells what it does. Its rules are the invariants of `ARCHITECTURE.md`.
//!
//! In the order of a record's way: whose turn it is (`lanes`), room to work (`slots`), what shares its task
//! (`handful`), whether dependencies answer (`breaker`), what it is (`input`) and becomes (`unit`, `attempt`, `keep`), and
//! how it is given up (`letters`). `gather` is the other way to take records, `report` says what goes on, `orders` hears what
//! a worker is told, `drain` ends it.

mod args;
mod attempt;
mod breaker;
mod drain;
mod gather;
mod handful;
mod input;
mod keep;
mod lanes;
mod letters;
mod orders;
mod report;
mod slots;
mod unit;
mod unwanted;

pub use args::RunnerArgs;
pub use breaker::{Breaker, Pass};
pub use lanes::Turns;
pub use report::Readiness;
pub use slots::Sizing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::event::Event;
use crate::kafka::{BrokerArgs, Consumer, Feeds, Producer, topics};
use crate::stage::{Kind, Stage};
use crate::store::SharedStore;
use handful::Handful;
use lanes::Heads;
use report::{Activity, Reporter, lanes_of};
use slots::Slots;
use unwanted::Unwanted;

/// How long acknowledgements of the last records may take.
const FLUSH: Duration = Duration::from_secs(5);

/// What a worker is given.
#[derive(Clone)]
pub struct Worker {
    /// How inputs are treated.
    pub args: RunnerArgs,
    /// Where Kafka is.
    pub brokers: BrokerArgs,
    /// Where claims are kept.
    pub store: SharedStore,
    /// Tells others whether the worker can work.
    pub readiness: Readiness,
    /// Whether its slots change.
    pub sizing: Sizing,
}

/// What every unit of a worker needs.
struct Shop<S> {
    stage: S,
    worker: String,
    args: RunnerArgs,
    store: SharedStore,
    producer: Producer,
    breaker: Arc<Breaker>,
    slots: Arc<Slots>,
    unwanted: Unwanted,
    activity: Arc<Activity>,
    /// Cancelled when no more work is to be taken.
    stop: CancellationToken,
    /// Cancelled when work in hand must end.
    cutoff: CancellationToken,
}

/// Runs `stage` until `stop`: then takes no more, finishes what is in hand within the grace period, hands the rest
/// back, and leaves the group. One that is let go ([`Sizing::let_go`]) does the same, in its own time; `stop` is cancelled
/// once it has ended.
///
/// # Errors
/// When the broker cannot be reached at the start, the topics do not fit, a client cannot go on, or work crashed.
pub async fn run<S: Stage>(stage: S, worker: Worker, stop: CancellationToken) -> Result<()> {
    let Worker { args, brokers, store, readiness, sizing } = worker;
    topics::check(&brokers).await?;
    let producer = Producer::connect(&brokers).await?;
    let names = brokers.topic_names(S::In::TOPIC);
    let feeds = match S::KIND {
        Kind::Work => Feeds::Topics(names),
        Kind::Gather => Feeds::Partitions(names.into_iter().next().context("a gathering stage reads one topic")?),
    };
    let consumer = Arc::new(Consumer::join(&brokers, &brokers.group(S::NAME), feeds)?);
    let breaker = Arc::new(Breaker::new(args.backoff, args.backoff_max));
    readiness.start(&consumer, &producer, &breaker);
    let shop = Arc::new(Shop {
        stage,
        worker: format!("{}-{}", S::NAME, uuid::Uuid::new_v4().simple()),
        slots: Arc::new(Slots::new(args.slots, sizing.startup, args.parked_mib)),
        unwanted: Unwanted::new(store.clone()),
        activity: Arc::default(),
        stop: stop.child_token(),
        cutoff: CancellationToken::new(),
        args,
        store,
        producer,
        breaker,
    });
    info!(stage = %S::NAME, worker = shop.worker, slots = shop.args.slots, "worker started");
    let reporter = Arc::new(Reporter::new(&shop, &consumer, lanes_of(&brokers, S::In::TOPIC)));
    let mut services = serve(&shop, &consumer, &reporter, sizing);
    services.spawn(orders::heed(brokers, shop.worker.clone(), stop.clone()));
    let mut tasks = JoinSet::new();
    let taken = async {
        match S::KIND {
            Kind::Work => take(&shop, &consumer, &mut tasks).await,
            Kind::Gather => gather::take(&shop, &consumer, &mut tasks).await,
        }
    };
    let mut outcome = tokio::select! {
        taken = taken => taken,
        Some(ended) = services.join_next() => ended.map_err(crashed).and_then(|ended| ended),
    };
    if outcome.is_ok() {
        outcome = drain::unhurried(&shop, &consumer, &mut tasks, &stop).await;
    }
    stop.cancel();
    let outcome = outcome.and(drain::hurried(&shop, &consumer, tasks).await);
    services.shutdown().await;
    if timeout(FLUSH, reporter.last_word()).await.is_err() {
        debug!("the last report is not sent");
    }
    drop(reporter);
    match Arc::into_inner(consumer) {
        Some(consumer) => consumer.close().await,
        None => warn!("work was left behind: its partitions are free when the group's session ends"),
    }
    // Units have waited for their own acknowledgements: what is left are reports.
    if let Err(error) = shop.producer.flush(FLUSH).await {
        warn!(error = format!("{error:#}"), "the last reports are not acknowledged");
    }
    outcome
}

/// Starts what goes on beside the work: events of the group, positions, the balance of lanes, brokers that were forgotten,
/// reports, changes of size, and that the worker is let go.
fn serve<S: Stage>(
    shop: &Arc<Shop<S>>,
    consumer: &Arc<Consumer>,
    reporter: &Arc<Reporter>,
    sizing: Sizing,
) -> JoinSet<Result<()>> {
    let (events, positions) = (consumer.events(), consumer.positions());
    let (balance, reminders) = (consumer.balance(), consumer.reminders());
    let mut services = JoinSet::new();
    services.spawn(events);
    services.spawn(async move {
        balance.await;
        Ok(())
    });
    services.spawn(async move {
        reminders.await;
        Ok(())
    });
    services.spawn(async move {
        positions.await;
        Ok(())
    });
    let reporter = reporter.clone();
    services.spawn(async move { reporter.run().await });
    let (let_go, stop) = (sizing.let_go.clone(), shop.stop.clone());
    services.spawn(async move {
        let_go.cancelled().await;
        stop.cancel();
        std::future::pending().await
    });
    let slots = shop.slots.clone();
    services.spawn(async move {
        slots.resize(sizing).await;
        Ok(())
    });
    services
}

/// Takes work until told to stop; what is in hand then goes on in `tasks`.
async fn take<S: Stage>(shop: &Arc<Shop<S>>, consumer: &Arc<Consumer>, tasks: &mut JoinSet<()>) -> Result<()> {
    let mut heads = Heads::new(consumer.clone(), shop.activity.clone(), &shop.args);
    loop {
        while let Some(ended) = tasks.try_join_next() {
            ended.map_err(crashed)?;
        }
        if shop.stop.is_cancelled() {
            return Ok(());
        }
        // A slot is only asked for when there is work: a unit that must be alone needs them all.
        let slot = async {
            shop.breaker.ready().await;
            heads.ready().await;
            shop.slots.one().await
        };
        // While work is there nothing else is listened to: listening costs more than looking.
        let slot = tokio::select! {
            biased;
            slot = slot => slot,
            () = shop.stop.cancelled() => return Ok(()),
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                ended.map_err(crashed)?;
                continue;
            }
        };
        if let Some(units) = Handful::take(shop, &mut heads, slot) {
            tasks.spawn(units.handle(shop.clone()));
        }
    }
}

/// Says that a task panicked.
fn crashed(error: JoinError) -> anyhow::Error {
    anyhow!(error).context("work crashed")
}
