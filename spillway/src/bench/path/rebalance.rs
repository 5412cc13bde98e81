//! How long the partitions of a member that goes are served by nobody.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use pipeline::event::{AudioSegment, Event};
use pipeline::kafka::bare;
use pipeline::lane::Lane;
use serde::Serialize;

use super::process::Process;
use super::rates::median;
use super::relay::{Records, Relay, Running, TO};
use super::{Extent, Ground, PARTITIONS};

/// After this long without a heartbeat the private broker counts a member as dead.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
/// How often the two members are asked whether both have partitions.
const TRIES: usize = 50;

/// How often each is measured; the median counts.
const ROUNDS: usize = 3;

/// From the signal until a record of each partition has passed the member that is left: of several rounds the median.
#[derive(Clone, Debug, Serialize)]
pub struct Rebalances {
    /// The member was killed, in seconds.
    pub dead_s: f64,
    /// It was told to stop, in seconds.
    pub left_s: f64,
}

/// Measures both.
///
/// # Errors
/// When the broker is away, or the members do not share the partitions.
pub async fn measure(ground: &Ground, extent: Extent) -> Result<Rebalances> {
    let (mut dead_s, mut left_s) = (Vec::new(), Vec::new());
    for _ in 0..extent.of(ROUNDS, 1) {
        dead_s.push(after(ground, Signal::SIGKILL).await?);
        left_s.push(after(ground, Signal::SIGTERM).await?);
    }
    Ok(Rebalances { dead_s: median(dead_s), left_s: median(left_s) })
}

/// Lets one of two members go by `signal`.
async fn after(ground: &Ground, signal: Signal) -> Result<f64> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let file = folder.path().join("claims.db").display().to_string();
    let line = ["bench-part", "member", "--slots", "64", "--file", &file, "--brokers", &ground.brokers.brokers];
    let mut goes = Process::start(line, &folder.path().join("log"))?;
    goes.ready().await?;
    let (stage, seen) = Relay::<false>::of(0);
    let stays = Running::start(ground, stage, 64);
    stays.joined().await?;

    let (brokers, to) = (ground.brokers.clone(), Lane::ALL.map(|lane| ground.name(TO, lane)));
    let tail = tokio::task::spawn_blocking(move || bare::Tail::start(&brokers, &to, PARTITIONS));
    let mut tail = tail.await.context("read what comes out")??;
    let each = PARTITIONS as usize * Lane::ALL.len();
    // Until both have their share: a record goes to each partition, and about half of them must pass either.
    for tries in 1.. {
        let before = seen.passed();
        (tail, _) = round(ground, tail, each).await?;
        let mine = seen.passed() - before;
        if (each / 3..=each * 2 / 3).contains(&mine) {
            break;
        }
        ensure!(tries < TRIES, "one member passes {mine} of {each}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let begun = Instant::now();
    goes.send(signal)?;
    let (_, last) = round(ground, tail, each).await?;
    let took_s = last.duration_since(begun).as_secs_f64();
    goes.gone().await?;
    stays.stop().await?;
    Ok(took_s)
}

/// Publishes a record to each partition of each lane and waits until all came out; returns when the last one did.
async fn round(ground: &Ground, tail: bare::Tail, each: usize) -> Result<(bare::Tail, Instant)> {
    let mut jobs = Vec::new();
    for lane in Lane::ALL {
        let mut records = Records::new(lane, 1 << 10);
        jobs.push(records.job.clone());
        records.publish(&ground.producer, PARTITIONS as usize).await?;
    }
    let read = move || -> Result<(bare::Tail, Instant)> {
        let (mut left, mut last) = (each, Instant::now());
        while left > 0 {
            let (body, at) = tail.next()?;
            // What others left comes out too.
            if jobs.contains(&AudioSegment::read(&body).context("read a record")?.job) {
                (left, last) = (left - 1, at);
            }
        }
        Ok((tail, last))
    };
    tokio::task::spawn_blocking(read).await.context("read what comes out")?
}
