//! Reads topics from one end to the other, without a group and without moving anybody's position: what lies there when
//! it begins, and nothing that comes later.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tracing::debug;

use super::BrokerArgs;
use super::headers::Headers;
use super::reach::{ANSWER_TIMEOUT, known};
use crate::topic::{MAX_RECORD_BYTES, Topic};

/// How long nothing may come from a partition that is not read to its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one poll lasts.
const POLL: Duration = Duration::from_millis(100);
/// Records that wait for whoever reads them; each may have megabytes.
const AHEAD: usize = 4;

/// What lies in one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    topic: String,
    /// The partition.
    pub partition: i32,
    /// The first place.
    pub from: i64,
    /// The place after the last.
    pub to: i64,
}

impl Span {
    /// Returns how many records it has at the most.
    pub fn records(&self) -> u64 {
        (self.to - self.from).max(0).unsigned_abs()
    }

    /// Returns the part of it that follows `other`, an earlier look at the same partition.
    pub fn after(&self, other: &Self) -> Self {
        Self { from: other.to.max(self.from), ..self.clone() }
    }

    /// Returns the part of it with the last `records`.
    pub fn last(&self, records: i64) -> Self {
        Self { from: self.from.max(self.to - records), ..self.clone() }
    }

    /// Returns the one record at `offset`, if that lies within.
    pub fn only(&self, offset: i64) -> Option<Self> {
        (self.from..self.to).contains(&offset).then(|| Self { from: offset, to: offset + 1, ..self.clone() })
    }
}

/// A record as it lies in a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The partition.
    pub partition: i32,
    /// Its place in it.
    pub offset: i64,
    /// When it was published, in milliseconds since the Unix epoch.
    pub published_ms: i64,
    /// What travels beside the body.
    pub headers: Headers,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The encoded message.
    pub body: Vec<u8>,
}

/// Returns what lies in the topics of a family now, partition by partition.
///
/// # Errors
/// When the topic is missing or the broker does not answer.
pub async fn spans(brokers: &BrokerArgs, topic: Topic) -> Result<Vec<Span>> {
    let there = known(brokers).await?.topics;
    let mut partitions = Vec::new();
    for name in brokers.topic_names(topic) {
        let Some(copies) = there.get(&name) else {
            bail!("topic {name} is missing; create the topics with `spillway topics`");
        };
        partitions.extend((0..copies.len() as i32).map(|partition| (name.clone(), partition)));
    }
    let client = consumer(brokers)?;
    let asked = tokio::task::spawn_blocking(move || {
        let span = |(topic, partition): (String, i32)| {
            let (from, to) = ends(&client, &topic, partition)?;
            Ok::<_, KafkaError>(Span { topic, partition, from, to })
        };
        partitions.into_iter().map(span).collect::<Result<Vec<_>, _>>()
    });
    asked.await?.with_context(|| format!("ask for the ends of topic {}", topic.base()))
}

/// Returns what of it was published at `time` or later.
///
/// # Errors
/// As [`spans`].
pub async fn spans_since(brokers: &BrokerArgs, topic: Topic, time: Timestamp) -> Result<Vec<Span>> {
    let spans = spans(brokers, topic).await?;
    let client = consumer(brokers)?;
    let asked = tokio::task::spawn_blocking(move || {
        let mut asked = TopicPartitionList::new();
        for span in &spans {
            asked.add_partition_offset(&span.topic, span.partition, Offset::Offset(time.as_millisecond()))?;
        }
        let found = places(&client, &asked, ANSWER_TIMEOUT)?;
        let begin = |span: Span| {
            let place = found.find_partition(&span.topic, span.partition).and_then(|found| found.offset().to_raw());
            // A partition without such a record answers with its end, which has no number.
            let from = place.filter(|place| *place >= 0).unwrap_or(span.to).clamp(span.from, span.to);
            Span { from, ..span }
        };
        Ok(spans.into_iter().map(begin).collect())
    });
    asked.await?
}

/// Asks for the ends of a partition.
fn ends(client: &BaseConsumer, topic: &str, partition: i32) -> Result<(i64, i64), KafkaError> {
    let what = format_args!("the ends of {topic}/{partition}");
    ask_within(ANSWER_TIMEOUT, what, |left| client.fetch_watermarks(topic, partition, left))
}

