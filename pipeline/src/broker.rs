//! A private Apache Kafka: one KRaft node as a child process on loopback, its data in a folder of ours.
//! It is the real broker, so there is one code path from a laptop to a cluster.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tracing::{error, info};

use crate::runtime::{Runtime, RuntimeFile};
use crate::topic::MAX_RECORD_BYTES;
use crate::{child, loopback};

/// The longest a start may take; a broker killed with much log recovers for as long as 90 s.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long the broker may take to end in order.
const END_LIMIT: Duration = Duration::from_secs(15);
/// What the broker says when another one has its data folder.
const FOLDER_HELD: &str = "Failed to acquire lock";
/// What the broker logs once it serves.
const STARTED: &str = "Kafka Server started";

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
        let jars = runtime.locate(RuntimeFile::Kafka)?;
        let data = folder.join("data");
        prepare(&jars, &data).with_context(|| format!("prepare the broker's folder {}", folder.display()))?;
        let (port, controller_port) = free_ports().context("find free ports")?;
        let properties = folder.join("server.properties");
        fs::write(&properties, server_properties(&data, port, controller_port))?;
        fs::write(folder.join("log4j2.xml"), LOG_CONFIG)?;
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
            if fs::read_to_string(&self.log).unwrap_or_default().contains(STARTED) {
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
    let mut command = Command::new("java");
    command.arg(format!("-Dlog4j2.configurationFile={}", properties.with_file_name("log4j2.xml").display()));
    command.args(["-Xms64m", "-Xmx512m", "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC"]);
    // The first compiler alone starts twice as fast, and this broker is never the bottleneck.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto"]);
    let archive = jars.join("server.jsa");
    if archive.exists() {
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.arg("-cp").arg(jars.join("*")).arg("kafka.Kafka").arg(properties);
    command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
    let child = child::spawn(&mut command, Signal::SIGTERM);
    child.context("start Kafka: is Java 17 or later installed? (apt-get install default-jre-headless)")
}

/// Copies the formatted storage into a new data folder.
fn prepare(jars: &Path, data: &Path) -> Result<()> {
    if data.join("meta.properties").exists() {
        return Ok(());
    }
    let template = jars.with_file_name("kafka-storage");
    let metadata = "__cluster_metadata-0";
    fs::create_dir_all(data.join(metadata))?;
    let formatted = fs::read_dir(template.join(metadata));
    for file in formatted.context("the formatted storage is missing; run `make setup` in the source folder")? {
        let file = file?;
        fs::copy(file.path(), data.join(metadata).join(file.file_name()))?;
    }
    // Last, because its presence says that the folder is complete.
    fs::copy(template.join("meta.properties"), data.join("meta.properties"))?;
    Ok(())
}

/// Finds two free ports. Another process may take one before the broker does; the broker then says so and ends.
fn free_ports() -> std::io::Result<(u16, u16)> {
    let first = loopback::free_address()?;
    let _held = TcpListener::bind(first)?;
    Ok((first.port(), loopback::free_address()?.port()))
}

fn server_properties(data: &Path, port: u16, controller_port: u16) -> String {
    let data = data.display();
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
message.max.bytes={MAX_RECORD_BYTES}
replica.fetch.max.bytes={MAX_RECORD_BYTES}
group.initial.rebalance.delay.ms=0
# A worker that died is noticed within seconds. With a heartbeat a worker hears what partitions it has.
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=1000
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=500
# A broker that comes back waits until its own old session ends.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
# Nobody else follows this controller's log: what keeps followers fresh would only cost an idle machine.
metadata.max.idle.interval.ms=0
num.network.threads=2
num.io.threads=4
# Little log means a fast recovery after a kill.
log.segment.bytes=67108864
log.retention.check.interval.ms=60000
log.cleaner.dedupe.buffer.size=16777216
"
    )
}

const LOG_CONFIG: &str = r#"<Configuration status="warn"><Appenders><Console name="c"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n%throwable"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root><Logger name="kafka.server.KafkaRaftServer" level="info"/></Loggers></Configuration>
"#;
