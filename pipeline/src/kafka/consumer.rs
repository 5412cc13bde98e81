//! A member of a stage's consumer group. Its events are served by a task of their own, records are pulled from
//! feeds when there is room for them, positions are stored when they move, and nothing is ever committed by hand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::BrokerArgs;
use super::args::log;
use super::beginnings;
use super::feed::{Feed, Record};
use super::flow::Flow;
use super::remind::{is_cut_off, remind};
use super::tracker::Tracker;

/// How long changed positions are collected before they are stored.
const STORE_EVERY: Duration = Duration::from_millis(100);
/// For how many times a question's longest wait feeds that bring nothing are held back, but no longer than this.
const HOLD_WAITS: (u32, Duration) = (4, Duration::from_secs(2));
/// How long they are looked at then.
const LOOK: Duration = Duration::from_millis(100);

/// How partitions are put together into queues.
#[derive(Clone, Debug)]
pub enum Feeds {
    /// One a topic, in the order given: a stage's lanes.
    Topics(Vec<String>),
    /// One a partition of the topic: for what is handled in the order of each partition.
    Partitions(String),
}

impl Feeds {
    fn topics(&self) -> Vec<&str> {
        match self {
            Self::Topics(topics) => topics.iter().map(String::as_str).collect(),
            Self::Partitions(topic) => vec![topic],
        }
    }

    fn index(&self, topic: &str, partition: i32) -> usize {
        match self {
            Self::Topics(topics) => topics.iter().position(|known| known == topic).unwrap_or(0),
            Self::Partitions(_) => partition as usize,
        }
    }
}

/// Names a partition: its feed and its number.
type Place = (usize, i32);

/// What the callbacks of a rebalance and the tasks that take records share.
struct Group {
    layout: Feeds,
    fetch_wait: Duration,
    feeds: Mutex<BTreeMap<usize, Arc<Feed>>>,
    /// Also held while a record is taken, so that no record of an old assignment can enter a new tracker.
    trackers: Mutex<HashMap<Place, Arc<Tracker>>>,
    /// Told when any record arrives in a feed of [`Feeds::Topics`].
    arrivals: Arc<Notify>,
    flow: Mutex<Flow>,
    /// Told when who takes much must wait for more.
    starved: Notify,
    /// Told when any record is finished.
    finished: Arc<Notify>,
    /// Counts assignments; 0 before the group was joined.
    assignments: watch::Sender<u64>,
    lag: Mutex<BTreeMap<String, i64>>,
    /// Told when no broker is connected.
    cut_off: Notify,
    closed: AtomicBool,
}

impl Group {
    fn trackers(&self) -> MutexGuard<'_, HashMap<Place, Arc<Tracker>>> {
        self.trackers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feeds(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the partitions of feeds that bring nothing.
    fn still(&self) -> TopicPartitionList {
        let (trackers, feeds, flow) = (self.trackers(), self.feeds(), self.flow());
        let is_still = |index: &usize| flow.is_still(*index) && feeds.get(index).is_some_and(|feed| feed.len() == 0);
        let mut partitions = TopicPartitionList::new();
        for ((_, partition), tracker) in trackers.iter().filter(|((index, _), _)| is_still(index)) {
            partitions.add_partition(tracker.topic(), *partition);
        }
        partitions
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        beginnings::settle(consumer, partitions, self.fetch_wait);
        let client = consumer.client().native_ptr();
        let mut trackers = self.trackers();
        for element in partitions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            // SAFETY: the client is live: it calls us. `Consumer` closes all feeds before it is destroyed.
            let new_feed = || Arc::new(unsafe { Feed::new(client, self.notifier()) });
            let index = self.layout.index(topic, partition);
            let feed = self.feeds().entry(index).or_insert_with(new_feed).clone();
            // SAFETY: as above.
            unsafe { feed.redirect(client, topic, partition) };
            let tracker = Arc::new(Tracker::new(topic, partition, self.finished.clone()));
            if let Some(old) = trackers.insert((index, partition), tracker) {
                old.revoke();
            }
        }
    }

    /// Work of several partitions waits at one place, work of one partition at its own.
    fn notifier(&self) -> Arc<Notify> {
        match self.layout {
            Feeds::Topics(_) => self.arrivals.clone(),
            Feeds::Partitions(_) => Arc::default(),
        }
    }

    /// Stores what is done and forgets the rest; never waits for work in hand.
    fn revoke(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let mut trackers = self.trackers();
        let place = |topic: &str, partition| (self.layout.index(topic, partition), partition);
        let places = partitions.elements().into_iter().map(|e| place(e.topic(), e.partition()));
        let gone: Vec<Arc<Tracker>> = places.filter_map(|place| trackers.remove(&place)).collect();
        store(&gone, |positions| consumer.store_offsets(positions));
        gone.iter().for_each(|tracker| tracker.revoke());
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        warn!(%error, reason, "trouble with Kafka");
    }

