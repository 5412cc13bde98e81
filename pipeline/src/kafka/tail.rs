//! Follows topics as they grow, without a group and without moving anybody's position.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::debug;

use super::BrokerArgs;
use super::reach::{ANSWER_TIMEOUT, known};
use super::reader::{self, Stored};
use crate::lane::Lane;
use crate::topic::Topic;

/// How long one poll lasts: how soon an end that nobody listens to any more is noticed. Records end it at once. Long,
/// because each poll ends with up to a millisecond of spinning, in every worker.
const POLL: Duration = Duration::from_secs(5);
/// The least time that a question for records of several partitions waits at a broker that has none; one that has some
/// answers at once. The first question may leave out partitions, which are asked for when it was answered.
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// The same for a single partition. Long: with nothing to do these questions are most of what a broker does.
const FETCH_WAIT_OF_ONE: Duration = Duration::from_secs(10);
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
    follow_as(brokers, &[(topic, since)], |_, record| record).await
}

/// Follows several such topics with one client, and says of each record which of them it is from. Records of different
/// topics come in no order.
///
/// # Errors
/// As [`follow`].
pub async fn follow_all(
    brokers: &BrokerArgs,
    topics: &[(Topic, Since)],
) -> Result<mpsc::Receiver<Result<(Topic, Stored)>>> {
    follow_as(brokers, topics, |topic, record| (topic, record)).await
}

async fn follow_as<T: Send + 'static>(
    brokers: &BrokerArgs,
    topics: &[(Topic, Since)],
    give_as: fn(Topic, Stored) -> T,
) -> Result<mpsc::Receiver<Result<T>>> {
    let there = known(brokers).await?.topics;
    let mut names = HashMap::new();
    let mut beginnings = Vec::new();
    for (topic, since) in topics {
        let name = brokers.topic_name(*topic, Lane::Standard);
        let partitions = there.get(&name).with_context(|| format!("topic {name} is missing"))?.len() as i32;
        beginnings.push((name.clone(), partitions, *since));
        names.insert(name, *topic);
    }
    let least_wait = if let [(_, 1, _)] = beginnings[..] { FETCH_WAIT_OF_ONE } else { FETCH_WAIT };
    let mut settings = reader::settings(brokers)?;
    settings.set("fetch.wait.max.ms", brokers.fetch_wait.max(least_wait).as_millis().to_string());
    let client: BaseConsumer<Patient> = settings.create_with_context(Patient).context("make a Kafka consumer")?;
    let (give, records) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let places = places(&client, &beginnings)?;
        client.assign(&places).context("follow topics")?;
        // A detached thread: it ends by itself within one poll once nobody listens.
        let pump = move || pump(&client, &names, give_as, &give);
        std::thread::Builder::new().name("follow topics".to_owned()).spawn(pump).context("start a thread")?;
        Ok::<_, anyhow::Error>(())
    })
    .await??;
    Ok(records)
}

/// Finds where to begin in each partition.
fn places(client: &BaseConsumer<Patient>, beginnings: &[(String, i32, Since)]) -> Result<TopicPartitionList> {
    let mut places = TopicPartitionList::new();
    let mut by_time = TopicPartitionList::new();
    for (name, partitions, since) in beginnings {
        for partition in 0..*partitions {
            match since {
                Since::Beginning => places.add_partition_offset(name, partition, Offset::Beginning)?,
                Since::Time(time) => {
                    by_time.add_partition_offset(name, partition, Offset::Offset(time.as_millisecond()))?;
                }
            }
        }
    }
    if by_time.count() > 0 {
        // A partition without such a record answers with its end.
        for found in reader::places(client, &by_time, ANSWER_TIMEOUT)?.elements() {
            places.add_partition_offset(found.topic(), found.partition(), found.offset())?;
        }
    }
    Ok(places)
}

/// Sleeps through a whole poll: by default the client wakes each second.
struct Patient;

impl ClientContext for Patient {}

impl ConsumerContext for Patient {
    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(POLL)
    }
}

fn pump<T>(
    client: &BaseConsumer<Patient>,
    names: &HashMap<String, Topic>,
    give_as: fn(Topic, Stored) -> T,
    give: &mpsc::Sender<Result<T>>,
) {
    while !give.is_closed() {
        let record = match client.poll(POLL) {
            Some(Ok(message)) => match names.get(message.topic()) {
                Some(topic) => Ok(give_as(*topic, reader::stored(&message))),
                None => continue,
            },
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
