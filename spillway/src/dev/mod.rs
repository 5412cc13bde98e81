//! `spillway dev`: everything on this machine with one command.

mod children;
mod folder;
mod scaling;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use autoscaler::Health;
use autoscaler::act::local::Local;
use clap::Parser;
use dashboard::DashboardArgs;
use dashboard::access::Access;
use pipeline::admin::{self, AdminArgs};
use pipeline::broker::Broker;
use pipeline::child;
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{BrokerArgs, Security, topics};
use pipeline::runtime::{Runtime, RuntimeArgs, RuntimeFile, user_data_folder};
use pipeline::service;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::dashboard::check_shown;
use children::{Plan, cores};
use folder::Folder;
use scaling::ScalingArgs;

/// What `spillway dev` needs to know.
#[derive(clap::Args, Clone, Debug)]
pub struct DevArgs {
    /// Folder for all data: broker, store, blobs [default: `spillway/dev` in the user's data folder].
    #[arg(long, env = "SPILLWAY_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address of the HTTP API.
    #[arg(long, env = "SPILLWAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Kafka brokers to use instead of a private one, `host:port,..`; what else they need is taken from
    /// SPILLWAY_TOPIC_PREFIX, SPILLWAY_GROUP_PROTOCOL and the SPILLWAY_KAFKA_ variables, see `spillway topics --help`.
    #[arg(long, env = "SPILLWAY_BROKERS", value_name = "LIST")]
    pub brokers: Option<String>,
    /// How topics are created.
    #[command(flatten)]
    pub shape: Shape,
    /// Units of heavy work at once, for each of transcribe, analyze and cut [default: the number of cores].
    #[arg(long, env = "SPILLWAY_DEV_SLOTS", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// How long workers may finish what they have in hand after Ctrl-C.
    #[arg(long, env = "SPILLWAY_GRACE", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub grace: Duration,
    /// Where this process tells about itself and of its children.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Where run-time files lie.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Whether and how stages are scaled.
    #[command(flatten, next_help_heading = "Scaling")]
    pub scaling: ScalingArgs,
}

/// How long the children may take to be ready before that is an error.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Partitions of each topic of the private broker: it makes one after the other, each with several files that it syncs, and
/// until then no group forms. A stage is a process or two there, which work on many units at once, whatever partitions
/// they are from.
const PRIVATE_PARTITIONS: i32 = 4;

/// How a broker that is shared is reached, from the environment: the same that the children see.
#[derive(clap::Parser)]
struct Shared {
    #[command(flatten)]
    brokers: BrokerArgs,
}

/// What the pages are told, from the environment: the child that serves them sees the same.
#[derive(clap::Parser)]
struct Shown {
    #[command(flatten)]
    pages: DashboardArgs,
}

/// What a child may take after its grace period: handing back, flushing, leaving its group.
const LEAVE: Duration = Duration::from_secs(20);

/// Runs everything until Ctrl-C.
///
/// A child's own flags, such as how long it waits for a URL, are set by their environment variables.
///
/// # Errors
/// One line each: others could reach the pages without a key, the data folder is locked, the address is taken, Java or run-time files are missing.
pub async fn run(mut args: DevArgs) -> Result<ExitCode> {
    let started = Instant::now();
    let stop = service::stop_on_signal()?;
    let Shown { pages } = Shown::try_parse_from(["dev"]).context("read settings")?;
    // Better told before anything is started than by the child, again and again.
    check_shown(args.listen, &Access::new(&pages)?)?;
    let data = args.data.clone().or_else(|| Some(user_data_folder()?.join("dev")));
    let folder = Folder::lock(&data.context("no home folder: give one with --data")?)?;
    let free = TcpListener::bind(args.listen)
        .with_context(|| format!("the address {} is not free; choose another with --listen", args.listen))?;
    // Port 0 means any; the child is to take the one that was found.
    args.listen = free.local_addr().context("find the address of the API")?;
    drop(free);

    let runtime = Runtime::new(&args.runtime);
    for file in RuntimeFile::ALL {
        runtime.locate(file)?;
    }
    let mut broker = None;
    let brokers = match &args.brokers {
        Some(given) => given.clone(),
        None => {
            let private = Broker::start(&runtime, &folder.path("kafka")).await?;
            let address = private.address();
            broker = Some(private);
            address
        }
    };
    let outcome = serve(&args, &folder, &brokers, started, &mut broker, stop).await;
    if let Some(broker) = broker {
        info!("stopping the broker");
        broker.stop().await?;
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Starts the roles as children, and watches them and the broker until `stop`.
async fn serve(
    args: &DevArgs,
    folder: &Folder,
    brokers: &str,
    started: Instant,
    broker: &mut Option<Broker>,
    stop: CancellationToken,
) -> Result<()> {
    let Shared { brokers: mut shared } =
        Shared::try_parse_from(["dev", "--brokers", brokers]).context("read settings")?;
    let mut shape = args.shape;
    if broker.is_some() {
        // The private broker asks nobody for anything, and is alone.
        shared.security = Security::default();
        shape.replication = 1;
        shape.partitions.get_or_insert(PRIVATE_PARTITIONS);
    }
    topics::ensure(&shared, shape).await?;
    let plan = Plan::new(args, folder, brokers)?;
    let mut checks = plan.checks()?;
    let mut tasks = JoinSet::new();
    for (child, slots) in plan.children() {
        let (role, slots) = (child.clone(), *slots);
        let command = move || role.command(slots);
        tasks.spawn(child::supervise(child.name.clone(), command, None, stop.clone(), args.grace + LEAVE));
    }
    if args.scaling.autoscale {
        let mut scaling = args.scaling.clone();
        scaling.bounds.max_workers.get_or_insert_with(|| args.slots.unwrap_or_else(cores));
        let per_process = scaling.slots_per_process(cores());
        let local = Local::new(plan.crews(), per_process, args.grace + LEAVE, stop.clone());
        let health = Health::default();
        let seen = health.clone();
        checks.add("autoscaler", move || std::future::ready(seen.get()));
        tasks.spawn(scaling::run(shared, scaling, local, health, stop.clone()));
    }
    tasks.spawn(admin::serve(args.admin.admin_listen, checks, stop.clone()));
    let ready = plan.wait_until_ready(READY_LIMIT);
    tokio::select! {
        ready = ready => {
            ready?;
            let seconds = started.elapsed().as_secs_f64();
            println!("spillway is ready after {seconds:.1} s: http://{}  (data: {})", args.listen, folder.root().display());
            println!("dashboard: http://{}/", args.listen);
            println!("try: spillway submit --server http://{} --wait VIDEO", args.listen);
        }
        () = stop.cancelled() => {}
    }
    // Each child has the grace period to itself; the margin is for the supervisors that wait for them.
    let joined = service::join(tasks, stop.clone(), args.grace + LEAVE + Duration::from_secs(5));
    match broker {
        None => joined.await,
        Some(broker) => tokio::select! {
            outcome = joined => outcome,
            died = broker.keep() => {
                stop.cancel();
                Err(died.err().unwrap_or_else(|| anyhow!("the broker ended")))
            }
        },
    }
}
