//! How one node of Kafka is run: its storage, its settings, its command.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::topic::MAX_RECORD_BYTES;

/// What a node logs once it serves.
pub const STARTED: &str = "Kafka Server started";

/// Returns the command that runs a node with at most `heap_mib` MiB of heap. `log4j2.xml`, with [`LOG_CONFIG`], lies
/// beside its `properties`, which is an absolute path, as all paths in it are: the node works in the folder of its `jars`.
pub fn command(jars: &Path, properties: &Path, heap_mib: u32) -> Command {
    let mut command = Command::new("java");
    command.arg(format!("-Dlog4j2.configurationFile={}", properties.with_file_name("log4j2.xml").display()));
    command.args(["-Xms64m", &format!("-Xmx{heap_mib}m"), "-XX:MaxDirectMemorySize=256m"]);
    // One thread alone takes 0.2 s for a whole heap, and every record waits for it; G1 takes more memory and starts later.
    command.arg("-XX:+UseParallelGC");
    // The first compiler alone starts twice as fast, and this broker is never the bottleneck.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto"]);
    // It compiles a method after fewer calls than usual: an idle broker, which makes few, takes a fifth less.
    command.arg("-XX:CompileThresholdScaling=0.1");
    // Nobody samples its counters, twenty times a second.
    command.arg("-XX:-UsePerfData");
    // Java takes the archive only with the class path it was made with: names, so that the folder may lie anywhere.
    command.current_dir(jars).arg("-XX:SharedArchiveFile=server.jsa");
    command.arg("-cp").arg(class_path()).arg("kafka.Kafka").arg(properties);
    command
}

/// Returns the names of the pinned jars, as `scripts/setup-runtime` has them.
fn class_path() -> String {
    let pinned = include_str!("../../runtime.sha256").lines();
    pinned.filter_map(|line| line.split_once("  kafka/")).map(|(_, jar)| jar).collect::<Vec<_>>().join(":")
}

/// Copies the formatted storage into a new data folder.
///
/// # Errors
/// When it cannot be written, or `make setup` did not format one.
pub fn prepare(jars: &Path, data: &Path) -> Result<()> {
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

/// Returns the settings of a node that is alone, on loopback, with its storage in `data`.
pub fn settings(data: &Path, port: u16, controller_port: u16) -> String {
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
# A worker that died is noticed within seconds.
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=1000
group.consumer.heartbeat.interval.ms=3000
group.consumer.min.heartbeat.interval.ms=500
# A member that joins is told its partitions in the answer, not with its next heartbeat; one that leaves is made up for at once.
group.consumer.assignor.offload.enable=false
group.consumer.assignment.interval.ms=0
# A broker that comes back waits until its own old session ends. One that a busy machine stops for longer is put aside, and
# clients that are connected need half a minute to find their way back to it.
broker.session.timeout.ms=9000
broker.heartbeat.interval.ms=1000
# Nobody else follows this controller's log: what keeps followers fresh would only cost an idle machine.
metadata.max.idle.interval.ms=0
# Each of these looks three times a second whether there is something to do.
num.network.threads=1
num.io.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
background.threads=2
# Little log means a fast recovery after a kill.
log.segment.bytes=67108864
log.retention.check.interval.ms=60000
log.cleaner.dedupe.buffer.size=16777216
"
    )
}

/// What a node logs: warnings, and [`STARTED`].
pub const LOG_CONFIG: &str = r#"<Configuration status="warn"><Appenders><Console name="c"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n%throwable"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="c"/></Root><Logger name="kafka.server.KafkaRaftServer" level="info"/></Loggers></Configuration>
"#;
