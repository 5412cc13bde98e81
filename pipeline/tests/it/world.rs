//! Topics of a test's own, a stage whose work the test scripts, and eyes to see what became of records.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use pipeline::event::{Envelope, Event, Job, Options, Outgoing, VideoEvent, VideoSource, VideoSubmitted};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, UnitId, VideoId};
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{BrokerArgs, Producer, topics};
use pipeline::lane::Lane;
use pipeline::outbox::{Outbox, Pulse, Sink};
use pipeline::runner::{Readiness, RunnerArgs, Sizing, Worker, run};
use pipeline::stage::{Stage, StageName};
use pipeline::telemetry::{self, LogFormat, Telemetry, TelemetryArgs};
use pipeline::topic::Topic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::doubles::Claims;
use testing::kafka::broker;
use testing::until::until;

/// Where spans are sent: nothing listens there.
const NO_COLLECTOR: &str = "http://127.0.0.1:9";

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something, for as long as any condition may take.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    until(what, PATIENCE, look)
}

/// Starts tracing for all tests, as a process does that sends spans; nobody takes them. Logs are off unless
/// `SPILLWAY_LOG` says what to show: spans travel all the same.
fn traced() {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    let log = std::env::var("SPILLWAY_LOG").unwrap_or_else(|_| "off".to_owned());
    let args = TelemetryArgs { log, log_format: LogFormat::Text, otlp: Some(NO_COLLECTOR.to_owned()) };
    TELEMETRY.get_or_init(|| telemetry::start(&args, "test").unwrap());
}

/// Topics, group and store of one test.
pub struct World {
    pub brokers: BrokerArgs,
    pub producer: Producer,
    pub store: Arc<Claims>,
}

/// A worker that runs.
pub struct Running {
    pub readiness: Readiness,
    let_go: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Tells it to stop and waits for its end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await.expect("the runner does not panic")
    }

    /// Waits until it ends by itself.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.task.await.expect("the runner does not panic")
    }

    /// Tells it to stop.
    pub fn tell(&self) {
        self.stop.cancel();
    }

    /// Tells it that it is one too many.
    pub fn let_go(&self) {
        self.let_go.cancel();
    }

    pub async fn joined(&self) {
        eventually("the worker joins", async || self.readiness.group().ok()).await;
    }
}

impl World {
    /// Makes topics with `partitions` partitions that nobody else uses.
    pub async fn new(partitions: i32) -> Self {
        let prefix = format!("t{}.", VideoId::random().to_string().split('-').next().unwrap());
        Self::with_prefix(partitions, prefix).await
    }

    pub async fn with_prefix(partitions: i32, topic_prefix: String) -> Self {
        let brokers = BrokerArgs { topic_prefix, ..BrokerArgs::new(broker()) };
        Self::at(brokers, Shape::with_partitions(partitions)).await
    }

    /// Makes topics at brokers of the test's own.
    pub async fn at(brokers: BrokerArgs, shape: Shape) -> Self {
        traced();
        topics::ensure(&brokers, shape).await.unwrap();
        let producer = Producer::connect(&brokers).await.unwrap();
        Self { brokers, producer, store: Arc::default() }
    }

    pub fn start<S: Stage>(&self, stage: S, args: RunnerArgs) -> Running {
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let store = self.store.clone();
        let worker = Worker {
            args,
            brokers: self.brokers.clone(),
            store,
            readiness: readiness.clone(),
            sizing: Sizing::default(),
        };
        let let_go = worker.sizing.let_go.clone();
        let task = tokio::spawn(run(stage, worker, stop.clone()));
        Running { readiness, let_go, stop, task }
    }

    /// Publishes a new video; records go round the partitions.
    pub async fn submit(&self, lane: Lane) -> VideoId {
        self.try_submit(lane).await.unwrap()
    }

    /// Publishes a new video if the broker takes it.
    pub async fn try_submit(&self, lane: Lane) -> Result<VideoId, Failure> {
        let video = VideoId::random();
        self.producer.publish(Envelope::of(&submitted(video, lane))).await?;
        Ok(video)
    }

    pub async fn submit_many(&self, lane: Lane, count: usize) -> Vec<VideoId> {
        futures::future::join_all((0..count).map(|_| self.submit(lane))).await
    }

    /// Returns the group's committed position in each partition of the topic.
    pub async fn committed(&self, stage: StageName, topic: Topic, lane: Lane) -> BTreeMap<i32, i64> {
        let (topic, group) = (self.brokers.topic_name(topic, lane), self.brokers.group(stage));
        let client = self.client(&group);
        blocking(move || {
            let mut asked = TopicPartitionList::new();
            for partition in partitions(&client, &topic) {
                asked.add_partition(&topic, partition);
            }
            let begun = std::time::Instant::now();
            let answered = loop {
                match client.committed_offsets(asked.clone(), Duration::from_secs(10)) {
                    Ok(answered) => break answered,
                    // A group that is new has no coordinator for a moment.
                    Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
                }
                std::thread::sleep(Duration::from_millis(50));
            };
            answered.elements().iter().map(|e| (e.partition(), e.offset().to_raw().unwrap_or(0).max(0))).collect()
        })
        .await
    }

    /// Waits until the group's positions in the topic add up to `records`.
    pub async fn all_acknowledged(&self, stage: StageName, topic: Topic, lane: Lane, records: usize) {
        eventually("all records are acknowledged", async || {
            let positions = self.committed(stage, topic, lane).await;
            (positions.values().sum::<i64>() == records as i64).then_some(())
        })
        .await;
    }

