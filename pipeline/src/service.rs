//! The life of a process: it starts, a signal stops it, what is in hand is finished, it ends.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The exit code of a process that a second signal ended at once.
const INTERRUPTED: i32 = 130;

/// Returns a token that the first SIGINT or SIGTERM cancels; a second one ends the process at once.
///
/// # Errors
/// When signals cannot be listened to.
pub fn stop_on_signal() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        for signals in 1.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if signals > 1 {
                warn!("second signal: ending at once");
                std::process::exit(INTERRUPTED);
            }
            info!("stopping; a second signal ends at once");
            stopped.cancel();
        }
    });
    Ok(stop)
}

/// Waits for every task. The first one to end stops all; those that have not ended `grace` after that are dropped.
///
/// # Errors
/// The first task's error, or that tasks were left when the grace period was over.
pub async fn join(mut tasks: JoinSet<Result<()>>, stop: CancellationToken, grace: Duration) -> Result<()> {
    let mut outcome = Ok(());
    let mut deadline = None;
    loop {
        let ended = match deadline {
            None => tokio::select! {
                ended = tasks.join_next() => ended,
                () = stop.cancelled() => {
                    deadline = Some(tokio::time::Instant::now() + grace);
                    continue;
                }
            },
            Some(at) => match tokio::time::timeout_at(at, tasks.join_next()).await {
                Ok(ended) => ended,
                Err(_) => return outcome.and(Err(anyhow!("{} tasks had not ended after {grace:?}", tasks.len()))),
            },
        };
        let Some(ended) = ended else { return outcome };
        let ended = ended.unwrap_or_else(|crash| Err(anyhow!(crash).context("task crashed")));
        if outcome.is_ok() {
            outcome = ended;
        }
        stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_error_stops_the_others_and_is_returned() {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let waiting = stop.clone();
        tasks.spawn(async move {
            waiting.cancelled().await;
            Ok(())
        });
        tasks.spawn(async { Err(anyhow!("no broker")) });
        let outcome = join(tasks, stop, Duration::from_secs(60)).await;
        assert_eq!(outcome.map_err(|e| e.to_string()), Err("no broker".to_owned()));
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_left_after_the_grace_period() {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        stop.cancel();
        let outcome = join(tasks, stop, Duration::from_millis(1)).await;
        assert!(outcome.is_err_and(|e| e.to_string().contains("1 tasks had not ended")));
    }
}
