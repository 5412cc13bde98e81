//! `spillway ingest`: serves the HTTP API.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use ingest::{App, IngestArgs, sweep};
use pipeline::admin::{self, Checks};
use pipeline::blob::{BlobArgs, Blobs};
use pipeline::kafka::{BrokerArgs, Producer, topics, trim};
use pipeline::service;
use pipeline::store::{self, StoreArgs};
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
    let limits = args.ingest.limits.clone();
    let app = App::new(store.clone(), blobs.clone(), Arc::new(producer.clone()), limits, stop.clone());

    let mut checks = Checks::default();
    checks.add_store(store);
    checks.add_blobs(blobs);
    checks.add("broker", move || std::future::ready(producer.serves()));
    let router = ingest::router(app.clone(), admin::router(checks));

    let mut tasks = JoinSet::new();
    let (serving, sweeping, trimming) = (stop.clone(), stop.clone(), stop.clone());
    let (settings, trim_every) = (args.ingest.clone(), args.ingest.keep.sweep_every);
    tasks.spawn(async move { ingest::serve(router, &settings, serving).await });
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
