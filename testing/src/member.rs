//! A process of the system, which is started again whenever it ends, as an orchestrator would.

use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use pipeline::child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::server::STARTER;

/// The wait before it is started again.
const START_AGAIN_AFTER: Duration = Duration::from_millis(300);
/// How long it may take to be started again; the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What is known of it.
#[derive(Clone, Debug, Default)]
struct Life {
    pid: Option<u32>,
    /// How the processes before it ended, oldest first.
    ends: Vec<ExitStatus>,
}

/// A process that is kept running until this is dropped or ended.
pub struct Member {
    role: &'static str,
    life: watch::Receiver<Life>,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

impl Member {
    /// Starts it.
    pub fn start(role: &'static str, command: Arc<dyn Fn() -> Command + Send + Sync>) -> Self {
        let (told, life) = watch::channel(Life::default());
        let stop = CancellationToken::new();
        // The kernel ends a child with the thread that made it, and a test's thread ends with the test.
        let keeping = STARTER.spawn(keep(command, told, stop.clone()));
        Self { role, life, stop, keeping }
    }

    /// Returns what it does in the system.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Returns its process id, waiting for it to be started again if it has just ended.
    ///
    /// # Panics
    /// When it is not started.
    pub async fn pid(&self) -> u32 {
        let mut life = self.life.clone();
        let started = timeout(START_LIMIT, life.wait_for(|life| life.pid.is_some())).await;
        let life = started.unwrap_or_else(|_| panic!("{} is not started again", self.role)).expect("it is kept");
        life.pid.expect("it was waited for")
    }

    /// Sends `signal` to it, if it runs right now.
    ///
    /// # Panics
    /// When that is not permitted.
    pub fn send(&self, signal: Signal) {
        let Some(pid) = self.life.borrow().pid else { return };
        match signal::kill(Pid::from_raw(pid.cast_signed()), signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("{signal} is not sent to {}: {error}", self.role),
        }
    }

    /// Kills it without a word, and waits until another has taken its place.
    pub async fn kill(&self) {
        let killed = self.pid().await;
        self.send(Signal::SIGKILL);
        let mut life = self.life.clone();
        let replaced = life.wait_for(|life| life.pid.is_some_and(|pid| pid != killed));
        timeout(START_LIMIT, replaced).await.expect("it is started again").expect("it is kept");
    }

    /// Asks it to end and returns how it did. It is not started again.
    ///
    /// # Panics
    /// When it has not ended after `limit`.
    pub async fn end(self, limit: Duration) -> ExitStatus {
        self.stop.cancel();
        self.send(Signal::SIGTERM);
        let mut life = self.life.clone();
        let ended = timeout(limit, life.wait_for(|life| life.pid.is_none())).await;
        let life = ended.unwrap_or_else(|_| panic!("{} did not end within {limit:?}", self.role));
        *life.expect("it is kept until it has ended").ends.last().expect("it ran")
    }

    /// Asks it to end and waits until another has taken its place; returns how it ended.
    ///
    /// # Panics
    /// When that has not happened after `limit`.
    pub async fn restart(&self, limit: Duration) -> ExitStatus {
        let old = self.pid().await;
        self.send(Signal::SIGTERM);
        let mut life = self.life.clone();
        let replaced = timeout(limit, life.wait_for(|life| life.pid.is_some_and(|pid| pid != old))).await;
        let life = replaced.unwrap_or_else(|_| panic!("{} did not end within {limit:?}", self.role));
        *life.expect("it is kept").ends.last().expect("it ended")
    }

    /// Returns how its processes ended so far, oldest first.
    pub fn ends(&self) -> Vec<ExitStatus> {
        self.life.borrow().ends.clone()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The child is killed when what keeps it is dropped.
        self.keeping.abort();
    }
}

async fn keep(command: Arc<dyn Fn() -> Command + Send + Sync>, told: watch::Sender<Life>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let mut child = child::spawn(&mut command().into(), Signal::SIGKILL).expect("start a process");
        told.send_modify(|life| life.pid = child.id());
        let status = child.wait().await.expect("wait for a process");
        told.send_modify(|life| {
            life.pid = None;
            life.ends.push(status);
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(START_AGAIN_AFTER) => {}
        }
    }
    // Whoever waits for its end must still hear of it.
    told.closed().await;
}
