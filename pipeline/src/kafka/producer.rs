//! What goes out: acknowledged by all replicas, spread evenly or by video, never more in flight than fits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use async_trait::async_trait;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::BrokerArgs;
use super::args::log;
use super::headers::{Header, Headers};
use super::reach::known;
use super::remind::remind;
use crate::event::Envelope;
use crate::failure::Failure;
use crate::id::VideoId;
use crate::lane::Lane;
use crate::outbox::Sink;
use crate::topic::{Spread, Topic};

/// How much may be in flight, in KiB; a record of the largest size fits several times.
pub(super) const IN_FLIGHT_KIB: u32 = 32 << 10;

/// How long one poll for deliveries lasts; those that come meanwhile are heard at once. Longer than idle workers are
/// silent.
const POLL: Duration = Duration::from_secs(8);

/// How long to wait when librdkafka's own queue is full in spite of our permits.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// A record to be published.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The family of topics.
    pub topic: Topic,
    /// Which of them.
    pub lane: Lane,
    /// The key, if any.
    pub key: Option<&'a [u8]>,
    /// The video whose hash chooses the partition, for topics spread by video.
    pub video: Option<VideoId>,
    /// What travels beside the body.
    pub headers: &'a Headers,
    /// The encoded message.
    pub body: &'a [u8],
}

/// Publishes to Kafka. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    client: Arc<BaseProducer<Deliveries>>,
    brokers: Arc<BrokerArgs>,
    routes: Arc<RwLock<Routes>>,
    in_flight: Arc<Semaphore>,
}

