//! The system under an emulated load: a private Kafka, and `spillway dev` with the autoscaler beside it, all below this
//! process and in a folder of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;
use pipeline::broker::Broker;
use pipeline::kafka::BrokerArgs;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::{child, loopback};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use url::Url;

use crate::mix::{Sender, tenants_file};
use crate::spec::Spec;

/// How long it may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How long a question for records waits at the broker: what `dev` has with a broker of its own.
const FETCH_WAIT: &str = "3s";

/// A running system.
pub struct System {
    child: Child,
    /// Kept open: it could not write to a closed one.
    _said: Lines<BufReader<ChildStdout>>,
    broker: Broker,
    log: PathBuf,
    /// Its HTTP API.
    pub server: Url,
}

/// How it is to be.
pub struct Plan<'a> {
    /// What its workers emulate.
    pub spec: &'a Spec,
    /// The most slots of each stage.
    pub max_workers: u32,
    /// Where run-time files lie.
    pub runtime: &'a RuntimeArgs,
    /// Who sends to it.
    pub senders: &'a [Sender],
}

impl System {
    /// Starts it with its data below `folder`, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in two minutes.
    pub async fn start(plan: Plan<'_>, folder: &Path) -> Result<Self> {
        let broker = Broker::start(&Runtime::new(plan.runtime), &folder.join("kafka")).await?;
        let spec = folder.join("spec.json");
        std::fs::write(&spec, serde_json::to_vec(plan.spec)?).context("write what is emulated")?;
        let log = folder.join("dev.log");
        let address = loopback::free_address().context("find a free port")?;
        let mut command = command(&plan, folder, &spec, &broker, address)?;
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).context("make the system's log")?);
        let mut child = child::spawn(&mut command, Signal::SIGTERM)?;
        let said = child.stdout.take().context("hear the system")?;
        let mut said = BufReader::new(said).lines();
        let begun = Instant::now();
        match tokio::time::timeout(READY_LIMIT, ready(&mut said)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.context(last_line(&log))),
            Err(_) => bail!("the system is not ready after {:.0?}: {}", begun.elapsed(), last_line(&log)),
        }
        let server = Url::parse(&format!("http://{address}"))?;
        Ok(Self { child, _said: said, broker, log, server })
    }

    /// Returns where its Kafka is.
    pub fn brokers(&self) -> BrokerArgs {
        BrokerArgs::new(self.broker.address())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it ended badly.
    pub async fn stop(mut self) -> Result<()> {
        let status = child::end(&mut self.child, END_LIMIT).await?;
        self.broker.stop().await?;
        if status.success() { Ok(()) } else { bail!("the system ended with {status}: {}", last_line(&self.log)) }
    }
}

fn command(plan: &Plan<'_>, folder: &Path, spec: &Path, broker: &Broker, address: SocketAddr) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find this executable")?);
    command.arg("dev").arg("--data").arg(folder.join("data"));
    command.args(["--listen", &address.to_string(), "--brokers", &broker.address(), "--replication", "1"]);
    let most = plan.max_workers.to_string();
    // One process a stage holds all its slots: they only wait, and each further process would cost this machine more.
    command.args(["--autoscale", "--max-workers", &most, "--slots-per-process", &most]);
    let startup = Duration::from_secs_f64(plan.spec.startup_s);
    command.args(["--startup", &humantime::format_duration(startup).to_string()]);
    command.args(["--time-scale", &plan.spec.time_scale.to_string()]).arg("--emulate").arg(spec);
    if let Some(runtime) = &plan.runtime.runtime {
        command.arg("--runtime").arg(runtime);
    }
    // Settings of another installation are none of this one's.
    let ours = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("SPILLWAY_") && name != "SPILLWAY_RUNTIME"
    });
    for name in ours {
        command.env_remove(name);
    }
    command.env("SPILLWAY_FETCH_WAIT", FETCH_WAIT);
    // What waits for a time waits as much shorter as everything else is faster.
    let scaled = [("SPILLWAY_AGE_LIMIT", 300.0), ("SPILLWAY_CLAIM_LEASE", 30.0), ("SPILLWAY_BACKOFF_MAX", 30.0)];
    for (name, seconds) in scaled {
        // A lease must outlast the pauses of a machine that does much else.
        let time = plan.spec.real(seconds).max(Duration::from_secs(5));
        command.env(name, humantime::format_duration(Duration::from_millis(time.as_millis() as u64)).to_string());
    }
    if let Some(tenants) = tenants_file(plan.senders) {
        let file = folder.join("tenants.toml");
        std::fs::write(&file, tenants).context("write the tenants")?;
        command.env("SPILLWAY_TENANTS", file);
    }
    Ok(command)
}

async fn ready(said: &mut Lines<BufReader<ChildStdout>>) -> Result<()> {
    while let Some(line) = said.next_line().await.context("hear the system")? {
        if line.starts_with("spillway is ready") {
            return Ok(());
        }
    }
    Err(anyhow!("the system ended before it was ready"))
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}
