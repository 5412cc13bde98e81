//! How long a record takes to and through a stage that does nothing, when there is little to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pipeline::event::{AudioSegment, Event, Job};
use pipeline::kafka::{Batch, bare};
use pipeline::lane::Lane;
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::rates::median;
use super::relay::{FROM, Records, Relay, Running, TO};
use super::{Extent, Ground, PARTITIONS};
use crate::bench::told::percentile;

/// Between two records.
const EVERY: Duration = Duration::from_millis(10);
/// The size of a record.
const BYTES: usize = 1 << 10;
/// How many records count in a round.
const RECORDS: usize = 500;
/// How many come before them: groups are joined, connections open and caches fill.
const WARM_UP: usize = 300;
/// How often each is measured; the median counts.
const ROUNDS: usize = 5;

/// From published to read at the other side of the stage.
#[derive(Clone, Debug, Serialize)]
pub struct Latencies {
    /// Of the bare pair.
    pub bare: Latency,
    /// Of a bare pair that reads the topics of all four lanes, as a worker does.
    pub bare_lanes: Latency,
    /// Of the runner, without claims.
    pub runner: Latency,
    /// Of the runner as it is.
    pub claimed: Latency,
}

/// How one of them did: of several rounds the median.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Half are faster, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 are faster, in milliseconds.
    pub p99_ms: f64,
}

/// Measures the bare pair and the runner.
///
/// # Errors
/// When the broker is away.
pub async fn measure(ground: &Ground, extent: Extent) -> Result<Latencies> {
    let count = WARM_UP + extent.of(RECORDS, 100);
    let mut all: [Vec<Latency>; 4] = Default::default();
    // The machine's own speed changes within minutes: each is measured in each round.
    for _ in 0..extent.of(ROUNDS, 1) {
        all[0].push(of_bare(ground, "bare", &[Lane::Standard], count).await?);
        all[1].push(of_bare(ground, "bare-lanes", &Lane::ALL, count).await?);
        all[2].push(of_runner::<false>(ground, count).await?);
        all[3].push(of_runner::<true>(ground, count).await?);
    }
    let middle = |rounds: &[Latency], of: fn(&Latency) -> f64| median(rounds.iter().map(of).collect());
    let [bare, bare_lanes, runner, claimed] = all
        .map(|rounds| Latency { p50_ms: middle(&rounds, |one| one.p50_ms), p99_ms: middle(&rounds, |one| one.p99_ms) });
    Ok(Latencies { bare, bare_lanes, runner, claimed })
}

async fn of_runner<const CLAIMS: bool>(ground: &Ground, count: usize) -> Result<Latency> {
    let running = Running::start(ground, Relay::<CLAIMS>::of(count).0, 4);
    let latency = trickle(ground, count).await?;
    running.stop().await?;
    Ok(latency)
}

/// Measures a bare pair that reads `lanes`.
async fn of_bare(ground: &Ground, group: &'static str, lanes: &[Lane], count: usize) -> Result<Latency> {
    let brokers = ground.brokers.clone();
    let from: Vec<String> = lanes.iter().map(|lane| ground.name(FROM, *lane)).collect();
    let to = ground.name(TO, Lane::Standard);
    let relay = tokio::task::spawn_blocking(move || bare::relay(&brokers, group, &from, &to, PARTITIONS, count));
    let latency = trickle(ground, count).await?;
    relay.await.context("run the bare pair")??;
    Ok(latency)
}

/// Publishes a record each hundredth of a second and reads them where they come out.
async fn trickle(ground: &Ground, count: usize) -> Result<Latency> {
    let (brokers, to) = (ground.brokers.clone(), ground.name(TO, Lane::Standard));
    let tail = tokio::task::spawn_blocking(move || bare::Tail::start(&brokers, &[to], PARTITIONS));
    let tail = tail.await.context("read what comes out")??;
    let mut records = Records::new(Lane::Standard, BYTES);
    let (origin, job) = (Instant::now(), records.job.clone());
    let reading = tokio::task::spawn_blocking(move || read(&tail, &job, origin, count));

    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let batch = Batch::default();
    for _ in 0..count {
        ticks.tick().await;
        ground.producer.send(&records.next(origin.elapsed().as_micros() as i64), &batch).await?;
    }
    batch.acknowledged().await?;
    let all = reading.await.context("read what comes out")??;
    // Or whoever is measured next would have to pass on these too.
    bare::clear(&ground.brokers, &[ground.name(FROM, Lane::Standard)], PARTITIONS).await?;
    let of = |share| percentile(&all, share).context("no record counts");
    Ok(Latency { p50_ms: of(0.5)?, p99_ms: of(0.99)? })
}

/// Reads `count` records of `job` and returns how long each that counts took, in milliseconds. There may be others.
fn read(tail: &bare::Tail, job: &Job, origin: Instant, count: usize) -> Result<Vec<f64>> {
    let mut all = Vec::with_capacity(count);
    let mut left = count;
    while left > 0 {
        let (body, at) = tail.next()?;
        let segment = AudioSegment::read(&body).context("read a record")?;
        if segment.job != *job {
            continue;
        }
        left -= 1;
        if segment.index as usize > WARM_UP {
            let took_us = at.duration_since(origin).as_micros() as f64 - segment.start_us as f64;
            all.push(took_us / 1000.0);
        }
    }
    Ok(all)
}
