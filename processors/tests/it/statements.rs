//! What segments cost the store over CQL, in statements: the runner and the real gatherers do their work, and statements
//! are counted where they pass on their way to the server.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline::blob::{Blobs, Location};
use pipeline::event::{
    Envelope, Event, Happened, Job, Payload, SegmentKind, SegmentReport, SegmentReportKind, SegmentTotal, UnitDone,
    VideoEvent, VideoSegment, VideoSource,
};
use pipeline::failure::{Code, Failure};
use pipeline::id::UnitId;
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{BrokerArgs, Producer, topics};
use pipeline::outbox::{Collected, Outbox, Pulse, Sink, Source};
use pipeline::payload::Carrier;
use pipeline::runner::{self, Readiness, RunnerArgs, Sizing, Worker};
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::stage::{Stage, StageName};
use pipeline::store::{self, Claim, NewVideo, SharedStore, StoreArgs};
use processors::join::{Join, JoinArgs};
use processors::record::{Record, RecordArgs, Silence};
use processors::services::Services;
use tempfile::TempDir;
use testing::cassandra::{Proxy, cassandra};
use testing::kafka::broker;
use testing::until::until;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::material::job;

/// Segments of a video, and how many of them `join` hears of before it hears how many there are.
const SEGMENTS: u32 = 20;
const BEFORE_TOTAL: u32 = 5;
/// A statement without an answer for half a second is sent twice: what took less than this was counted right.
const SURE: Duration = Duration::from_millis(400);
/// How often is counted what took longer; the least counts.
const TRIES: usize = 3;
/// How long a condition may take to come true.
const LIMIT: Duration = Duration::from_secs(60);

/// A keyspace that is reached directly and through a proxy that counts.
struct Rig {
    direct: SharedStore,
    services: Services,
    proxy: Proxy,
    _folder: TempDir,
}

impl Rig {
    async fn new() -> Self {
        // To make the tables takes longer than all that is counted; every video is another one.
        static KEYSPACE: LazyLock<String> = LazyLock::new(|| format!("spillway_{}", Uuid::new_v4().simple()));
        let open = async |node: &str| {
            let keyspace = &*KEYSPACE;
            let args = StoreArgs::at(format!("cql://{node}/{keyspace}").parse().expect("an address"));
            store::open(&StoreArgs { store_replication: 1, ..args }).await.expect("a store")
        };
        let (direct, proxy) = (open(&cassandra()).await, Proxy::start(cassandra()).await);
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Location::Folder(folder.path().join("blobs"))).expect("blobs");
        let services = Services {
            store: open(proxy.address()).await,
            carrier: Carrier::new(blobs, 4 << 20),
            runtime: Runtime::new(&RuntimeArgs { runtime: Some(folder.path().to_owned()) }),
        };
        Self { direct, services, proxy, _folder: folder }
    }

    /// Accepts a video.
    async fn accept(&self) -> Job {
        let job = job(Default::default());
        let video = NewVideo {
            job: job.clone(),
            source: VideoSource::Url("https://example.org/talk.mp4".to_owned()),
            name: "talk.mp4".to_owned(),
            created_at: Timestamp::now(),
            request_hash: String::new(),
        };
        self.direct.create_video(&video).await.expect("a video");
        job
    }

    /// Returns how many statements `work` sends, and how long it takes.
    async fn count(&self, work: impl Future<Output = ()>) -> (usize, Duration) {
        let (begun, passed) = (Instant::now(), self.proxy.passed());
        work.await;
        (self.proxy.passed() - passed, begun.elapsed())
    }
}

/// Returns the outbox of the record that lies at `offset` of a partition.
fn read_at<O: pipeline::event::Outgoing>(offset: i64) -> Outbox<O> {
    let source = Source { partition: 0, offset };
    Outbox::new(Arc::new(Collected::default()), source, Pulse::new(CancellationToken::new()))
}

/// Returns what was counted for each segment: the least, in as few tries as let each be sure.
async fn least(count: impl AsyncFn() -> Vec<(usize, Duration)>) -> Vec<usize> {
    let mut least = count().await;
    for _ in 1..TRIES {
        if least.iter().all(|(_, took)| *took < SURE) {
            break;
        }
        let both = least.into_iter().zip(count().await);
        least = both.map(|(one, other)| (one.0.min(other.0), one.1.min(other.1))).collect();
    }
    least.into_iter().map(|(count, _)| count).collect()
}

/// Checks the least, the mean to a tenth, and the most of what was counted.
#[track_caller]
fn check(counted: &[usize], least: usize, mean: f64, most: usize) {
    let sum: usize = counted.iter().sum();
    let found = (sum as f64 / counted.len() as f64 * 10.0).round() / 10.0;
    let seen = (counted.iter().copied().min(), found, counted.iter().copied().max());
    assert_eq!(seen, (Some(least), mean, Some(most)), "{counted:?}");
}

