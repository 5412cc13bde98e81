//! Uploads through ingest, beside a bare server that writes the same bytes; and how much memory many at once take.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use pipeline::loopback;
use reqwest::Client;
use serde::Serialize;
use tokio::task::JoinSet;

use super::process::Process;
use super::{Extent, Ground};

/// The size of an upload when the rate is measured.
const BYTES: usize = 64 << 20;
/// How many of them, and how many at once.
const UPLOADS: (usize, usize) = (16, 4);
/// How often each server is measured; the median counts.
const ROUNDS: usize = 3;
/// The size of an upload when memory is measured.
const CROWD_BYTES: usize = 20 << 20;
/// How many of them at once.
const CROWD: usize = 200;
/// How long ingest may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What was measured of uploads.
#[derive(Clone, Debug, Serialize)]
pub struct Uploads {
    /// What a bare server takes, in MiB a second.
    pub bare_mib_s: f64,
    /// What ingest takes, in MiB a second.
    pub ingest_mib_s: f64,
    /// How many came at once when memory was measured.
    pub crowd: usize,
    /// Ingest's memory before, in MiB.
    pub idle_mib: f64,
    /// Its memory at the most, in MiB.
    pub peak_mib: f64,
    /// From the first of them sent to the last one answered, in seconds.
    pub crowd_s: f64,
}

/// Measures both servers, with their files below `folder`.
///
/// # Errors
/// When a server cannot be started or refuses an upload.
pub async fn measure(ground: &Ground, folder: &Path, extent: Extent) -> Result<Uploads> {
    std::fs::create_dir_all(folder).context("make a folder for uploads")?;
    let client = Client::builder().no_proxy().build().context("make an HTTP client")?;
    let body = Bytes::from(vec![0x5a; if extent == Extent::Whole { BYTES } else { BYTES / 8 }]);
    let (mut bare, mut ingest) = (Vec::new(), Vec::new());
    for round in 0..extent.of(ROUNDS, 1) {
        let folder = folder.join(round.to_string());
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let server = Server::bare(&folder.join("bare")).await?;
                bare.push(server.rate(&client, &body).await?);
                server.process.stop().await?;
            } else {
                let server = Server::ingest(ground, &folder.join("ingest"), &client).await?;
                ingest.push(server.rate(&client, &body).await?);
                server.process.stop().await?;
            }
            // Gigabytes that nobody needs any more.
            std::fs::remove_dir_all(&folder).context("remove the uploads")?;
        }
    }
    let server = Server::ingest(ground, &folder.join("crowd"), &client).await?;
    let idle_mib = server.process.memory_mib()?;
    server.process.forget_peak()?;
    let crowd = extent.of(CROWD, 20);
    let crowd_s = server.send(&client, &Bytes::from(vec![0x5a; CROWD_BYTES]), crowd, crowd).await?.as_secs_f64();
    let peak_mib = server.process.peak_mib()?;
    server.process.stop().await?;
    let [bare_mib_s, ingest_mib_s] = [bare, ingest].map(super::rates::median);
    Ok(Uploads { bare_mib_s, ingest_mib_s, crowd, idle_mib, peak_mib, crowd_s })
}

/// A server that takes uploads.
struct Server {
    process: Process,
    url: String,
}

impl Server {
    async fn bare(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).context("make a folder for uploads")?;
        let address = loopback::free_address()?.to_string();
        let (files, log) = (folder.join("files").display().to_string(), folder.join("log"));
        let line = ["bench-part", "uploads", "--listen", &address, "--folder", &files];
        let mut process = Process::start(line, &log)?;
        process.ready().await?;
        Ok(Self { process, url: format!("http://{address}/") })
    }

    async fn ingest(ground: &Ground, folder: &Path, client: &Client) -> Result<Self> {
        std::fs::create_dir_all(folder).context("make a folder for uploads")?;
        let address = loopback::free_address()?.to_string();
        let store = format!("sqlite:{}", folder.join("store.db").display());
        let (blobs, log) = (folder.join("blobs").display().to_string(), folder.join("log"));
        let brokers = &ground.brokers.brokers;
        let line = ["ingest", "--listen", &address, "--brokers", brokers, "--store", &store, "--blobs", &blobs];
        let process = Process::start(line, &log)?;
        let begun = Instant::now();
        let ready = format!("http://{address}/readyz");
        while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if begun.elapsed() > READY_LIMIT {
                bail!("ingest is not ready: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { process, url: format!("http://{address}/v1/videos") })
    }

    /// Returns how much it takes, in MiB a second.
    async fn rate(&self, client: &Client, body: &Bytes) -> Result<f64> {
        let (count, at_once) = UPLOADS;
        // One opens what is opened once.
        self.send(client, &body.slice(..body.len() / 8), 1, 1).await?;
        let took = self.send(client, body, count, at_once).await?;
        Ok((count * body.len()) as f64 / f64::from(1 << 20) / took.as_secs_f64())
    }

    /// Sends `body` `count` times, `at_once` at a time; returns how long that took.
    async fn send(&self, client: &Client, body: &Bytes, count: usize, at_once: usize) -> Result<Duration> {
        let begun = Instant::now();
        let mut sending = JoinSet::new();
        for number in 0..count {
            if number >= at_once {
                answered(&mut sending).await?;
            }
            let request = client.post(&self.url).header("content-type", "application/octet-stream");
            let request = request.body(body.clone());
            sending.spawn(async move { Ok(request.send().await?.status()) });
        }
        while !sending.is_empty() {
            answered(&mut sending).await?;
        }
        Ok(begun.elapsed())
    }
}

async fn answered(sending: &mut JoinSet<reqwest::Result<reqwest::StatusCode>>) -> Result<()> {
    let Some(answer) = sending.join_next().await else { return Ok(()) };
    let status = answer.context("send an upload")?.context("send an upload")?;
    ensure!(status.is_success(), "an upload was answered with {status}");
    Ok(())
}