    fn stats(&self, statistics: Statistics) {
        let lag_of = |topic: &rdkafka::statistics::Topic| {
            topic.partitions.iter().filter(|(number, _)| **number >= 0).map(|(_, p)| p.consumer_lag_stored.max(0)).sum()
        };
        let lag = statistics.topics.iter().map(|(name, topic)| (name.clone(), lag_of(topic))).collect();
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
        if is_cut_off(&statistics) {
            self.cut_off.notify_one();
        }
    }
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(partitions) => self.assign(consumer, partitions),
            Rebalance::Revoke(partitions) => self.revoke(consumer, partitions),
            Rebalance::Error(error) => warn!(%error, "rebalance failed"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if !matches!(rebalance, Rebalance::Error(_)) {
            info!(partitions = self.trackers().len(), "assignment changed");
            self.assignments.send_modify(|count| *count += 1);
        }
    }
}

/// A member of a consumer group. Leaves it, with its positions sent, when it is closed or dropped.
pub struct Consumer {
    client: Option<Arc<StreamConsumer<Group>>>,
    group: Arc<Group>,
    brokers: BrokerArgs,
    /// How long empty feeds are held back.
    hold: Duration,
}

impl Consumer {
    /// Joins `group` for the topics of `feeds`.
    ///
    /// # Errors
    /// When the settings are not accepted.
    pub fn join(brokers: &BrokerArgs, group: &str, feeds: Feeds) -> Result<Self> {
        let mut config = brokers.consumer(group)?;
        // They tell of every partition in JSON, which is much of what an idle worker does; metrics are read as seldom.
        config.set("statistics.interval.ms", "15000");
        if matches!(feeds, Feeds::Partitions(_)) {
            // A queue of its own for each partition: keep each of them small.
            config.set("queued.max.messages.kbytes", "512");
        }
        let context = Group {
            layout: feeds.clone(),
            fetch_wait: brokers.fetch_wait,
            feeds: Mutex::default(),
            trackers: Mutex::default(),
            arrivals: Arc::default(),
            flow: Mutex::new(Flow::new(Instant::now())),
            starved: Notify::new(),
            finished: Arc::default(),
            assignments: watch::channel(0).0,
            lag: Mutex::default(),
            cut_off: Notify::new(),
            closed: AtomicBool::new(false),
        };
        let client: StreamConsumer<Group> = config.create_with_context(context).context("make a Kafka consumer")?;
        client.subscribe(&feeds.topics()).context("subscribe to topics")?;
        let shared = client.context().clone();
        let (waits, most) = HOLD_WAITS;
        let hold = brokers.fetch_wait.saturating_mul(waits).min(most);
        Ok(Self { client: Some(Arc::new(client)), group: shared, brokers: brokers.clone(), hold })
    }

