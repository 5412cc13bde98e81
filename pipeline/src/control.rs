//! What a parent process tells a worker while it runs: lines of JSON on the worker's standard input.

use std::io::BufRead;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::warn;

/// The most slots that a worker may be told to have.
pub const MAX_SLOTS: u32 = 1024;

/// One line: `{"slots": 12}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Control {
    /// How many units are to be worked on at once, 0 to 1024.
    pub slots: u32,
}

/// Listens to standard input, and returns how many slots are wanted: at first `slots`. When the input ends they stay as
/// they are.
///
/// # Errors
/// When no thread can be started.
pub fn listen(slots: u32) -> Result<watch::Receiver<u32>> {
    let (want, wanted) = watch::channel(slots);
    // Reading standard input cannot be called off: a thread of its own does not keep the process from ending.
    let listening = move || heed(std::io::stdin().lock(), &want);
    std::thread::Builder::new().name("control".to_owned()).spawn(listening).context("start a thread")?;
    Ok(wanted)
}

/// Passes on what is wanted; a line that says nothing is told and changes nothing.
fn heed(lines: impl BufRead, want: &watch::Sender<u32>) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str::<Control>(&line) {
            Ok(Control { slots }) if slots <= MAX_SLOTS => {
                want.send_replace(slots);
            }
            Ok(Control { slots }) => warn!(slots, most = MAX_SLOTS, "more slots wanted than a worker may have"),
            Err(error) => warn!(%error, line, "no order that is known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_order_that_can_be_read_counts() {
        let (want, wanted) = watch::channel(3);
        heed("{\"slots\": 12}\n\nslots\n{\"slots\": -1}\n{\"slots\": 2000}\n".as_bytes(), &want);
        assert_eq!(*wanted.borrow(), 12);
        heed("{\"slots\": 0, \"later\": true}".as_bytes(), &want);
        assert_eq!(*wanted.borrow(), 0);
    }
}
