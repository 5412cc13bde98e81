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
use super::remind::remind;
use crate::lane::Lane;
use crate::topic::Topic;

/// How long one poll lasts: how soon an end that nobody listens to any more is noticed. Records end it at once. Long,
/// because each poll ends with up to a millisecond of spinning, in every worker.
const POLL: Duration = Duration::from_secs(5);
/// After how many of them in which nothing came it is asked whether any broker is known.
const SILENT_POLLS: u32 = 6;
/// The least time that a question for records of several partitions waits at a broker that has none; one that has some
/// answers at once. The first question may leave out partitions, which are asked for when it was answered.
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// The same for a single partition. Long: with nothing to do these questions are most of what a broker does.
const FETCH_WAIT_OF_ONE: Duration = Duration::from_secs(10);
/// Records that wait for whoever follows.
const AHEAD: usize = 256;

/// What comes of topics that are followed together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A record, and which of them it is from.
    Record(Topic, Stored),
    /// All that lay there when it began has come; said once.
    UpToDate,
}

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
    follow_as(brokers, &[(topic, since)], |_, record| record, None).await
}

/// Follows several such topics with one client. Records of different topics come in no order.
///
/// # Errors
/// As [`follow`].
pub async fn follow_all(brokers: &BrokerArgs, topics: &[(Topic, Since)]) -> Result<mpsc::Receiver<Result<Heard>>> {
    follow_as(brokers, topics, Heard::Record, Some(Heard::UpToDate)).await
}

async fn follow_as<T: Send + 'static>(
    brokers: &BrokerArgs,
    topics: &[(Topic, Since)],
    give_as: fn(Topic, Stored) -> T,
    up_to_date: Option<T>,
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
    let brokers = BrokerArgs { fetch_wait: brokers.fetch_wait.max(least_wait), ..brokers.clone() };
    let mut settings = reader::settings(&brokers)?;
    settings.set("fetch.wait.max.ms", brokers.fetch_wait.as_millis().to_string());
    let client: BaseConsumer<Patient> = settings.create_with_context(Patient).context("make a Kafka consumer")?;
    let (give, records) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let places = places(&client, &beginnings)?;
        let up_to_date =
            up_to_date.map(|said| Ok::<_, anyhow::Error>((Unread::of(&client, &places)?, said))).transpose()?;
        client.assign(&places).context("follow topics")?;
        // A detached thread: it ends by itself within one poll once nobody listens.
        let pump = move || pump(&client, &brokers, &names, give_as, up_to_date, &give);
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

/// What lay in partitions when they began to be followed and has not come yet: the place after the last record, by topic
/// and partition. The last record of a partition is never one that compaction takes.
#[derive(Debug, Default)]
struct Unread(HashMap<(String, i32), i64>);

impl Unread {
    fn of(client: &BaseConsumer<Patient>, begins: &TopicPartitionList) -> Result<Self> {
        let ask = |of: Offset| {
            let mut asked = begins.clone();
            asked.set_all_offsets(of)?;
            reader::places(client, &asked, ANSWER_TIMEOUT)
        };
        let (starts, ends) = (ask(Offset::Beginning)?, ask(Offset::End)?);
        let place = |list: &TopicPartitionList, topic: &str, partition: i32| {
            list.find_partition(topic, partition).and_then(|found| found.offset().to_raw()).unwrap_or_default()
        };
        let mut unread = HashMap::new();
        for begin in begins.elements() {
            let (topic, partition) = (begin.topic(), begin.partition());
            let end = place(&ends, topic, partition);
            let from = match begin.offset() {
                Offset::Offset(at) => at.max(place(&starts, topic, partition)),
                Offset::End => end,
                _ => place(&starts, topic, partition),
            };
            if from < end {
                unread.insert((topic.to_owned(), partition), end);
            }
        }
        Ok(Self(unread))
    }

    fn came(&mut self, topic: &str, partition: i32, offset: i64) {
        // Empty but for the first seconds.
        if !self.0.is_empty() {
            self.0.retain(|(name, number), end| name != topic || *number != partition || offset + 1 < *end);
        }
    }
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
    brokers: &BrokerArgs,
    names: &HashMap<String, Topic>,
    give_as: fn(Topic, Stored) -> T,
    mut up_to_date: Option<(Unread, T)>,
    give: &mpsc::Sender<Result<T>>,
) {
    let mut silent_polls = 0;
    while !give.is_closed() {
        if let Some((_, said)) = up_to_date.take_if(|(unread, _)| unread.0.is_empty())
            && give.blocking_send(Ok(said)).is_err()
        {
            return;
        }
        let polled = client.poll(POLL);
        silent_polls = if polled.is_none() { silent_polls + 1 } else { 0 };
        if silent_polls == SILENT_POLLS {
            remind(client.client(), brokers);
            silent_polls = 0;
        }
        let record = match polled {
            Some(Ok(message)) => {
                if let Some((unread, _)) = &mut up_to_date {
                    unread.came(message.topic(), message.partition(), message.offset());
                }
                match names.get(message.topic()) {
                    Some(topic) => Ok(give_as(*topic, reader::stored(&message))),
                    None => continue,
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lay_there_has_come_when_the_last_record_of_each_partition_has() {
        let mut unread = Unread(HashMap::from([(("a".to_owned(), 0), 3), (("a".to_owned(), 1), 1)]));
        unread.came("a", 0, 1);
        unread.came("b", 1, 7);
        unread.came("a", 1, 0);
        assert_eq!(unread.0.keys().collect::<Vec<_>>(), [&("a".to_owned(), 0)]);
        // The last one may be gone by then; a later one says the same.
        unread.came("a", 0, 4);
        assert!(unread.0.is_empty());
    }
}
