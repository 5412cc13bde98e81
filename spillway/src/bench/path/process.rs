//! A process that is measured: this executable with other arguments.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pipeline::{child, memory};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::part::READY;

/// How long it may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);

/// A running process.
pub struct Process {
    child: Child,
    pid: Pid,
}

impl Process {
    /// Starts this executable with `arguments`; what it logs goes to the file `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, log: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("find this executable")?);
        command.args(["--log", "warn"]).args(arguments);
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(log).context("make a log")?);
        let child = child::spawn(&mut command, Signal::SIGKILL)?;
        let pid = Pid::from_raw(child.id().context("the process has ended")?.cast_signed());
        Ok(Self { child, pid })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub async fn ready(&mut self) -> Result<()> {
        let said = self.child.stdout.take().context("hear the process")?;
        let mut lines = BufReader::new(said).lines();
        let line = tokio::time::timeout(READY_LIMIT, lines.next_line()).await.context("the process is not ready")?;
        ensure!(line?.as_deref() == Some(READY), "the process ended before it was ready");
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn send(&self, signal: Signal) -> Result<()> {
        kill(self.pid, signal).context("signal a process")
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it ended badly.
    pub async fn stop(mut self) -> Result<()> {
        let status = child::end(&mut self.child, END_LIMIT).await?;
        if status.success() { Ok(()) } else { bail!("a measured process ended with {status}") }
    }

    /// Waits for its end, however it comes.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn gone(mut self) -> Result<()> {
        tokio::time::timeout(END_LIMIT, self.child.wait()).await.context("a process does not end")??;
        Ok(())
    }

    /// Returns the memory it holds now, in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_mib(&self) -> Result<f64> {
        mib(memory::resident_bytes(Some(self.pid.as_raw() as u32)))
    }

    /// Returns the most memory it held since [`Self::forget_peak`], in MiB.
    ///
    /// # Errors
    /// When it is gone.
    pub fn peak_mib(&self) -> Result<f64> {
        mib(memory::peak_bytes(Some(self.pid.as_raw() as u32)))
    }

    /// Lets the peak be what is held now.
    ///
    /// # Errors
    /// When the kernel does not let us.
    pub fn forget_peak(&self) -> Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5").context("reset a process's peak of memory")
    }
}

fn mib(bytes: Option<u64>) -> Result<f64> {
    bytes
        .map(|bytes| bytes as f64 / f64::from(1 << 20))
        .context("a process is gone, or the kernel does not tell its memory")
}