/// Asks for places by time, or for ends, of all partitions in `asked`.
pub(super) fn places<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    asked: &TopicPartitionList,
    patience: Duration,
) -> Result<TopicPartitionList> {
    let what = format_args!("places in partitions");
    ask_within(patience, what, |left| client.offsets_for_times(asked.clone(), left))
        .context("ask for places in partitions")
}

/// Puts a question within `patience`, again where a leader changes meanwhile or is not known everywhere yet, as after topics
/// were made. `ask` is told how long it may take.
fn ask_within<T>(
    patience: Duration,
    what: Arguments<'_>,
    ask: impl Fn(Duration) -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let begun = Instant::now();
    loop {
        let left = patience.saturating_sub(begun.elapsed()).max(POLL);
        match ask(left) {
            Err(error) if begun.elapsed() < patience => {
                debug!(%error, "asking for {what}");
                std::thread::sleep(POLL);
            }
            answer => return answer,
        }
    }
}

/// Gives every record of `spans` to `work`: in order within a partition, `at_once` partitions at a time.
///
/// # Errors
/// The first of `work`, or that the broker does not give what it should have.
pub async fn for_each<Work>(
    brokers: &BrokerArgs,
    spans: Vec<Span>,
    at_once: usize,
    work: impl Fn(Stored) -> Work,
) -> Result<()>
where
    Work: Future<Output = Result<()>>,
{
    let work = &work;
    let reading = futures::stream::iter(spans).map(|span| async move {
        let mut records = read(brokers, span)?;
        while let Some(record) = records.recv().await {
            work(record?).await?;
        }
        Ok(())
    });
    reading.buffer_unordered(at_once).try_collect().await
}

/// Reads the records of one partition, a few ahead of whoever takes them; ends with the span.
///
/// # Errors
/// When the client's settings are not accepted.
pub fn read(brokers: &BrokerArgs, span: Span) -> Result<mpsc::Receiver<Result<Stored>>> {
    let (give, records) = mpsc::channel(AHEAD);
    if span.from >= span.to {
        return Ok(records);
    }
    let client = consumer(brokers)?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(&span.topic, span.partition, Offset::Offset(span.from))?;
    client.assign(&assignment).with_context(|| format!("read {}/{}", span.topic, span.partition))?;
    tokio::task::spawn_blocking(move || {
        if let Err(error) = pump(&client, &span, &give) {
            // Whoever read is gone if this fails, and needs no error.
            let _ = give.blocking_send(Err(error));
        }
    });
    Ok(records)
}

/// Passes records on until the span's end, or until nobody wants them.
fn pump(client: &BaseConsumer, span: &Span, give: &mpsc::Sender<Result<Stored>>) -> Result<()> {
    let mut silence = Duration::ZERO;
    while !give.is_closed() {
        match client.poll(POLL) {
            Some(Ok(message)) if message.offset() >= span.to => return Ok(()),
            Some(Ok(message)) => {
                silence = Duration::ZERO;
                let is_last = message.offset() + 1 >= span.to;
                if give.blocking_send(Ok(stored(&message))).is_err() || is_last {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
            // Brokers that are away are asked again; patience ends below.
            Some(Err(error)) => debug!(%error, "reading a topic"),
            None => silence += POLL,
        }
        if silence > PATIENCE {
            return Err(anyhow!("{}/{} gave nothing for {PATIENCE:?}", span.topic, span.partition));
        }
    }
    Ok(())
}

pub(super) fn stored(message: &BorrowedMessage<'_>) -> Stored {
    let mut headers = Headers::default();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers
            .put(header.key.to_owned().into(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned());
    }
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        published_ms: message.timestamp().to_millis().unwrap_or_default(),
        headers,
        key: message.key().map(<[u8]>::to_vec),
        body: message.payload().unwrap_or_default().to_vec(),
    }
}

fn consumer(brokers: &BrokerArgs) -> Result<BaseConsumer> {
    settings(brokers)?.create().context("make a Kafka consumer")
}

/// Returns the settings of a consumer that reads what lies in topics.
pub(super) fn settings(brokers: &BrokerArgs) -> Result<ClientConfig> {
    let mut config = brokers.client()?;
    config
        // The client wants a name, but partitions are assigned by hand and nothing is committed: no group is joined.
        .set("group.id", format!("{}reader", brokers.topic_prefix))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", "1024")
        .set("fetch.max.bytes", MAX_RECORD_BYTES.to_string())
        .set("max.partition.fetch.bytes", "1048576")
        .set("receive.message.max.bytes", (2 * MAX_RECORD_BYTES).to_string());
    Ok(config)
}
