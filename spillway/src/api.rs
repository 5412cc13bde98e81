//! The HTTP API within a process: what `spillway ingest` serves, and what the dashboard asks on behalf of its viewers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use ingest::{App, IngestArgs, watch};
use jiff::Timestamp;
use pipeline::admin::Checks;
use pipeline::blob::{BlobArgs, Blobs, Location};
use pipeline::kafka::tail::{self, Since};
use pipeline::kafka::{BrokerArgs, Producer, topics};
use pipeline::store::{self, StoreArgs, StoreLocation};
use pipeline::topic::Topic;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the API needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct ApiArgs {
    #[command(flatten)]
    pub ingest: IngestArgs,
    #[command(flatten)]
    pub brokers: BrokerArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub blobs: BlobArgs,
}

/// The API, connected to all it needs.
pub struct Connected {
    pub app: App,
    pub producer: Producer,
    /// What must answer before the process is ready.
    pub checks: Checks,
}

/// Connects to broker, store and blobs.
///
/// # Errors
/// When one of them cannot be reached, or does not fit.
pub async fn connect(args: &ApiArgs, stop: &CancellationToken) -> Result<Connected> {
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
    let serving = producer.clone();
    // What is accepted while it is away is published later: an API that is taken out of service would accept nothing.
    checks.add_spared("broker", move || std::future::ready(serving.serves()));
    Ok(Connected { app, producer, checks })
}

/// Keeps the API told of what goes on around it: tenants, workers, how the service is.
///
/// # Errors
/// When a topic is missing or the brokers do not answer.
pub async fn attend(
    tasks: &mut JoinSet<Result<()>>,
    app: &App,
    args: &ApiArgs,
    stop: &CancellationToken,
) -> Result<()> {
    let disks = disks(args);
    let reports = tail::follow(&args.brokers, Topic::WorkerReport, Since::Time(Timestamp::now())).await?;
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
    Ok(())
}

/// Returns folders on the disks that are written to.
fn disks(args: &ApiArgs) -> Vec<PathBuf> {
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