/// Says when it begins, and does nothing: what is counted is what the runner does about it.
struct Looking(Arc<Semaphore>);

impl Stage for Looking {
    type In = VideoSegment;
    type Out = Silence;
    const NAME: StageName = StageName::Analyze;

    fn failed(_: &VideoSegment, _: Code, _: &str) -> Vec<Silence> {
        Vec::new()
    }

    async fn process(&self, _: VideoSegment, _: &Outbox<Silence>) -> Result<(), Failure> {
        self.0.add_permits(1);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_worker_asks_for_each_segment_as_often_as_is_stated() {
    let rig = Rig::new().await;
    let topic_prefix = format!("{}.", Uuid::new_v4().simple());
    let brokers = BrokerArgs { topic_prefix, ..BrokerArgs::new(broker()) };
    topics::ensure(&brokers, Shape::with_partitions(1)).await.expect("topics");
    let producer = Producer::connect(&brokers).await.expect("a producer");
    let (begun, stop) = (Arc::new(Semaphore::new(0)), CancellationToken::new());
    let worker = Worker {
        args: RunnerArgs::default(),
        brokers,
        store: rig.services.store.clone(),
        readiness: Readiness::default(),
        sizing: Sizing::default(),
    };
    let running = tokio::spawn(runner::run(Looking(begun.clone()), worker, stop.clone()));
    let counted = least(async || {
        let mut counted = Vec::new();
        let job = rig.accept().await;
        for index in 0..SEGMENTS {
            let segment = VideoSegment { job: job.clone(), index, ..VideoSegment::default() };
            let unit = UnitId::derive("analyze", &job.tenant(), job.video(), &segment.unit_key());
            let work = async {
                producer.publish(Envelope::of(&segment)).await.expect("published");
                begun.acquire().await.expect("never closed").forget();
                until("the unit is finished", LIMIT, async || {
                    let claim = rig.direct.claim(unit, "the test", Timestamp::now(), Duration::from_secs(1)).await;
                    (claim.expect("a store") == Claim::Finished).then_some(())
                })
                .await;
            };
            counted.push(rig.count(work).await);
        }
        counted
    })
    .await;
    stop.cancel();
    running.await.expect("no panic").expect("it ends in order");
    // Whether the video is wanted is asked every other second.
    assert_eq!(counted[0], 3, "{counted:?}");
    assert!(counted.iter().all(|count| matches!(count, 2 | 3)), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn join_asks_for_each_segment_as_often_as_is_stated() {
    let rig = Rig::new().await;
    let join_deadline = Duration::from_secs(3600);
    let counted = least(async || {
        let join = Join::new(rig.services.clone(), JoinArgs { join_deadline }).expect("the stage");
        let job = rig.accept().await;
        let total = SegmentTotal { video: SEGMENTS, last: true, end_us: 120_000_000, ..SegmentTotal::default() };
        let total = SegmentReport { job: job.clone(), window: 0, kind: Some(SegmentReportKind::Total(total)) };
        let mut counted = Vec::new();
        let mut offset = 0;
        for index in 0..SEGMENTS {
            if index == BEFORE_TOTAL {
                join.process(total.clone(), &read_at(offset)).await.expect("heard");
                offset += 1;
            }
            let report = SegmentReport::done(&job, 0, SegmentKind::Video, index, Payload::default());
            let out = read_at(offset);
            counted.push(rig.count(async { join.process(report, &out).await.expect("heard") }).await);
            offset += 1;
        }
        counted
    })
    .await;
    // The first opens the gathering; until the total is known each looks for it; the last reads all that was heard.
    check(&counted, 5, 6.8, 33);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn record_asks_for_each_segment_as_often_as_is_stated() {
    let rig = Rig::new().await;
    let counted = least(async || {
        let record = Record::new(rig.services.clone(), RecordArgs {}).expect("the stage");
        let job = rig.accept().await;
        let mut counted = Vec::new();
        for index in 0..SEGMENTS {
            let (stage, unit) = (StageName::Analyze as i32, format!("video/{index}"));
            let done = UnitDone { stage, unit, attempt: 1, ..UnitDone::default() };
            let event = VideoEvent::new(&job, Timestamp::now(), Happened::UnitDone(done));
            let out = read_at(i64::from(index));
            counted.push(rig.count(async { record.process(event, &out).await.expect("recorded") }).await);
        }
        counted
    })
    .await;
    // The first changes what the video is listed as.
    check(&counted, 7, 7.2, 10);
}
