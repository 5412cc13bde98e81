//! `spillway ingest`: serves the HTTP API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ingest::{App, IngestArgs, sweep, watch};
use jiff::Timestamp;
use pipeline::admin::{self, Checks};
use pipeline::blob::{BlobArgs, Blobs, Location};
use pipeline::kafka::tail::{self, Since};
use pipeline::kafka::{BrokerArgs, Producer, topics, trim};
use pipeline::service;
use pipeline::store::{self, StoreArgs, StoreLocation};
use pipeline::topic::Topic;
use tokio::task::JoinSet;

/// What `spillway ingest` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct IngestCommand {
    #[command(flatten)]
    ingest: IngestArgs,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    blobs: BlobArgs,
}

/// What the process may take after requests were cut off: flushing, closing files.
const LEAVE: Duration = Duration::from_secs(5);

/// Serves the API until a signal stops it.
///
/// # Errors
/// When a dependency cannot be reached at the start, or the address is taken.
pub async fn run(args: IngestCommand) -> Result<ExitCode> {
    let stop = service::stop_on_signal()?;
    topics::check(&args.brokers).await?;
    let producer = Producer::connect(&args.brokers).await?;
    let store = store::open(&args.store).await?;
    store::check_whole(&store).await?;
    let blobs = Blobs::connect(&args.blobs).await?;
    let sink = Arc::new(producer.clone());
    let app = App::new(store.clone(), blobs.clone(), sink, &args.ingest, stop.clone())?;

    let mut checks = Checks::default();
    checks.add_store(store);
    checks.add_blobs(blobs);
    checks.add("broker", move || std::future::ready(producer.serves()));
    let router = ingest::router(app.clone(), admin::router(checks));

    let disks = disks(&args);
    let reports = tail::follow(&args.brokers, Topic::WorkerReport, Since::Time(Timestamp::now())).await?;
    let mut tasks = JoinSet::new();
    let (serving, sweeping, trimming) = (stop.clone(), stop.clone(), stop.clone());
    let (settings, trim_every) = (args.ingest.clone(), args.ingest.keep.sweep_every);
    tasks.spawn(async move { ingest::serve(router, &settings, serving).await });
    let (judging, following, hearing) = (stop.clone(), stop.clone(), stop.clone());
    let (tenants, workers, judged) = (app.tenants.clone(), app.workers.clone(), app.clone());
    tasks.spawn(async move {
        watch::run(judged, disks, judging).await;
        Ok(())
    });
    tasks.spawn(async move {
        tenants.follow(following).await;
        Ok(())
    });
    tasks.spawn(async move {
        watch::hear(&workers, reports, hearing).await;
        Ok(())
    });
    tasks.spawn(async move {
        sweep::run(app, args.ingest.keep, sweeping).await;
        Ok(())
    });
    tasks.spawn(async move {
        trim::run(args.brokers, trim_every, trimming).await;
        Ok(())
    });
    service::join(tasks, stop, args.ingest.ingest_grace + LEAVE).await.map(|()| ExitCode::SUCCESS)
}

/// Returns folders on the disks that are written to.
fn disks(args: &IngestCommand) -> Vec<PathBuf> {
    let blobs = match &args.blobs.blobs {
        Location::Folder(path) => Some(path.clone()),
        Location::S3 { .. } => None,
    };
    let store = match &args.store.store {
        StoreLocation::Sqlite(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            Some(folder.unwrap_or(Path::new(".")).to_owned())
        }
        StoreLocation::Cql(_) => None,
    };
    blobs.into_iter().chain(store).collect()
}
