//! Follows a topic as it grows, without a group and without moving anybody's position.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::debug;

use super::BrokerArgs;
use super::reach::{ANSWER_TIMEOUT, known};
use super::reader::{self, Stored};
use crate::topic::Topic;

/// How long one poll lasts: how soon an end that nobody listens to any more is noticed.
const POLL: Duration = Duration::from_millis(500);
/// Records that wait for whoever follows.
const AHEAD: usize = 256;

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// With the first record that is there.
    Beginning,
    /// With the first record published at this time or later.
    Time(Timestamp),
}

/// Follows the one topic of a family that has no lanes. Ends when the result is dropped, or with an error when the
/// client can never go on; brokers that are away are waited for.
///
/// # Errors
/// When the topic is missing or the brokers do not answer.
pub async fn follow(brokers: &BrokerArgs, topic: Topic, since: Since) -> Result<mpsc::Receiver<Result<Stored>>> {
    let name = brokers.topic_name(topic, crate::lane::Lane::Standard);
    let there = known(brokers).await?.topics;
    let partitions = there.get(&name).with_context(|| format!("topic {name} is missing"))?.len() as i32;
    let client = reader::consumer(brokers)?;
    let (give, records) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut places = TopicPartitionList::new();
        for partition in 0..partitions {
            places.add_partition_offset(&name, partition, Offset::Beginning)?;
        }
        if let Since::Time(time) = since {
            places.set_all_offsets(Offset::Offset(time.as_millisecond()))?;
            // A partition without such a record answers with its end.
            places = reader::places(&client, &places, ANSWER_TIMEOUT)?;
        }
        client.assign(&places).with_context(|| format!("follow topic {name}"))?;
        // A detached thread: it ends by itself within one poll once nobody listens.
        let pump = move || pump(&client, &give);
        std::thread::Builder::new().name(format!("follow {name}")).spawn(pump).context("start a thread")?;
        Ok::<_, anyhow::Error>(())
    })
    .await??;
    Ok(records)
}

fn pump(client: &BaseConsumer, give: &mpsc::Sender<Result<Stored>>) {
    while !give.is_closed() {
        let record = match client.poll(POLL) {
            Some(Ok(message)) => Ok(reader::stored(&message)),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(error.into()),
            Some(Err(KafkaError::PartitionEOF(_))) | None => continue,
            Some(Err(error)) => {
                debug!(%error, "following a topic");
                continue;
            }
        };
        let ended = record.is_err();
        if give.blocking_send(record).is_err() || ended {
            return;
        }
    }
}
