//! A private Apache Kafka: one KRaft node as a child process on loopback, its data in a folder of ours.
//! It is the real broker, so there is one code path from a laptop to a cluster.

pub mod node;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::Child;
use tracing::{error, info};

use crate::runtime::{Runtime, RuntimeFile};
use crate::{child, loopback};

/// The longest a start may take; a broker killed with much log recovers for as long as 90 s.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long the broker may take to end in order.
const END_LIMIT: Duration = Duration::from_secs(15);
/// What the broker says when another one has its data folder.
const FOLDER_HELD: &str = "Failed to acquire lock";
/// The most heap, in MiB.
const HEAP_MIB: u32 = 512;

/// A running private broker.
pub struct Broker {
    child: Child,
    port: u16,
    log: PathBuf,
    jars: PathBuf,
    properties: PathBuf,
}

impl Broker {
    /// Starts a broker that keeps its data in `folder`, and waits until it serves.
    ///
    /// # Errors
    /// One line each: no Java, the jars are missing, or the broker's own last words.
    pub async fn start(runtime: &Runtime, folder: &Path) -> Result<Self> {
        Self::start_with(runtime, folder, "").await
    }

    /// Does the same with further `settings`, a line each, which count instead of its own.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_with(runtime: &Runtime, folder: &Path, settings: &str) -> Result<Self> {
        let jars = runtime.locate(RuntimeFile::Kafka)?;
        let folder = &std::path::absolute(folder)?;
        let data = folder.join("data");
        node::prepare(&jars, &data).with_context(|| format!("prepare the broker's folder {}", folder.display()))?;
        let (port, controller_port) = free_ports().context("find free ports")?;
        let properties = folder.join("server.properties");
        fs::write(&properties, node::settings(&data, port, controller_port) + settings)?;
        fs::write(folder.join("log4j2.xml"), node::LOG_CONFIG)?;
        let log = folder.join("server.log");
        let child = launch(&jars, &properties, &log)?;
        let mut broker = Self { child, port, log, jars, properties };
        let deadline = tokio::time::Instant::now() + END_LIMIT;
        while let Err(error) = broker.wait_until_started().await {
            // The broker of a parent that was killed ends by itself, in order, and holds the folder until then.
            if !error.to_string().contains(FOLDER_HELD) || tokio::time::Instant::now() >= deadline {
                return Err(error);
            }
            broker.child = launch(&broker.jars, &broker.properties, &broker.log)?;
        }
        Ok(broker)
    }

    /// Returns its address for clients, `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts the broker again, at the same address, whenever it dies. Runs until it is dropped.
    ///
    /// # Errors
    /// When it cannot be started again.
    pub async fn keep(&mut self) -> Result<()> {
        loop {
            let status = self.child.wait().await.context("wait for Kafka")?;
            error!(%status, last_words = self.last_words(), "broker died; starting it again");
            self.child = launch(&self.jars, &self.properties, &self.log)?;
            self.wait_until_started().await?;
            info!("broker is back");
        }
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn stop(mut self) -> Result<()> {
        child::end(&mut self.child, END_LIMIT).await.map(drop)
    }

    async fn wait_until_started(&mut self) -> Result<()> {
        let started = tokio::time::Instant::now();
        loop {
            if fs::read_to_string(&self.log).unwrap_or_default().contains(node::STARTED) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().context("wait for Kafka")? {
                bail!("Kafka ended while starting ({status}): {}", self.last_words());
            }
            if started.elapsed() > START_LIMIT {
                bail!("Kafka did not start within {START_LIMIT:?}; see {}", self.log.display());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Returns the last line of the log that tells of an error, else the last line.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let telling = log.lines().rfind(|l| l.contains("ERROR") || l.contains("FATAL") || l.contains("Exception"));
        let line = telling.or_else(|| log.lines().next_back()).unwrap_or("it said nothing");
        format!("{line} (log: {})", self.log.display())
    }
}

/// Starts the broker's process; its log is written anew.
fn launch(jars: &Path, properties: &Path, log: &Path) -> Result<Child> {
    let output = fs::File::create(log)?;
    let mut command = node::command(jars, properties, HEAP_MIB);
    command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
    let child = child::spawn(&mut command, Signal::SIGTERM);
    child.context("start Kafka: is Java 17 or later installed? (apt-get install default-jre-headless)")
}

/// Finds two free ports. Another process may take one before the broker does; the broker then says so and ends.
fn free_ports() -> std::io::Result<(u16, u16)> {
    let first = loopback::free_address()?;
    let _held = TcpListener::bind(first)?;
    Ok((first.port(), loopback::free_address()?.port()))
}
