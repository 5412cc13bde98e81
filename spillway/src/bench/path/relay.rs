//! A stage that does nothing but pass records on, the records for it, and a runner around it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use pipeline::event::{AudioSegment, Envelope, Job, Options, Outgoing, Payload, Place};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::{Batch, Producer};
use pipeline::lane::Lane;
use pipeline::outbox::Outbox;
use pipeline::runner::{self, Readiness, RunnerArgs, Sizing, Worker};
use pipeline::stage::{Stage, StageName};
use pipeline::topic::Topic;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Ground;

/// Where the stage reads.
pub const FROM: Topic = Topic::SegmentAudio;
/// Where it passes on to.
pub const TO: Topic = Topic::SegmentVideo;

/// How long a worker may take to join its group, and to pass on all it is given.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a relay has seen.
#[derive(Default)]
pub struct Seen {
    first: OnceLock<Instant>,
    last: OnceLock<Instant>,
    passed: AtomicUsize,
    all: Notify,
}

/// Passes on what it reads. The groups of the two kinds differ, so that both can read the same records.
pub struct Relay<const CLAIMS: bool> {
    seen: Arc<Seen>,
    /// How many records there are.
    count: usize,
    /// Keeps each record for ever instead.
    holds: bool,
}

impl<const CLAIMS: bool> Relay<CLAIMS> {
    /// Passes records on.
    pub fn of(count: usize) -> (Self, Arc<Seen>) {
        let seen = Arc::<Seen>::default();
        (Self { seen: seen.clone(), count, holds: false }, seen)
    }

    /// Takes records and never ends.
    pub fn holding() -> Self {
        Self { seen: Arc::default(), count: 0, holds: true }
    }
}

/// What a relay says: what it heard.
pub struct Passed(AudioSegment);

impl Outgoing for Passed {
    fn envelope(&self) -> Envelope {
        Envelope { topic: TO, ..Envelope::of(&self.0) }
    }
}

impl<const CLAIMS: bool> Stage for Relay<CLAIMS> {
    type In = AudioSegment;
    type Out = Passed;
    const NAME: StageName = if CLAIMS { StageName::Transcribe } else { StageName::Analyze };

    fn failed(_: &AudioSegment, _: Code, _: &str) -> Vec<Passed> {
        Vec::new()
    }

    async fn process(&self, input: AudioSegment, out: &Outbox<Passed>) -> Result<(), Failure> {
        if self.holds {
            std::future::pending::<()>().await;
        }
        self.seen.first.get_or_init(Instant::now);
        out.send(Passed(input)).await?;
        // The runner waits for this too; here it tells when the last record was safe.
        out.flush().await?;
        if self.seen.passed.fetch_add(1, Ordering::AcqRel) + 1 == self.count {
            self.seen.last.get_or_init(Instant::now);
            self.seen.all.notify_one();
        }
        Ok(())
    }
}

impl Seen {
    /// Returns how many records were passed on so far.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Acquire)
    }

    /// Waits until all records are passed on and acknowledged; returns the time from the first one taken on.
    async fn took(&self) -> Result<Duration> {
        if tokio::time::timeout(PATIENCE, self.all.notified()).await.is_err() {
            bail!("only {} records were passed on", self.passed());
        }
        let (first, last) = (self.first.get().context("no record came")?, self.last.get().context("no last record")?);
        Ok(last.duration_since(*first))
    }
}

/// A worker that runs in this process.
pub struct Running {
    readiness: Readiness,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    /// Starts a worker on `stage`.
    pub fn start<const CLAIMS: bool>(ground: &Ground, stage: Relay<CLAIMS>, slots: u32) -> Self {
        let (readiness, stop) = (Readiness::default(), CancellationToken::new());
        let args = RunnerArgs { slots, claims: CLAIMS, ..RunnerArgs::default() };
        let (brokers, store) = (ground.brokers.clone(), ground.store.clone());
        let worker = Worker { args, brokers, store, readiness: readiness.clone(), sizing: Sizing::default() };
        let task = tokio::spawn(runner::run(stage, worker, stop.clone()));
        Self { readiness, stop, task }
    }

    /// Waits until it has joined its group.
    ///
    /// # Errors
    /// When it does not.
    pub async fn joined(&self) -> Result<()> {
        let begun = Instant::now();
        while let Err(why) = self.readiness.group() {
            if begun.elapsed() > PATIENCE || self.task.is_finished() {
                bail!("the worker does not come up: {why}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it ended badly.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await.context("wait for a worker")?
    }
}

/// Lets a worker pass on the `count` records that wait; returns the time from the first one taken to the last one
/// acknowledged.
///
/// # Errors
/// When it does not.
pub async fn pass<const CLAIMS: bool>(ground: &Ground, count: usize, slots: u32) -> Result<Duration> {
    let (stage, seen) = Relay::<CLAIMS>::of(count);
    let running = Running::start(ground, stage, slots);
    let took = seen.took().await;
    running.stop().await?;
    took
}

/// Makes records of about the same size, each a unit of its own.
pub struct Records {
    /// Whose they are: nobody else's.
    pub job: Job,
    samples: Bytes,
    next: u32,
}

impl Records {
    /// Makes records of `bytes` for `lane`.
    pub fn new(lane: Lane, bytes: usize) -> Self {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), lane, Options::default());
        // Numbers of many digits are longer: none of the records is larger than is asked for.
        let mut records = Self { job, samples: vec![0; bytes].into(), next: 1 << 20 };
        let around = records.next(0).body.len().saturating_sub(bytes);
        records.next = 0;
        // Bytes that do not compress, as those of media.
        let mut state = 1u32;
        let random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        records.samples = std::iter::repeat_with(random).take(bytes.saturating_sub(around)).collect();
        records
    }

    /// Makes the next record; `mark` travels in it.
    pub fn next(&mut self, mark: i64) -> Envelope {
        self.next += 1;
        let samples = Payload { place: Some(Place::Inline(self.samples.clone())) };
        let (job, index) = (self.job.clone(), self.next);
        Envelope::of(&AudioSegment { job, index, window: 0, start_us: mark, end_us: mark, samples })
    }

    /// Publishes `count` records, which go round the partitions, and waits for their acknowledgement.
    ///
    /// # Errors
    /// When the broker is away.
    pub async fn publish(&mut self, producer: &Producer, count: usize) -> Result<()> {
        let batch = Batch::default();
        for _ in 0..count {
            producer.send(&self.next(0), &batch).await?;
        }
        Ok(batch.acknowledged().await?)
    }
}
