//! What runs in processes of its own, so that its memory and its death can be measured: `spillway bench-part`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use futures::StreamExt;
use pipeline::kafka::{BrokerArgs, Producer};
use pipeline::service;
use pipeline::store;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::Ground;
use super::relay::{Relay, Running};

/// What a part prints once it can be measured.
pub const READY: &str = "ready";

/// A part of `spillway bench`.
#[derive(clap::Args, Clone, Debug)]
pub struct PartArgs {
    #[command(subcommand)]
    part: Part,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Part {
    /// A worker that does nothing with what it takes.
    Member(Box<MemberArgs>),
    /// An HTTP server that writes what it is sent to files, and does nothing else.
    Uploads {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// Where it writes.
        #[arg(long)]
        folder: PathBuf,
    },
}

#[derive(clap::Args, Clone, Debug)]
struct MemberArgs {
    #[command(flatten)]
    brokers: BrokerArgs,
    /// The store's file.
    #[arg(long)]
    file: PathBuf,
    /// Records in hand at once.
    #[arg(long)]
    slots: u32,
    /// Keep records for ever rather than pass them on.
    #[arg(long)]
    holds: bool,
}

/// Runs a part until a signal ends it.
///
/// # Errors
/// When it cannot run.
pub async fn run(args: PartArgs) -> Result<ExitCode> {
    match args.part {
        Part::Member(args) => member(*args).await?,
        Part::Uploads { listen, folder } => uploads(listen, folder).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn member(args: MemberArgs) -> Result<()> {
    let stop = service::stop_on_signal()?;
    let producer = Producer::connect(&args.brokers).await?;
    let ground = Ground { brokers: args.brokers, producer, store: store::open_file(&args.file)? };
    let stage = if args.holds { Relay::<false>::holding() } else { Relay::of(0).0 };
    let running = Running::start(&ground, stage, args.slots);
    running.joined().await?;
    println!("{READY}");
    stop.cancelled().await;
    running.stop().await
}

/// Where the bare server writes, and how many files it has.
struct Folder {
    path: PathBuf,
    files: AtomicUsize,
}

async fn uploads(listen: SocketAddr, path: PathBuf) -> Result<()> {
    let stop = service::stop_on_signal()?;
    std::fs::create_dir_all(&path).context("make a folder for uploads")?;
    let folder = Arc::new(Folder { path, files: AtomicUsize::new(0) });
    let router = Router::new().route("/", post(take)).with_state(folder);
    let listener = tokio::net::TcpListener::bind(listen).await.context("listen")?;
    println!("{READY}");
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await.context("serve uploads")
}

async fn take(State(folder): State<Arc<Folder>>, body: Body) -> StatusCode {
    let number = folder.files.fetch_add(1, Ordering::Relaxed);
    match write(&folder.path, &number.to_string(), body).await {
        Ok(()) => StatusCode::CREATED,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "upload not written");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// Writes `body` to a file; it and the folder that names it are on disk when this returns.
async fn write(folder: &Path, name: &str, body: Body) -> Result<()> {
    let mut file = File::create(folder.join(name)).await?;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk?).await?;
    }
    file.flush().await?;
    file.sync_all().await?;
    File::open(folder).await?.sync_all().await?;
    Ok(())
}