impl Producer {
    /// Connects to the brokers, so that the first record finds everything open.
    ///
    /// # Errors
    /// When no broker answers.
    pub async fn connect(brokers: &BrokerArgs) -> Result<Self> {
        let config = brokers.producer(IN_FLIGHT_KIB)?;
        let client = BaseProducer::from_config_and_context(&config, Deliveries::default());
        let client = Arc::new(client.context("make a Kafka producer")?);
        serve(client.clone(), brokers.clone())?;
        let producer = Self {
            client,
            brokers: Arc::new(brokers.clone()),
            routes: Arc::default(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_KIB as usize)),
        };
        producer.learn_topics().await?;
        Ok(producer)
    }

    /// Sends `envelope` on its way; `batch` learns what becomes of it. Waits while too much is in flight.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the broker cannot be reached; [`Failure::Retry`] when it will not have the record.
    pub async fn send(&self, envelope: &Envelope, batch: &Batch) -> Result<(), Failure> {
        let mut headers = Headers::default();
        headers.set(Header::FirstPublished, jiff::Timestamp::now().as_millisecond().to_string());
        headers.set(Header::Unit, &envelope.unit_key);
        headers.trace_current_span();
        let key = envelope.key.map(|video| video.to_string());
        let post = Post {
            topic: envelope.topic,
            lane: envelope.lane,
            key: key.as_ref().map(String::as_bytes),
            video: envelope.key,
            headers: &headers,
            body: &envelope.body,
        };
        self.post(post, batch).await
    }

    /// Sends a record as it is.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn post(&self, post: Post<'_>, batch: &Batch) -> Result<(), Failure> {
        let route = self.route(post.topic, post.lane).await?;
        let partition = route.partitions.choose(post.topic.spec().spread, post.video);
        let size_kib = post.body.len().div_ceil(1024).clamp(1, IN_FLIGHT_KIB as usize) as u32;
        let permit =
            self.in_flight.clone().acquire_many_owned(size_kib).await.map_err(|e| Failure::Unavailable(e.into()))?;
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(&route.topic, batch.delivery(permit))
            .partition(partition)
            .payload(post.body)
            .headers(post.headers.to_kafka());
        record.key = post.key;
        loop {
            record = match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => record,
                Err((error, record)) => {
                    record.delivery_opaque.batch.settle(None);
                    return Err(failure(error));
                }
            };
            tokio::time::sleep(QUEUE_FULL_PAUSE).await;
        }
    }

    /// Publishes the last word about `key` in a topic that has no lanes, and waits for its acknowledgement. What such a
    /// topic says is read as a whole, so it has one partition: what was said later comes later.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub async fn say(&self, topic: Topic, key: &str, body: &[u8]) -> Result<(), Failure> {
        let (headers, batch) = (Headers::default(), Batch::default());
        let key = Some(key.as_bytes());
        let post = Post { topic, lane: Lane::Standard, key, video: None, headers: &headers, body };
        self.post(post, &batch).await?;
        batch.acknowledged().await
    }

    /// Says whether the last record was acknowledged.
    ///
    /// # Errors
    /// Why it was not.
    pub fn serves(&self) -> Result<(), String> {
        if let Some(text) = self.broken() {
            return Err(text);
        }
        let down = self.client.context().down.load(Ordering::Relaxed);
        if down { Err("the broker does not acknowledge".to_owned()) } else { Ok(()) }
    }

    /// Returns why this producer can never publish again, if so.
    pub fn broken(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(code, text)| format!("{code}: {text}"))
    }

    /// Waits until all that was sent is acknowledged or failed.
    ///
    /// # Errors
    /// When that takes longer than `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        let client = self.client.clone();
        tokio::task::spawn_blocking(move || client.flush(timeout)).await?.context("flush the producer")
    }

    async fn route(&self, topic: Topic, lane: Lane) -> Result<Arc<Route>, Failure> {
        let known = || self.routes.read().unwrap_or_else(PoisonError::into_inner).get(&(topic, lane)).cloned();
        if let Some(route) = known() {
            return Ok(route);
        }
        self.learn_topics().await.map_err(Failure::Unavailable)?;
        let name = self.brokers.topic_name(topic, lane);
        known().ok_or_else(|| Failure::Unavailable(anyhow!("topic {name} is missing")))
    }

    async fn learn_topics(&self) -> Result<()> {
        let topics = known(&self.brokers).await?.topics;
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        for (topic, lane) in Topic::all().flat_map(|topic| Lane::ALL.map(|lane| (topic, lane))) {
            let name = self.brokers.topic_name(topic, lane);
            let Some(partitions) = topics.get(&name).filter(|partitions| !partitions.is_empty()) else { continue };
            let new = || Arc::new(Route { partitions: Partitions::new(partitions.len() as i32), topic: name });
            routes.entry((topic, lane)).or_insert_with(new);
        }
        Ok(())
    }
}

/// Hears of deliveries on a thread of its own, until nobody else has the client. (`ThreadedProducer` does this too,
/// but polls for 100 ms at a time, and each poll ends with up to a millisecond of spinning: 0.7 % of a core when idle.)
fn serve(client: Arc<BaseProducer<Deliveries>>, brokers: BrokerArgs) -> Result<()> {
    let poll = move || {
        let mut reminded = None;
        while Arc::strong_count(&client) > 1 {
            client.poll(POLL);
            let is_down = client.context().down.load(Ordering::Relaxed);
            if is_down && reminded.is_none_or(|at: Instant| at.elapsed() > POLL) {
                remind(client.client(), &brokers);
                reminded = Some(Instant::now());
            }
        }
    };
    std::thread::Builder::new().name("deliveries".to_owned()).spawn(poll).context("start a thread")?;
    Ok(())
}

#[async_trait]
impl Sink for Producer {
    /// Publishes one record and waits for its acknowledgement.
    async fn publish(&self, envelope: Envelope) -> Result<(), Failure> {
        let batch = Batch::default();
        self.send(&envelope, &batch).await?;
        batch.acknowledged().await
    }

    /// Has nothing to wait for: each record was acknowledged before `publish` returned.
    async fn flush(&self) -> Result<(), Failure> {
        Ok(())
    }
}

type Routes = HashMap<(Topic, Lane), Arc<Route>>;

