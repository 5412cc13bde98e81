//! A consumer and a producer with everybody's settings and nothing around them: beside it is measured what the
//! machinery costs. Nothing is lost track of more carefully than a measurement needs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, Message as _};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::producer::IN_FLIGHT_KIB;
use super::{BrokerArgs, topics};

/// One wait for a record.
const POLL: Duration = Duration::from_millis(100);
/// How long nothing may come before a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Passes `count` records of the topics `from` on to `to`, as a member of `group` of its own; blocks the calling thread. Returns
/// the time from the first record until the last one is acknowledged.
///
/// # Errors
/// When a client cannot be made, no record comes for a minute, or one is not acknowledged.
pub fn relay(
    brokers: &BrokerArgs,
    group: &str,
    from: &[String],
    to: &str,
    partitions: i32,
    count: usize,
) -> Result<Duration> {
    let mut config = brokers.consumer(group)?;
    // Positions are stored as records are read: there is nobody who keeps them until the work is done.
    config.set("enable.auto.offset.store", "true");
    let consumer: BaseConsumer = config.create().context("make a bare consumer")?;
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    consumer.subscribe(&from).context("subscribe to topics")?;
    let producer =
        ThreadedProducer::<Acks>::from_config_and_context(&brokers.producer(IN_FLIGHT_KIB)?, Acks::default());
    let producer: ThreadedProducer<Acks> = producer.context("make a bare producer")?;
    let (mut begun, mut last) = (None, Instant::now());
    let mut passed = 0;
    while passed < count {
        let Some(message) = consumer.poll(POLL) else {
            ensure!(last.elapsed() < PATIENCE, "{passed} of {count} records came");
            continue;
        };
        let message = message.context("read a record")?;
        last = Instant::now();
        begun.get_or_insert(last);
        let partition = (passed % partitions.max(1) as usize) as i32;
        let mut record =
            BaseRecord::<(), [u8]>::to(to).partition(partition).payload(message.payload().unwrap_or_default());
        record.headers = message.headers().map(BorrowedHeaders::detach);
        loop {
            record = match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => record,
                Err((error, _)) => return Err(error).context("send a record"),
            };
            std::thread::sleep(Duration::from_micros(200));
        }
        passed += 1;
    }
    let acks = producer.context();
    while acks.done.load(Ordering::Acquire) < count {
        ensure!(last.elapsed() < PATIENCE, "not all records were acknowledged");
        std::thread::sleep(Duration::from_micros(100));
    }
    let took = begun.unwrap_or(last).elapsed();
    ensure!(acks.failed.load(Ordering::Acquire) == 0, "a record was not acknowledged");
    Ok(took)
}

/// Counts acknowledgements.
#[derive(Default)]
struct Acks {
    done: AtomicUsize,
    failed: AtomicUsize,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.failed.fetch_add(1, Ordering::AcqRel);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }
}

/// Reads what is published to topics from now on, as it comes, without a group.
pub struct Tail {
    arrivals: Receiver<(Vec<u8>, Instant)>,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Tail {
    /// Reads from the end of `topics` on, each with `partitions` partitions; blocks until it is sure where that is.
    ///
    /// # Errors
    /// When the brokers do not say.
    pub fn start(brokers: &BrokerArgs, topics: &[String], partitions: i32) -> Result<Self> {
        let mut config = brokers.consumer("tail")?;
        config.set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().context("make a bare consumer")?;
        let mut ends = TopicPartitionList::new();
        for (topic, partition) in topics.iter().flat_map(|topic| (0..partitions).map(move |number| (topic, number))) {
            let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).context("find the end of a topic")?;
            ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        consumer.assign(&ends).context("read a topic")?;
        let (arrived, arrivals) = channel();
        let (stop, stopped) = channel();
        let read = move || {
            while stopped.try_recv().is_err_and(|error| error == std::sync::mpsc::TryRecvError::Empty) {
                // An error is one of a broker for a moment; whoever waits for records gives up by himself.
                if let Some(Ok(message)) = consumer.poll(POLL)
                    && arrived.send((message.payload().unwrap_or_default().to_vec(), Instant::now())).is_err()
                {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tail".to_owned()).spawn(read).context("start a thread")?;
        Ok(Self { arrivals, stop, thread: Some(thread) })
    }

    /// Waits for the next record; blocks the calling thread. Returns its body and when it came.
    ///
    /// # Errors
    /// When none comes for a minute.
    pub fn next(&self) -> Result<(Vec<u8>, Instant)> {
        self.arrivals.recv_timeout(PATIENCE).map_err(|_| anyhow!("no record came for {PATIENCE:?}"))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Deletes all records of the topics `names`, each with `partitions` partitions.
///
/// # Errors
/// When the brokers do not.
pub async fn clear(brokers: &BrokerArgs, names: &[String], partitions: i32) -> Result<()> {
    let mut all = TopicPartitionList::new();
    for name in names {
        for partition in 0..partitions {
            all.add_partition_offset(name, partition, Offset::End)?;
        }
    }
    let cleared = topics::admin(brokers)?.delete_records(&all, &topics::options()).await.context("clear topics")?;
    match cleared.elements().iter().find_map(|element| element.error().err()) {
        Some(error) => bail!("clear topics: {error}"),
        None => Ok(()),
    }
}
