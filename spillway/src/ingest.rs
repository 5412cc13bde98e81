//! `spillway ingest`: serves the HTTP API, and the dashboard's pages beside it where they are wanted.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use dashboard::{ApiAt, DashboardArgs};
use ingest::sweep;
use pipeline::kafka::trim;
use pipeline::{admin, service};
use tokio::task::JoinSet;

use crate::api::{self, ApiArgs, Connected};
use crate::dashboard as pages;

/// What `spillway ingest` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct IngestCommand {
    #[command(flatten)]
    api: ApiArgs,
    /// Serve the dashboard's pages too, at `/` of the same address.
    #[arg(long, env = "SPILLWAY_DASHBOARD", help_heading = "Dashboard")]
    dashboard: bool,
    #[command(flatten, next_help_heading = "Dashboard")]
    pages: DashboardArgs,
}

/// What the process may take after requests were cut off: flushing, closing files.
const LEAVE: Duration = Duration::from_secs(5);

/// Serves the API until a signal stops it.
///
/// # Errors
/// When a dependency cannot be reached at the start, or the address is taken.
pub async fn run(args: IngestCommand) -> Result<ExitCode> {
    let stop = service::stop_on_signal()?;
    let Connected { app, producer, checks } = api::connect(&args.api, &stop).await?;
    let mut tasks = JoinSet::new();
    let mut others = admin::router(checks);
    if args.dashboard {
        let pages = pages::Pages { api: &args.api, api_at: ApiAt::Pages, app: &app, producer, args: args.pages };
        others = others.merge(pages.start(&mut tasks, &stop)?);
    }
    let router = ingest::router(app.clone(), others);
    api::attend(&mut tasks, &app, &args.api, &stop).await?;
    let (serving, sweeping, trimming) = (stop.clone(), stop.clone(), stop.clone());
    let ApiArgs { ingest: settings, brokers, .. } = args.api;
    let (grace, keep, trim_every) = (settings.ingest_grace, settings.keep.clone(), settings.keep.sweep_every);
    tasks.spawn(async move { ingest::serve(router, &settings, serving).await });
    tasks.spawn(async move {
        sweep::run(app, keep, sweeping).await;
        Ok(())
    });
    tasks.spawn(async move {
        trim::run(brokers, trim_every, trimming).await;
        Ok(())
    });
    service::join(tasks, stop, grace + LEAVE).await.map(|()| ExitCode::SUCCESS)
}