/// Where records of one family and lane go.
struct Route {
    topic: String,
    partitions: Partitions,
}

/// The partitions of one topic and whose turn it is.
struct Partitions {
    count: u32,
    turn: AtomicU32,
}

impl Partitions {
    /// Starts at a random partition, or every new process would fill the first ones.
    fn new(count: i32) -> Self {
        Self { count: count as u32, turn: AtomicU32::new(rand::random()) }
    }

    fn choose(&self, spread: Spread, video: Option<VideoId>) -> i32 {
        let chosen = match (spread, video) {
            // Stable for ever: what is gathered of a video must meet in one partition. The id is random as it is.
            (Spread::ByVideo, Some(video)) => (u128::from_be_bytes(*video.as_bytes()) % u128::from(self.count)) as u32,
            _ => self.turn.fetch_add(1, Ordering::Relaxed) % self.count,
        };
        chosen as i32
    }
}

/// Records sent together, to be acknowledged together. Cheap to clone.
#[derive(Clone, Default)]
pub struct Batch(Arc<Acks>);

#[derive(Default)]
struct Acks {
    state: Mutex<AckState>,
    changed: Notify,
}

#[derive(Default)]
struct AckState {
    outstanding: usize,
    failed: Option<KafkaError>,
}

impl Batch {
    /// Waits until every record of the batch is acknowledged.
    ///
    /// # Errors
    /// As [`Producer::send`], when one was not.
    pub async fn acknowledged(&self) -> Result<(), Failure> {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.0.lock();
                if state.outstanding == 0 {
                    return state.failed.take().map_or(Ok(()), |error| Err(failure(error)));
                }
            }
            changed.await;
        }
    }

    /// Returns how many records are neither acknowledged nor failed.
    pub fn outstanding(&self) -> usize {
        self.0.lock().outstanding
    }

    fn delivery(&self, permit: OwnedSemaphorePermit) -> Box<Delivery> {
        self.0.lock().outstanding += 1;
        Box::new(Delivery { batch: self.0.clone(), _permit: permit })
    }
}

impl Acks {
    fn lock(&self) -> MutexGuard<'_, AckState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, error: Option<KafkaError>) {
        let mut state = self.lock();
        state.outstanding -= 1;
        if state.failed.is_none() {
            state.failed = error;
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// One record on its way; dropping it makes room for others.
struct Delivery {
    batch: Arc<Acks>,
    _permit: OwnedSemaphorePermit,
}

/// Hears what becomes of records.
#[derive(Default)]
struct Deliveries {
    down: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "trouble with Kafka");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let error = result.as_ref().err().map(|(error, _)| error.clone());
        self.down.store(error.is_some(), Ordering::Relaxed);
        delivery.batch.settle(error);
    }
}

/// Says what a record that was not acknowledged means for the work it came from.
fn failure(error: KafkaError) -> Failure {
    let refused = [
        RDKafkaErrorCode::MessageSizeTooLarge,
        RDKafkaErrorCode::InvalidMessage,
        RDKafkaErrorCode::InvalidMessageSize,
        RDKafkaErrorCode::InvalidRecord,
    ];
    let code = error.rdkafka_error_code();
    let context = anyhow::Error::from(error).context("publish to Kafka");
    match code {
        Some(code) if refused.contains(&code) => Failure::Retry(context),
        _ => Failure::Unavailable(context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_without_key_fill_partitions_evenly_and_keyed_ones_stay() {
        let partitions = Partitions::new(12);
        let mut counts = [0; 12];
        for _ in 0..1200 {
            counts[partitions.choose(Spread::Even, None) as usize] += 1;
        }
        assert_eq!(counts, [100; 12]);
        let video: VideoId = "6e8bc430-9c3a-51d9-9669-4704b4f5a1d3".parse().expect("a uuid");
        assert_eq!(partitions.choose(Spread::ByVideo, Some(video)), 11);
        assert_eq!(partitions.choose(Spread::ByVideo, Some(video)), 11);
    }
}
