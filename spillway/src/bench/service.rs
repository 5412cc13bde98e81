//! `spillway dev` as it is measured: a child process on a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;
use pipeline::process_tree::Tree;
use pipeline::{child, loopback};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use url::Url;

use crate::client::Api;

/// How long it may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A running `spillway dev`.
pub struct Service {
    child: Child,
    /// Kept open: it could not write to a closed one.
    _said: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
    /// Its processes, the broker's included.
    pub tree: Tree,
    /// Its HTTP API.
    pub api: Api,
    /// How long it took to be ready, in seconds.
    pub ready_s: f64,
}

impl Service {
    /// Starts it with its data below `folder`, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready in two minutes.
    pub async fn start(folder: &Path, runtime: Option<&Path>) -> Result<Self> {
        let begun = Instant::now();
        std::fs::create_dir_all(folder).context("make the service's folder")?;
        let log = folder.join("dev.log");
        let address = loopback::free_address().context("find a free port")?;
        let mut command = Command::new(std::env::current_exe().context("find this executable")?);
        command.arg("dev").arg("--data").arg(folder.join("data")).args(["--listen", &address.to_string()]);
        if let Some(runtime) = runtime {
            command.arg("--runtime").arg(runtime);
        }
        // Its own broker, whatever else is set here.
        command.env_remove("SPILLWAY_BROKERS");
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).context("make the service's log")?);
        let mut child = child::spawn(&mut command, Signal::SIGTERM)?;
        let said = child.stdout.take().context("hear the service")?;
        let mut said = BufReader::new(said).lines();
        let ready = async {
            while let Some(line) = said.next_line().await.context("hear the service")? {
                if line.starts_with("spillway is ready") {
                    return Ok(());
                }
            }
            Err(anyhow!("the service ended before it was ready"))
        };
        match tokio::time::timeout(READY_LIMIT, ready).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.context(last_line(&log))),
            Err(_) => bail!("the service is not ready after {READY_LIMIT:?}: {}", last_line(&log)),
        }
        let tree = Tree::new(child.id().context("the service has ended")?)?;
        let api = Api::new(Url::parse(&format!("http://{address}"))?, None)?;
        Ok(Self { child, _said: said, log, tree, api, ready_s: begun.elapsed().as_secs_f64() })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it ended badly.
    pub async fn stop(mut self) -> Result<()> {
        let status = child::end(&mut self.child, END_LIMIT).await?;
        if status.success() { Ok(()) } else { bail!("the service ended with {status}: {}", last_line(&self.log)) }
    }
}

fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or("it said nothing").to_owned()
}
