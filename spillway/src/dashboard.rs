//! `spillway dashboard`: serves the pages for operators and planners.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use axum::routing::get;
use axum::{Json, Router};
use dashboard::access::Access;
use dashboard::{Api, ApiAt, App, DashboardArgs, Reach, seen};
use pipeline::kafka::Producer;
use pipeline::{admin, service};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, ApiArgs, Connected};

/// What `spillway dashboard` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct DashboardCommand {
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten, next_help_heading = "Dashboard")]
    pages: DashboardArgs,
}

/// What the process may take after requests were cut off.
const LEAVE: Duration = Duration::from_secs(5);

/// Serves the pages until a signal stops it. What viewers change goes through an API of its own, which nobody else reaches.
///
/// # Errors
/// When a dependency cannot be reached at the start, or the address is taken.
pub async fn run(args: DashboardCommand) -> Result<ExitCode> {
    let stop = service::stop_on_signal()?;
    let Connected { app, producer, checks } = api::connect(&args.api, &stop).await?;
    let mut tasks = JoinSet::new();
    let pages = Pages { api: &args.api, api_at: ApiAt::Elsewhere, app: &app, producer, args: args.pages };
    let described = get(|| std::future::ready(Json(ingest::openapi())));
    let router = pages.start(&mut tasks, &stop)?.merge(admin::router(checks)).route("/openapi.json", described);
    api::attend(&mut tasks, &app, &args.api, &stop).await?;
    let (serving, settings) = (stop.clone(), args.api.ingest);
    let grace = settings.ingest_grace;
    println!("the dashboard is at http://{}", settings.listen);
    tasks.spawn(async move { ingest::serve(router, &settings, serving).await });
    service::join(tasks, stop, grace + LEAVE).await.map(|()| ExitCode::SUCCESS)
}

/// Checks that the pages may be shown at an address.
///
/// # Errors
/// When others than this host could reach them without a key.
pub fn check_shown(listen: SocketAddr, access: &Access) -> Result<()> {
    ensure!(
        listen.ip().is_loopback() || !access.is_open(),
        "the dashboard is not shown at {listen} without a key: set --operator-key, or listen on 127.0.0.1"
    );
    Ok(())
}

/// The pages within a process that has an API.
pub struct Pages<'a> {
    pub api: &'a ApiArgs,
    pub api_at: ApiAt,
    pub app: &'a ingest::App,
    pub producer: Producer,
    pub args: DashboardArgs,
}

impl Pages<'_> {
    /// Starts to listen to what happens, and returns the routes of the pages.
    ///
    /// # Errors
    /// When a key cannot be read, or others could reach the pages without one.
    pub fn start(self, tasks: &mut JoinSet<Result<()>>, stop: &CancellationToken) -> Result<Router> {
        let tenants = self.app.tenants.clone();
        let asked = Api::new(ingest::router(self.app.clone(), Router::new()), move || tenants.ids());
        let (store, brokers) = (self.app.store.clone(), self.api.brokers.clone());
        let reach = Reach { brokers: brokers.clone(), store: self.api.store.store.clone(), api: self.api_at };
        let app = App::new(store, reach, self.producer, asked, self.args, stop.clone())?;
        check_shown(self.api.ingest.listen, &app.access)?;
        let (listening, stop) = (app.clone(), stop.clone());
        tasks.spawn(async move { seen::listen::run(&listening.seen, &brokers, stop).await });
        Ok(dashboard::router(app))
    }
}
