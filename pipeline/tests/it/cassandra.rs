//! The one CQL server of a test run: an Apache Cassandra node on loopback, started by the first test that needs it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use pipeline::child;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::folder;

/// Names a node that runs already, `host:port`; tests then start none.
const GIVEN: &str = "SPILLWAY_TEST_CQL";
/// Where `scripts/setup-servers` put the servers that only tests need, if not in `target/servers`.
const SERVERS: &str = "SPILLWAY_TEST_SERVERS";
/// What the names of nodes' folders start with; the id of the process that made one follows.
const FOLDER: &str = "cassandra-";
/// The longest a start may take.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Returns the address of the node that tests use, `host:port`.
pub fn cassandra() -> String {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    let address = ADDRESS.get_or_init(|| match std::env::var(GIVEN) {
        Ok(given) => Ok(given),
        Err(_) => start().map_err(|error| format!("{error:#}")),
    });
    address.clone().expect("a Cassandra node starts")
}

/// Starts a node on a thread that lives as long as this process: the kernel kills the child with the thread that made
/// it, so none is left, however the tests end.
fn start() -> Result<String> {
    let (started, address) = channel();
    std::thread::Builder::new().name("cassandra".to_owned()).spawn(move || keep(&started))?;
    address.recv().context("Cassandra's thread ended")?
}

fn keep(started: &Sender<Result<String>>) {
    let outcome =
        tokio::runtime::Runtime::new().context("make a runtime").and_then(|runtime| runtime.block_on(run(started)));
    if let Err(error) = outcome {
        // Nobody hears it if the node failed later; the tests then fail by themselves.
        let _ = started.send(Err(error));
    }
}

/// Runs the node for as long as it lives.
async fn run(started: &Sender<Result<String>>) -> Result<()> {
    let folder = folder::of_this_process(FOLDER)?;
    let (port, storage_port) = free_ports()?;
    let mut child = launch(&folder, port, storage_port)?;
    wait_until_started(&mut child, port, &folder.join("server.log")).await?;
    started.send(Ok(format!("127.0.0.1:{port}"))).context("the tests are gone")?;
    let status = child.wait().await?;
    bail!("Cassandra ended: {status}")
}

fn launch(folder: &Path, port: u16, storage_port: u16) -> Result<Child> {
    let jars = jars()?;
    for name in ["triggers", "tmp"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("cassandra.yaml"), settings(folder, port, storage_port))?;
    fs::write(folder.join("logback.xml"), LOG_CONFIG)?;
    let output = fs::File::create(folder.join("server.log"))?;
    let mut command = Command::new("java");
    command.args(["-Xms64m", "-Xmx256m", "-XX:MaxDirectMemorySize=256m", "-Xss512k", "-XX:+ExitOnOutOfMemoryError"]);
    // The first compiler alone starts faster, and tests ask little of it.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(EXPORTS.iter().map(|name| format!("--add-exports={name}=ALL-UNNAMED")));
    command.args(OPENS.iter().map(|name| format!("--add-opens={name}=ALL-UNNAMED")));
    // Nobody to gossip with: no waiting for the ring.
    command.args(["-Dcassandra.ring_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0"]);
    command.args(["-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra-foreground=yes"]);
    command.args(["-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"]);
    command.arg("-Djava.net.preferIPv4Stack=true");
    let folders = [
        ("cassandra.storagedir", ""),
        ("cassandra.triggers_dir", "triggers"),
        ("java.io.tmpdir", "tmp"),
        ("jna.tmpdir", "tmp"),
    ];
    command.args(folders.map(|(name, path)| format!("-D{name}={}", folder.join(path).display())));
    let files = [("cassandra.config", "cassandra.yaml"), ("logback.configurationFile", "logback.xml")];
    command.args(files.map(|(name, path)| format!("-D{name}=file://{}", folder.join(path).display())));
    command.arg("-cp").arg(jars.join("*")).arg("org.apache.cassandra.service.CassandraDaemon");
    command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
    // An end in order takes seconds, and nothing of it is needed afterwards.
    let child = child::spawn(&mut command, Signal::SIGKILL);
    child.context("start Cassandra: is Java 17 or later installed? (apt-get install default-jre-headless)")
}

fn jars() -> Result<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers");
    let servers = std::env::var_os(SERVERS).map_or_else(default, PathBuf::from);
    let jars = servers.join("cassandra");
    if !jars.is_dir() {
        bail!(
            "Cassandra is not in {}; run `scripts/setup-servers target/servers` in the source folder",
            jars.display()
        );
    }
    Ok(jars)
}

async fn wait_until_started(child: &mut Child, port: u16, log: &Path) -> Result<()> {
    let begun = Instant::now();
    loop {
        // It listens once it serves; the line of its log that says so comes a moment before.
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            let text = fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().rfind(|line| line.contains("ERROR") || line.contains("Exception"));
            let last = last.or_else(|| text.lines().next_back()).unwrap_or("it said nothing");
            bail!("Cassandra ended while starting ({status}): {last} (log: {})", log.display());
        }
        if begun.elapsed() > START_LIMIT {
            bail!("Cassandra did not start within {START_LIMIT:?}; see {}", log.display());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Finds two free ports. Another process may take one before the node does; the node then says so and ends.
fn free_ports() -> Result<(u16, u16)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

/// What Cassandra's own start script adds for Java 17.
const EXPORTS: [&str; 9] = [
    "java.base/jdk.internal.misc",
    "java.base/java.lang.ref",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.attach/sun.tools.attach",
    "jdk.compiler/com.sun.tools.javac.file",
];
const OPENS: [&str; 16] = [
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
    "jdk.management/com.sun.management.internal",
    "jdk.compiler/com.sun.tools.javac",
];

/// A node that is small, and patient on a busy machine.
fn settings(folder: &Path, port: u16, storage_port: u16) -> String {
    let folder = folder.display();
    format!(
        "\
cluster_name: test
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [\"{folder}/data\"]
commitlog_directory: \"{folder}/commitlog\"
saved_caches_directory: \"{folder}/saved_caches\"
hints_directory: \"{folder}/hints\"
cdc_raw_directory: \"{folder}/cdc\"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: \"127.0.0.1:{storage_port}\"
endpoint_snitch: SimpleSnitch
auto_bootstrap: false
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
commitlog_sync: periodic
commitlog_sync_period: 1000ms
# The largest write is half of a segment.
commitlog_segment_size: 16MiB
commitlog_total_space: 64MiB
disk_optimization_strategy: ssd
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
memtable_flush_writers: 1
key_cache_size: 8MiB
counter_cache_size: 2MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 4
concurrent_compactors: 1
native_transport_max_frame_size: 32MiB
read_request_timeout: 10s
write_request_timeout: 10s
cas_contention_timeout: 5s
truncate_request_timeout: 60s
request_timeout: 20s
auto_snapshot: false
hinted_handoff_enabled: false
"
    )
}

const LOG_CONFIG: &str = r#"<configuration scan="false">
<appender name="c" class="ch.qos.logback.core.ConsoleAppender"><encoder><pattern>%d{ISO8601} %-5level [%thread] %F:%L - %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="c"/></root>
</configuration>
"#;
