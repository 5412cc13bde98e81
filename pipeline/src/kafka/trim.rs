//! Makes room in the brokers: records of work topics that their stage is done with are deleted. Retention alone, which
//! is longer than the longest wait, would keep days of video.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::reach::{ANSWER_TIMEOUT, known};
use super::{BrokerArgs, topics};
use crate::topic::Topic;

/// Trims each `every` until `stop`; several processes may. An error is told and tried again the next time.
pub async fn run(brokers: BrokerArgs, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = trim(&brokers).await {
            warn!(error = format!("{error:#}"), "topics not trimmed");
        }
    }
}

/// Deletes what lies below the committed position of the one group that reads each work topic.
///
/// # Errors
/// When a broker does not answer.
pub async fn trim(brokers: &BrokerArgs) -> Result<()> {
    let there = known(brokers).await?.topics;
    let mut done = TopicPartitionList::new();
    for topic in Topic::all() {
        let Some(stage) = topic.worked_on_by() else { continue };
        let mut asked = TopicPartitionList::new();
        for name in brokers.topic_names(topic) {
            for partition in 0..there.get(&name).map_or(0, |partitions| partitions.len() as i32) {
                asked.add_partition(&name, partition);
            }
        }
        let mut config = brokers.client()?;
        config.set("group.id", brokers.group(stage));
        let committed = tokio::task::spawn_blocking(move || {
            let member: BaseConsumer = config.create()?;
            member.committed_offsets(asked, ANSWER_TIMEOUT)
        });
        let committed = committed.await?.with_context(|| format!("ask for the positions of {stage}"))?;
        for element in committed.elements() {
            // A partition nobody has read yet has no position.
            if let Offset::Offset(position) = element.offset()
                && position > 0
            {
                done.add_partition_offset(element.topic(), element.partition(), Offset::Offset(position))?;
            }
        }
    }
    if done.count() == 0 {
        return Ok(());
    }
    let trimmed = topics::admin(brokers)?.delete_records(&done, &topics::options()).await.context("trim topics")?;
    for element in trimmed.elements() {
        if let Err(error) = element.error() {
            warn!(topic = element.topic(), partition = element.partition(), %error, "partition not trimmed");
        }
    }
    debug!(partitions = done.count(), "topics trimmed");
    Ok(())
}
