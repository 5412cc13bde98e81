//! The path of a record through the machinery, and of bytes through ingest, each beside the least that can do the same:
//! on one private broker, in one run.

mod latency;
mod memory;
pub mod part;
mod process;
mod rates;
mod rebalance;
mod relay;
mod rows;
mod uploads;

use std::path::Path;

use anyhow::{Context, Result};
use pipeline::broker::Broker;
use pipeline::kafka::{BrokerArgs, Producer, topics};
use pipeline::lane::Lane;
use pipeline::runtime::Runtime;
use pipeline::store::{self, SharedStore, StoreArgs, StoreLocation};
use pipeline::topic::Topic;
use serde::Serialize;

pub use rows::add;

use latency::Latencies;
use memory::Held;
use rates::Rates;
use rebalance::Rebalances;
use uploads::Uploads;

/// Partitions of every topic.
const PARTITIONS: i32 = 24;

/// How often members are heard, as the Compose files set it: what a member hears of its partitions comes with that. On an
/// idle laptop it would cost too much, so the broker of `dev` has its own.
const HEARTBEATS: &str = "group.consumer.heartbeat.interval.ms=500\n";

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Paths {
    /// What keeps the claims.
    claims_in: &'static str,
    /// Records a second, by their size.
    rates: Vec<Rates>,
    latencies: Latencies,
    held: Held,
    rebalances: Rebalances,
    uploads: Uploads,
}

/// How much of it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Enough for numbers that mean something.
    Whole,
    /// Just enough to see that all of it works.
    Brief,
}

impl Extent {
    /// Returns `whole`, or a tenth of it but at least `least`.
    fn of(self, whole: usize, least: usize) -> usize {
        if self == Self::Whole { whole } else { (whole / 10).max(least) }
    }
}

/// What all measurements stand on.
pub struct Ground {
    brokers: BrokerArgs,
    producer: Producer,
    store: SharedStore,
}

impl Ground {
    /// Returns the full name of a topic.
    fn name(&self, topic: Topic, lane: Lane) -> String {
        self.brokers.topic_name(topic, lane)
    }
}

/// Measures all, with data below `folder`; claims are kept there too, unless there is a store for them.
///
/// # Errors
/// When something could not be measured; numbers that fall short are none.
pub async fn measure(
    folder: &Path,
    runtime: &Runtime,
    claims_store: Option<StoreLocation>,
    extent: Extent,
) -> Result<Paths> {
    std::fs::create_dir_all(folder).context("make a folder for the paths")?;
    let broker = Broker::start_with(runtime, &folder.join("broker"), HEARTBEATS).await?;
    let brokers = BrokerArgs::new(broker.address());
    topics::ensure(&brokers, topics::Shape::with_partitions(PARTITIONS)).await?;
    let producer = Producer::connect(&brokers).await?;
    let location = claims_store.unwrap_or_else(|| StoreLocation::Sqlite(folder.join("claims.db")));
    let claims_in = match location {
        StoreLocation::Sqlite(_) => "SQLite",
        StoreLocation::Cql(_) => "CQL",
    };
    let store = store::open(&StoreArgs { store_replication: 1, ..StoreArgs::at(location) }).await?;
    let ground = Ground { brokers, producer, store };

    let rates = rates::measure(&ground, extent).await?;
    eprintln!("bench: the latency of a hop");
    let latencies = latency::measure(&ground, extent).await?;
    eprintln!("bench: the memory of a worker with records waiting");
    let held = memory::measure(&ground, extent).await?;
    eprintln!("bench: rebalances");
    let rebalances = rebalance::measure(&ground, extent).await?;
    eprintln!("bench: uploads");
    let uploads = uploads::measure(&ground, &folder.join("uploads"), extent).await?;
    drop(ground);
    broker.stop().await?;
    Ok(Paths { claims_in, rates, latencies, held, rebalances, uploads })
}
