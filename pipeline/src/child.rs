//! Child processes: started so that none outlives its parent, watched, restarted with backoff, and ended in order.

use std::convert::Infallible;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::control::Control;

/// The wait before the first restart; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A child that lived this long starts over with the first wait.
const HEALTHY: Duration = Duration::from_secs(30);

/// Starts `command` in a process group of its own (a terminal's Ctrl-C reaches the parent alone, which ends its
/// children in order) and such that the kernel sends it `when_orphaned` if the parent dies.
///
/// # Errors
/// When the program cannot be started.
pub fn spawn(command: &mut Command, when_orphaned: Signal) -> Result<Child> {
    start(command, Stdio::null(), when_orphaned)
}

fn start(command: &mut Command, input: Stdio, when_orphaned: Signal) -> Result<Child> {
    let parent = Pid::this();
    command.stdin(input).process_group(0).kill_on_drop(true);
    // SAFETY: between fork and exec only async-signal-safe calls are made (prctl, getppid), and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(when_orphaned)?;
            // The parent may have died before the line above took effect.
            if Pid::parent() == parent { Ok(()) } else { Err(std::io::ErrorKind::NotConnected.into()) }
        });
    }
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.spawn().with_context(|| format!("start {program}"))
}

/// Asks `child` to end with SIGTERM and, if it has not after `grace`, ends it with SIGKILL.
///
/// # Errors
/// When it cannot be waited for.
pub async fn end(child: &mut Child, grace: Duration) -> Result<ExitStatus> {
    if let Some(pid) = child.id() {
        // An error means that it has ended by itself.
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
    }
    match tokio::time::timeout(grace, child.wait()).await {
        Ok(status) => status.context("wait for a child"),
        Err(_) => {
            child.start_kill().context("kill a child")?;
            child.wait().await.context("wait for a killed child")
        }
    }
}