    /// Serves the group's events; to be polled in a task of its own for as long as the consumer lives.
    ///
    /// # Errors
    /// When the client cannot go on and must be made anew.
    pub fn events(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let client = self.client.clone();
        async move {
            let Some(client) = client else { return Ok(()) };
            loop {
                match client.recv().await {
                    Ok(_) => anyhow::bail!("a record arrived outside its feed"),
                    Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                        return Err(error).context("read from Kafka");
                    }
                    Err(error) => debug!(%error, "reading from Kafka"),
                }
            }
        }
    }

    /// Stores positions as they move; to be polled in a task of its own for as long as the consumer lives.
    pub fn positions(&self) -> impl Future<Output = ()> + Send + use<> {
        let (client, group) = (self.client.clone(), self.group.clone());
        async move {
            loop {
                group.finished.notified().await;
                tokio::time::sleep(STORE_EVERY).await;
                let trackers: Vec<Arc<Tracker>> = group.trackers().values().cloned().collect();
                if let Some(client) = &client {
                    store(&trackers, |positions| client.store_offsets(positions));
                }
            }
        }
    }

    /// Keeps feeds that bring nothing from slowing down one that brings much (`flow` says why they would); to be polled
    /// in a task of its own for as long as the consumer lives.
    pub fn balance(&self) -> impl Future<Output = ()> + Send + use<> {
        let (client, group, hold) = (self.client.clone(), self.group.clone(), self.hold);
        async move {
            let Some(client) = client else { return };
            loop {
                group.starved.notified().await;
                if !group.flow().is_much(Instant::now()) {
                    continue;
                }
                let still = group.still();
                // Both are answered at once, by a thread of the client's.
                if let Err(error) = client.pause(&still) {
                    debug!(%error, "empty feeds not held back");
                }
                tokio::time::sleep(hold).await;
                if let Err(error) = client.resume(&still) {
                    warn!(%error, "empty feeds not looked at");
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Finds brokers again when all are forgotten (`remind` says how that can be); to be polled in a task of its own for as long
    /// as the consumer lives.
    pub fn reminders(&self) -> impl Future<Output = ()> + Send + use<> {
        let (client, group, brokers) = (self.client.clone(), self.group.clone(), self.brokers.clone());
        async move {
            let Some(client) = client else { return };
            loop {
                group.cut_off.notified().await;
                let (client, brokers) = (client.clone(), brokers.clone());
                let reminded = tokio::task::spawn_blocking(move || remind(client.client(), &brokers)).await;
                debug_assert!(reminded.is_ok(), "reminding does not panic");
            }
        }
    }

    /// Takes the next record of feed `index` in hand, if one waits there.
    pub fn take(&self, index: usize) -> Option<Record> {
        let mut records = VecDeque::new();
        self.take_some(index, 1, &mut records);
        records.pop_front()
    }

    /// Takes records of feed `index` in hand until they have `bytes` together, or none waits there.
    pub fn take_some(&self, index: usize, bytes: usize, records: &mut VecDeque<Record>) {
        let Some(feed) = self.group.feeds().get(&index).cloned() else { return };
        let trackers = self.group.trackers();
        let mut taken = 0;
        while taken < bytes {
            let message = match feed.pop() {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    warn!(%error, "cannot read a partition");
                    continue;
                }
            };
            if let Some(tracker) = trackers.get(&(index, message.partition())) {
                taken += message.len().max(1);
                let ticket = tracker.begin(message.offset());
                records.push_back(message.into_record(ticket));
            }
        }
        drop(trackers);
        if taken > 0 {
            self.group.flow().took(index, taken, Instant::now());
        }
    }

    /// Waits until records may have arrived in a feed of [`Feeds::Topics`].
    pub async fn arrived(&self) {
        if self.group.flow().is_much(Instant::now()) {
            self.group.starved.notify_one();
        }
        self.group.arrivals.notified().await;
    }

    /// Waits until records may have arrived in the feed of one partition.
    pub async fn arrived_in(&self, partition: i32) {
        let feed = self.group.feeds().get(&(partition as usize)).cloned();
        match feed {
            Some(feed) => feed.arrivals().notified().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the partitions held.
    pub fn held(&self) -> Vec<Arc<Tracker>> {
        self.group.trackers().values().cloned().collect()
    }

    /// Returns a counter of assignments to wait on; 0 until the group was joined.
    pub fn assignments(&self) -> watch::Receiver<u64> {
        self.group.assignments.subscribe()
    }

    /// Returns how many records wait in all feeds.
    pub fn queued(&self) -> usize {
        self.group.feeds().values().map(|feed| feed.len()).sum()
    }

    /// Returns how many records of each topic's held partitions are not acknowledged, as of some seconds ago.
    pub fn lag(&self) -> BTreeMap<String, i64> {
        self.group.lag.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves the partitions to the other members, for good. What is in hand may be finished, and is acknowledged by
    /// whoever has its partition then. The events must still be served.
    pub fn leave(&self) {
        if let Some(client) = &self.client {
            client.unsubscribe();
        }
    }

    /// Sends the positions and leaves the group. Both futures that serve the consumer must have ended.
    pub async fn close(self) {
        // Closing waits for the broker's answer.
        let closed = tokio::task::spawn_blocking(move || drop(self)).await;
        debug_assert!(closed.is_ok(), "closing does not panic");
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // What was finished in the last moments is stored by the revocation that closing brings about. No task
        // serves events any more, so no assignment can come between the flag and the feeds.
        self.group.closed.store(true, Ordering::Release);
        for feed in self.group.feeds().values() {
            feed.close();
        }
        drop(self.client.take());
    }
}

/// Stores the positions that moved.
fn store(trackers: &[Arc<Tracker>], send: impl FnOnce(&TopicPartitionList) -> Result<(), KafkaError>) {
    let mut positions = TopicPartitionList::new();
    for tracker in trackers {
        if let Some(position) = tracker.moved()
            && let Err(error) =
                positions.add_partition_offset(tracker.topic(), tracker.partition(), Offset::Offset(position))
        {
            warn!(%error, "position not stored");
        }
    }
    if positions.count() > 0
        && let Err(error) = send(&positions)
    {
        // The partition was taken away meanwhile: whoever has it now goes on from the last position sent.
        debug!(%error, "position not stored");
    }
}
