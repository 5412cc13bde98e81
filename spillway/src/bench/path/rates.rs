//! Records a second through a stage that does nothing, beside a bare consumer and producer.

use anyhow::{Context, Result};
use pipeline::control::MAX_SLOTS;
use pipeline::kafka::bare;
use pipeline::lane::Lane;
use serde::Serialize;

use super::relay::{FROM, Records, TO, pass};
use super::{Extent, Ground, PARTITIONS};

/// Sizes of records, how many of them, and how many are in hand at once; of small ones as many as may be.
const SIZES: [(usize, usize, u32); 3] = [(1 << 10, 100_000, MAX_SLOTS), (1 << 20, 256, 32), (4 << 20, 96, 12)];
/// How many are in hand at most with claims, which wait for the store rather than for batches to fill.
const MOST_CLAIMED: u32 = 1024;
/// How often each is measured; the median counts.
const ROUNDS: usize = 5;

/// Rates of records of one size, in records a second: the median of several rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// The size of a record.
    pub bytes: usize,
    /// How many there were in a round.
    pub records: usize,
    /// How many the runner had in hand at once.
    pub slots: u32,
    /// Through the bare pair.
    pub bare: f64,
    /// Through the runner, without claims.
    pub runner: f64,
    /// Through the runner as it is, with claims and each unit told as done.
    pub claimed: f64,
}

/// Measures all sizes.
///
/// # Errors
/// When the broker is away.
pub async fn measure(ground: &Ground, extent: Extent) -> Result<Vec<Rates>> {
    let mut all = Vec::new();
    for (bytes, records, slots) in SIZES {
        eprintln!("bench: records of {} KiB", bytes >> 10);
        all.push(of_size(ground, bytes, extent.of(records, 24), slots, extent.of(ROUNDS, 1)).await?);
    }
    Ok(all)
}

async fn of_size(ground: &Ground, bytes: usize, records: usize, slots: u32, rounds: usize) -> Result<Rates> {
    let lane = Lane::Standard;
    let (from, to) = (ground.name(FROM, lane), ground.name(TO, lane));
    let (mut bare, mut runner, mut claimed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        Records::new(lane, bytes).publish(&ground.producer, records).await?;
        // Each is first by turns: whoever reads first finds the broker busy with what was published.
        for turn in 0..3 {
            let (rates, took) = match (round + turn) % 3 {
                0 => {
                    let (brokers, from, to) = (ground.brokers.clone(), [from.clone()], to.clone());
                    let relay = move || bare::relay(&brokers, "bare", &from, &to, PARTITIONS, records);
                    (&mut bare, tokio::task::spawn_blocking(relay).await.context("run the bare pair")??)
                }
                1 => (&mut runner, pass::<false>(ground, records, slots).await?),
                _ => (&mut claimed, pass::<true>(ground, records, slots.min(MOST_CLAIMED)).await?),
            };
            rates.push(records as f64 / took.as_secs_f64());
        }
        bare::clear(&ground.brokers, &[from.clone(), to.clone()], PARTITIONS).await?;
    }
    let [bare, runner, claimed] = [bare, runner, claimed].map(median);
    Ok(Rates { bytes, records, slots, bare, runner, claimed })
}

/// Returns the middle of `values`.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
