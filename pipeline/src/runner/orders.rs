//! What a worker is told while it runs.

use anyhow::{Context, Result};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::event::{WorkerCommand, WorkerOrder};
use crate::kafka::BrokerArgs;
use crate::kafka::tail::{Since, follow};
use crate::topic::Topic;

/// Hears what `worker` is told on `worker.command`, for ever. To drain is what `stop` makes of it.
///
/// # Errors
/// When the topic cannot be followed.
pub(super) async fn heed(brokers: BrokerArgs, worker: String, stop: CancellationToken) -> Result<()> {
    // All that is there: no other worker ever had this id, and nobody's clock counts then.
    let mut commands = follow(&brokers, Topic::WorkerCommand, Since::Beginning).await?;
    loop {
        let record = commands.recv().await.context("follow what workers are told")??;
        if record.key.as_deref() != Some(worker.as_bytes()) {
            continue;
        }
        match WorkerCommand::decode(&*record.body) {
            Ok(command) if command.what() == WorkerOrder::Drain => {
                info!(worker, by = command.by, "told to drain");
                stop.cancel();
            }
            Ok(command) => warn!(worker, what = command.what, "told what this version does not know"),
            Err(error) => warn!(worker, %error, "told what cannot be read"),
        }
    }
}
