//! `spillway rebuild`: makes the store anew from the topics and the blob store after it was lost.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use pipeline::blob::{BlobArgs, Blobs};
use pipeline::kafka::reader::{self, Span, Stored};
use pipeline::kafka::{BrokerArgs, Producer, topics};
use pipeline::outbox::Source;
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::stage::StageName;
use pipeline::store::{self, Contents, SharedStore, StoreArgs};
use pipeline::topic::Topic;
use pipeline::workers;
use processors::deliver::DeliverArgs;
use processors::join::JoinArgs;
use processors::rebuild::Rebuild;
use processors::services::Services;

/// Partitions read at once.
const AT_ONCE: usize = 8;
/// Videos without an event that are named.
const NAMED: usize = 20;
/// Between two words about how far it is, in records.
const TELL_EVERY: u64 = 10_000;

/// What `spillway rebuild` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct RebuildArgs {
    /// Only say what there is to read; write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    blobs: BlobArgs,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    deliver: DeliverArgs,
}

/// Rebuilds the store.
///
/// # Errors
/// One line: workers are running, the store is not empty, or something cannot be reached. It may be called again.
pub async fn run(args: RebuildArgs) -> Result<ExitCode> {
    topics::check(&args.brokers).await?;
    let store = store::open(&args.store).await?;
    if store.contents().await? == Contents::Used {
        bail!(
            "the store {} is not empty; a rebuild writes into an empty one only: move it away first",
            args.store.store
        );
    }
    let events = reader::spans(&args.brokers, Topic::VideoEvent).await?;
    let segments = reader::spans(&args.brokers, Topic::SegmentDone).await?;
    let clips = reader::spans(&args.brokers, Topic::ClipReady).await?;
    let counts = [("events", count(&events)), ("segments", count(&segments)), ("clips", count(&clips))];
    let counts = counts.map(|(what, count)| format!("{count} records of {what}")).join(", ");
    if args.dry_run {
        println!("would read {counts} into {}", args.store.store);
        return Ok(ExitCode::SUCCESS);
    }
    refuse_while_workers_run(&args.brokers).await?;
    println!("reading {counts} into {}", args.store.store);
    let rebuild = connect(&args, store.clone()).await?;
    store.begin_rebuild().await?;
    let read = Read { brokers: &args.brokers, rebuild: &rebuild };
    read.each("requests", events.clone(), async |record| rebuild.request(&record.body).await).await?;
    read.each("events", events, async |record| rebuild.event(&record.body, record.offset).await).await?;
    read.each("segments", segments, async |record| rebuild.segment(&record.body, source(&record)).await).await?;
    read.each("clips", clips, async |record| rebuild.clip(&record.body, source(&record)).await).await?;
    read.tell_unknown().await?;
    store.end_rebuild().await?;
    println!("the store is rebuilt; start the workers and the API");
    Ok(ExitCode::SUCCESS)
}

async fn connect(args: &RebuildArgs, store: SharedStore) -> Result<Rebuild> {
    let blobs = Blobs::connect(&args.blobs).await?;
    let carrier = Carrier::new(blobs, args.blobs.inline_max);
    let services = Services { store, carrier, runtime: Runtime::new(&RuntimeArgs { runtime: None }) };
    let producer = Arc::new(Producer::connect(&args.brokers).await?);
    Rebuild::new(services, args.join.clone(), args.deliver.clone(), producer)
}

/// Reads topics into the store.
struct Read<'a> {
    brokers: &'a BrokerArgs,
    rebuild: &'a Rebuild,
}

impl Read<'_> {
    async fn each(&self, what: &str, spans: Vec<Span>, work: impl AsyncFn(Stored) -> Result<()>) -> Result<()> {
        let (all, done) = (count(&spans), AtomicU64::new(0));
        let (work, done) = (&work, &done);
        let one = |record: Stored| async move {
            let (partition, offset) = (record.partition, record.offset);
            work(record).await.with_context(|| format!("read {what}, partition {partition}, offset {offset}"))?;
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done % TELL_EVERY == 0 {
                println!("{what}: {done} of {all}");
            }
            Ok(())
        };
        reader::for_each(self.brokers, spans, AT_ONCE, one).await?;
        println!("{what}: {} read", done.load(Ordering::Relaxed));
        Ok(())
    }

    /// Names the videos whose upload was answered and whose event never reached the broker: only their bytes are left.
    async fn tell_unknown(&self) -> Result<()> {
        let unknown = self.rebuild.unknown_blobs().await?;
        for (tenant, video) in unknown.iter().take(NAMED) {
            println!("no event tells of {tenant}/{video}, whose bytes are in the blob store: submit it again");
        }
        if unknown.len() > NAMED {
            println!("and {} more", unknown.len() - NAMED);
        }
        Ok(())
    }
}

/// Refuses while anybody works: what is read and what is written would be two different things.
async fn refuse_while_workers_run(brokers: &BrokerArgs) -> Result<()> {
    let alive: Vec<&str> = workers::stages(brokers).await?.into_iter().map(StageName::as_str).collect();
    if !alive.is_empty() {
        bail!("workers are running ({}); stop them and the API during a rebuild", alive.join(", "));
    }
    Ok(())
}

fn count(spans: &[Span]) -> u64 {
    spans.iter().map(Span::records).sum()
}

fn source(record: &Stored) -> Source {
    Source { partition: record.partition, offset: record.offset }
}
