//! Follows a topic as it grows, from where it ends now, without a group: for who wants to hear what is said from now on.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::debug;

use super::BrokerArgs;
use super::reach::known;
use crate::lane::Lane;
use crate::topic::Topic;

/// How long one poll lasts; that nobody listens any more is seen after as long.
const POLL: Duration = Duration::from_millis(250);
/// Records that wait for whoever listens.
const AHEAD: usize = 256;

/// Returns the bodies of the records that come to `topic`, one that has no lanes, from now on. Brokers that are away are
/// waited for; it ends when the receiver is dropped.
///
/// # Errors
/// When the topic is missing or the brokers cannot be reached.
pub async fn tail(brokers: &BrokerArgs, topic: Topic) -> Result<mpsc::Receiver<Vec<u8>>> {
    let name = brokers.topic_name(topic, Lane::Standard);
    let Some(partitions) = known(brokers).await?.topics.remove(&name) else {
        bail!("topic {name} is missing; create the topics with `spillway topics`");
    };
    let mut config = brokers.client()?;
    config
        // The client wants a name, but partitions are assigned by hand and nothing is committed: no group is joined.
        .set("group.id", format!("{}tail", brokers.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .set("queued.max.messages.kbytes", "1024");
    let client: BaseConsumer = config.create().context("make a Kafka consumer")?;
    let mut assignment = TopicPartitionList::new();
    for partition in 0..partitions.len() as i32 {
        assignment.add_partition_offset(&name, partition, Offset::End)?;
    }
    client.assign(&assignment).with_context(|| format!("follow topic {name}"))?;
    let (give, records) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        while !give.is_closed() {
            match client.poll(POLL) {
                Some(Ok(message)) => {
                    // Whoever listened is gone if this fails, and needs no error.
                    let _ = give.blocking_send(message.payload().unwrap_or_default().to_vec());
                }
                Some(Err(error)) => debug!(%error, "following a topic"),
                None => {}
            }
        }
    });
    Ok(records)
}
