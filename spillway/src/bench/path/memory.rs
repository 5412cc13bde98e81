//! What a worker holds in memory while large records wait for it in every partition of every lane.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pipeline::kafka::bare;
use pipeline::lane::Lane;
use serde::Serialize;

use super::process::Process;
use super::relay::{FROM, Records};
use super::{Extent, Ground, PARTITIONS};

/// The size of a record.
const BYTES: usize = 4 << 20;
/// Records that wait in each partition.
const DEPTH: usize = 3;
/// How many the worker has in hand.
const SLOTS: u32 = 2;
/// How long the peak must stay as it is.
const STILL: Duration = Duration::from_secs(4);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest it may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the worker held.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// How many records waited.
    pub records: usize,
    /// How many it had in hand.
    pub slots: u32,
    /// With nothing to do, in MiB.
    pub idle_mib: f64,
    /// At the most, in MiB.
    pub peak_mib: f64,
}

/// Measures a worker of its own process, which never ends what it takes.
///
/// # Errors
/// When the broker is away, or the worker takes nothing.
pub async fn measure(ground: &Ground, extent: Extent) -> Result<Held> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let file = folder.path().join("claims.db").display().to_string();
    let slots = SLOTS.to_string();
    let line = ["bench-part", "member", "--holds", "--slots", &slots, "--file", &file];
    let brokers = ["--brokers", &ground.brokers.brokers];
    let mut process = Process::start(line.into_iter().chain(brokers), &folder.path().join("log"))?;
    process.ready().await?;
    settle(|| process.memory_mib()).await?;
    let idle_mib = process.memory_mib()?;
    process.forget_peak()?;

    let depth = extent.of(DEPTH, 1);
    let in_each = PARTITIONS as usize * depth;
    for lane in Lane::ALL {
        Records::new(lane, BYTES).publish(&ground.producer, in_each).await?;
    }
    settle(|| process.peak_mib()).await?;
    let peak_mib = process.peak_mib()?;
    ensure!(peak_mib > idle_mib + f64::from(SLOTS) * 4.0, "the worker took nothing: {idle_mib} and {peak_mib} MiB");
    process.send(nix::sys::signal::Signal::SIGKILL)?;
    process.gone().await?;
    let names = Lane::ALL.map(|lane| ground.name(FROM, lane));
    bare::clear(&ground.brokers, &names, PARTITIONS).await?;
    Ok(Held { records: in_each * Lane::ALL.len(), slots: SLOTS, idle_mib, peak_mib })
}

/// Waits until `value`, in MiB, has not changed by a tenth of one for a while.
async fn settle(value: impl Fn() -> Result<f64>) -> Result<()> {
    let begun = Instant::now();
    let (mut seen, mut since) = (value()?, Instant::now());
    while since.elapsed() < STILL {
        ensure!(begun.elapsed() < PATIENCE, "memory does not come to rest");
        tokio::time::sleep(LOOK_EVERY).await;
        let now = value()?;
        if (now - seen).abs() > 0.1 {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}