    /// Reads all that is in a family of topics now.
    pub async fn read(&self, topic: Topic) -> Vec<Seen> {
        let (names, client) = (self.brokers.topic_names(topic), self.client("reader"));
        blocking(move || names.iter().flat_map(|name| read_all(&client, name)).collect()).await
    }

    /// Reads a family of topics until it holds `count` records.
    pub async fn read_when(&self, topic: Topic, count: usize) -> Vec<Seen> {
        let enough = async || Some(self.read(topic).await).filter(|seen| seen.len() >= count);
        eventually(&format!("{count} records in {}", topic.base()), enough).await
    }

    pub async fn events(&self) -> Vec<VideoEvent> {
        self.read(Topic::VideoEvent).await.iter().map(|seen| VideoEvent::read(&seen.body).unwrap()).collect()
    }

    fn client(&self, group: &str) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers.brokers).set("group.id", group).set("fetch.wait.max.ms", "10");
        config.set("enable.partition.eof", "true").set("enable.auto.commit", "false").create().unwrap()
    }
}

/// A record as it lies in a topic.
#[derive(Debug)]
pub struct Seen {
    pub body: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn partitions(client: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    metadata.topics()[0].partitions().iter().map(|p| p.id()).collect()
}

fn read_all(client: &BaseConsumer, topic: &str) -> Vec<Seen> {
    let mut assignment = TopicPartitionList::new();
    let partitions = partitions(client, topic);
    for partition in &partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    client.assign(&assignment).unwrap();
    let (mut seen, mut ended) = (Vec::new(), 0);
    while ended < partitions.len() {
        match client.poll(Duration::from_secs(10)) {
            Some(Ok(message)) => {
                let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                let headers = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
                seen.push(Seen { body: message.payload().unwrap_or_default().to_vec(), headers });
            }
            Some(Err(_)) => ended += 1,
            None => {}
        }
    }
    seen
}

pub fn submitted(video: VideoId, lane: Lane) -> VideoSubmitted {
    let job = Job::new(&TenantId::default_tenant(), video, lane, Options::default());
    VideoSubmitted { job, source: Some(VideoSource::Url("http://example.org/".to_owned())) }
}

pub fn unit_of(video: VideoId) -> UnitId {
    UnitId::derive("fetch", &TenantId::default_tenant(), video, "video")
}

/// Quick everywhere, so that no test waits long.
pub fn quick() -> RunnerArgs {
    let ms = Duration::from_millis;
    RunnerArgs { backoff: ms(20), backoff_max: ms(200), claim_lease: Duration::from_secs(6), ..RunnerArgs::default() }
}

/// What a [`Scripted`] stage says: the id of the video, in `video.ready`.
pub struct Said(pub Job);

impl Outgoing for Said {
    fn envelope(&self) -> Envelope {
        let body = self.0.video().as_bytes().to_vec();
        Envelope { topic: Topic::VideoReady, lane: self.0.lane(), key: None, unit_key: "video".to_owned(), body }
    }
}

type Script = dyn Fn(Job, Pulse) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// A work stage that does what the test says, then says one thing. Cheap to clone, so that several workers share it.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Script>,
    pub seen: Arc<Seeing>,
}

/// What the workers of a test did.
#[derive(Default)]
pub struct Seeing {
    /// The jobs in the order in which attempts began.
    pub begun: Mutex<Vec<Job>>,
    pub running: AtomicUsize,
    pub most_running: AtomicUsize,
}

impl Seeing {
    pub fn count(&self) -> usize {
        self.begun.lock().unwrap().len()
    }

    /// Waits until `count` attempts have begun.
    pub async fn begun(&self, count: usize) {
        eventually(&format!("{count} attempts begin"), async || (self.count() >= count).then_some(())).await;
    }

    /// Returns how often each video was tried.
    pub fn attempts(&self) -> BTreeMap<VideoId, usize> {
        let mut attempts = BTreeMap::new();
        for job in self.begun.lock().unwrap().iter() {
            *attempts.entry(job.video()).or_default() += 1;
        }
        attempts
    }
}

impl Scripted {
    pub fn new<F, Work>(script: F) -> Self
    where
        F: Fn(Job, Pulse) -> Work + Send + Sync + 'static,
        Work: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Self { script: Arc::new(move |job, pulse| Box::pin(script(job, pulse))), seen: Arc::default() }
    }

    /// A stage whose units wait until `gate` gives each a permit.
    pub fn gated(gate: Arc<tokio::sync::Semaphore>) -> Self {
        Self::new(move |_, _| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.expect("never closed").forget();
                Ok(())
            }
        })
    }
}

impl Stage for Scripted {
    type In = VideoSubmitted;
    type Out = Said;
    const NAME: StageName = StageName::Fetch;

    fn failed(input: &VideoSubmitted, _: Code, _: &str) -> Vec<Said> {
        vec![Said(input.job.clone())]
    }

    async fn process(&self, input: VideoSubmitted, out: &Outbox<Said>) -> Result<(), Failure> {
        self.seen.begun.lock().unwrap().push(input.job.clone());
        let running = self.seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_running.fetch_max(running, Ordering::SeqCst);
        let worked = (self.script)(input.job.clone(), out.pulse()).await;
        self.seen.running.fetch_sub(1, Ordering::SeqCst);
        worked?;
        out.send(Said(input.job)).await
    }
}