/// Keeps one child called `name` running until `stop`: whenever it dies, it is started again after a wait that
/// doubles up to ten seconds; one that ends well, as a worker that was told to drain does, is replaced at once. With
/// `wanted` it is told each time something else is ([`control`](crate::control)); `command` gives it the slots wanted when it
/// starts. Once it is let go its end is waited for, however long it works, and none takes its place. At `stop` it has `grace`.
///
/// # Errors
/// When it cannot be started at all.
pub async fn supervise(
    name: String,
    mut command: impl FnMut() -> Command + Send,
    mut wanted: Option<watch::Receiver<Control>>,
    stop: CancellationToken,
    grace: Duration,
) -> Result<()> {
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        let started = Instant::now();
        let input = match &mut wanted {
            Some(wanted) => {
                if wanted.borrow_and_update().let_go {
                    return Ok(());
                }
                Stdio::piped()
            }
            None => Stdio::null(),
        };
        let mut child = start(&mut command(), input, Signal::SIGKILL)?;
        debug!(name, pid = child.id(), "child started");
        // Waiting for a child closes its input.
        let input = child.stdin.take();
        let status = tokio::select! {
            status = child.wait() => status.context("wait for a child")?,
            never = tell(&name, input, &mut wanted) => match never {},
            () = stop.cancelled() => {
                let status = end(&mut child, grace).await?;
                info!(name, %status, "child ended");
                return Ok(());
            }
        };
        if wanted.as_ref().is_some_and(|wanted| wanted.borrow().let_go) {
            info!(name, %status, "child ended");
            return Ok(());
        }
        if started.elapsed() >= HEALTHY {
            wait = FIRST_WAIT;
        }
        let pause = if status.success() {
            info!(name, "child ended by itself, another takes its place");
            // One that does nothing but end must not be started without a pause.
            FIRST_WAIT.saturating_sub(started.elapsed())
        } else {
            error!(name, %status, restart_in_s = wait.as_secs_f64(), "child died");
            let pause = wait;
            wait = (wait * 2).min(LONGEST_WAIT);
            pause
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// Tells a child what is wanted of it whenever that changes.
async fn tell(name: &str, input: Option<ChildStdin>, wanted: &mut Option<watch::Receiver<Control>>) -> Infallible {
    if let (Some(mut input), Some(wanted)) = (input, wanted) {
        while wanted.changed().await.is_ok() {
            let line = serde_json::json!(*wanted.borrow_and_update());
            // One that ends meanwhile is started with what is wanted.
            if let Err(error) = input.write_all(format!("{line}\n").as_bytes()).await {
                debug!(name, %error, "child not told");
            }
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_child_that_ignores_sigterm_is_killed_after_the_grace_period() {
        let mut command = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        command.stdout(Stdio::piped());
        let mut child = spawn(&mut command, Signal::SIGKILL).unwrap();
        let mut line = [0; 6];
        tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut line).await.unwrap();
        let status = end(&mut child, Duration::from_millis(50)).await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[tokio::test]
    async fn a_child_that_dies_is_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        let script = format!("echo x >> {}; exit 1", starts.display());
        let stop = CancellationToken::new();
        let twice = async {
            while std::fs::read_to_string(&starts).unwrap_or_default().lines().count() < 2 {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let watched = supervise("test".to_owned(), || shell(&script), None, stop.clone(), Duration::from_secs(1));
        let (outcome, ()) = tokio::join!(watched, twice);
        outcome.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_ends_well_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let starts = folder.path().join("starts");
        // As long as a child is not started without a pause; five crashes would make the waits add up to 6 s.
        let script = format!("echo x >> {}; sleep 0.2", starts.display());
        let (stop, begun) = (CancellationToken::new(), Instant::now());
        let often = async {
            while std::fs::read_to_string(&starts).unwrap_or_default().lines().count() < 6 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.cancel();
        };
        let watched = supervise("test".to_owned(), || shell(&script), None, stop.clone(), Duration::from_secs(1));
        let (outcome, ()) = tokio::join!(watched, often);
        outcome.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_child_is_told_how_many_slots_are_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!("while read -r line; do echo \"$line\" >> {}; done", told.display());
        let (want, wanted) = watch::channel(Control::slots(1));
        let stop = CancellationToken::new();
        let both = async {
            for slots in [2, 0] {
                want.send_replace(Control::slots(slots));
                let line = format!("{{\"slots\":{slots}}}\n");
                while !std::fs::read_to_string(&told).unwrap_or_default().ends_with(&line) {
                    tokio::task::yield_now().await;
                }
            }
            stop.cancel();
        };
        let grace = Duration::from_secs(1);
        let watched = supervise("test".to_owned(), || shell(&script), Some(wanted), stop.clone(), grace);
        let (outcome, ()) = tokio::join!(watched, both);
        outcome.unwrap();
    }

    #[tokio::test]
    async fn a_child_that_is_let_go_ends_in_its_own_time_and_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "cd {}; echo x >> starts; read -r line; touch told; while [ ! -e go ]; do sleep 0.01; done; touch finished",
            folder.path().display()
        );
        let is_there = |name: &str| folder.path().join(name).exists();
        let (want, wanted) = watch::channel(Control::slots(1));
        let going = async {
            while !is_there("starts") {
                tokio::task::yield_now().await;
            }
            want.send_replace(Control::let_go());
            while !is_there("told") {
                tokio::task::yield_now().await;
            }
            std::fs::write(folder.path().join("go"), "").unwrap();
        };
        // It ends without `stop`, and is not ended by a grace that is over at once.
        let watched =
            supervise("test".to_owned(), || shell(&script), Some(wanted), CancellationToken::new(), Duration::ZERO);
        let (outcome, ()) = tokio::join!(watched, going);
        outcome.unwrap();
        assert!(is_there("finished"));
        assert_eq!(std::fs::read_to_string(folder.path().join("starts")).unwrap(), "x\n");
    }
}
