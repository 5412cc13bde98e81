//! What a parent process tells a worker while it runs: lines of JSON on the worker's standard input.

use std::io::BufRead;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The most slots that a worker may be told to have. More records of 1 KiB than these are never on their way to the
/// brokers.
pub const MAX_SLOTS: u32 = 32 << 10;

/// One line: `{"slots": 12}`, or at last `{"slots": 0, "let_go": true}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Control {
    /// How many units are to be worked on at once, 0 to [`MAX_SLOTS`].
    pub slots: u32,
    /// Whether the worker is not wanted any more: it takes no more, finishes what it has in hand, and ends. There is no way
    /// back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub let_go: bool,
}

impl Control {
    /// Wants this many slots.
    pub fn slots(slots: u32) -> Self {
        Self { slots, let_go: false }
    }

    /// Wants the worker no more.
    pub fn let_go() -> Self {
        Self { slots: 0, let_go: true }
    }
}

/// Listens to standard input, and returns how many slots are wanted: at first `slots`. When the input ends they stay as
/// they are. `let_go` is cancelled when the worker is not wanted any more.
///
/// # Errors
/// When no thread can be started.
pub fn listen(slots: u32, let_go: CancellationToken) -> Result<watch::Receiver<u32>> {
    let (want, wanted) = watch::channel(slots);
    // Reading standard input cannot be called off: a thread of its own does not keep the process from ending.
    let listening = move || heed(std::io::stdin().lock(), &want, &let_go);
    std::thread::Builder::new().name("control".to_owned()).spawn(listening).context("start a thread")?;
    Ok(wanted)
}

/// Passes on what is wanted; a line that says nothing is told and changes nothing.
fn heed(lines: impl BufRead, want: &watch::Sender<u32>, let_go: &CancellationToken) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str::<Control>(&line) {
            Ok(control) if control.slots <= MAX_SLOTS => {
                want.send_replace(control.slots);
                if control.let_go {
                    let_go.cancel();
                }
            }
            Ok(Control { slots, .. }) => warn!(slots, most = MAX_SLOTS, "more slots wanted than a worker may have"),
            Err(error) => warn!(%error, line, "no order that is known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_order_that_can_be_read_counts() {
        let ((want, wanted), let_go) = (watch::channel(3), CancellationToken::new());
        let told = |lines: &str| {
            heed(lines.as_bytes(), &want, &let_go);
            (*wanted.borrow(), let_go.is_cancelled())
        };
        assert_eq!(told("{\"slots\": 12}\n\nslots\n{\"slots\": -1}\n{\"slots\": 40000}\n"), (12, false));
        assert_eq!(told("{\"slots\": 0, \"later\": true}"), (0, false));
        let line = serde_json::json!(Control::let_go());
        assert_eq!(line, serde_json::json!({"slots": 0, "let_go": true}));
        assert_eq!(told(&line.to_string()), (0, true));
        assert_eq!(serde_json::json!(Control::slots(2)), serde_json::json!({"slots": 2}), "as older workers know it");
    }
}
