//! `spillway autoscale`: has as many workers there as the work needs.

mod pins;

use std::io::BufWriter;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use autoscaler::act::kube::{Deployments, client};
use autoscaler::act::lease::Candidate;
use autoscaler::act::{Act, DryRun};
use autoscaler::{Bounds, Health, PolicyArgs, RecordArgs, Settings, replay};
use clap::{Subcommand, ValueEnum};
use pipeline::admin::{self, AdminArgs, Checks};
use pipeline::kafka::{BrokerArgs, topics};
use pipeline::service;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The exit code for input that cannot be read.
const UNREADABLE: u8 = 2;
/// What the process may take to end: giving the lease back.
const LEAVE: Duration = Duration::from_secs(15);

/// What `spillway autoscale` needs to know.
#[derive(clap::Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AutoscaleArgs {
    #[command(subcommand)]
    command: Option<PinCommand>,
    /// Decide over observations from standard input, one JSON object a line, and write a decision a line; nothing else
    /// is read or changed. Policy and bounds that are given count, for the rest those that were seen do. Ends with code 2 at
    /// a line that cannot be read, and names it; empty lines are passed over.
    #[arg(long, conflicts_with = "record")]
    replay: bool,
    /// Where workers are started and ended. A dry run only says what it would do.
    #[arg(long, env = "SPILLWAY_AUTOSCALE_BACKEND", value_enum, default_value = "dry-run")]
    backend: Backend,
    /// Names of the Deployments that `kube` scales, with the stage in place of `{stage}`.
    #[arg(long, env = "SPILLWAY_DEPLOYMENTS", value_name = "NAME", default_value = "spillway-{stage}")]
    deployments: String,
    /// Name of the Lease that decides which of several autoscalers acts on Kubernetes.
    #[arg(long, env = "SPILLWAY_LEASE", value_name = "NAME", default_value = "spillway-autoscaler")]
    lease: String,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten, next_help_heading = "Policy")]
    policy: PolicyArgs,
    #[command(flatten, next_help_heading = "Bounds")]
    bounds: Bounds,
    #[command(flatten, next_help_heading = "Kafka")]
    brokers: BrokerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Where workers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Backend {
    /// Nowhere: decisions are logged, published and recorded.
    DryRun,
    /// In the pods of Deployments, in the namespace of this pod or of the current context.
    Kube,
}

/// What a person says of a stage's scale.
#[derive(Subcommand, Clone, Debug)]
enum PinCommand {
    /// Fix a stage's scale, or limit it, from now on: `spillway autoscale pin analyze=min:2,max:10`.
    Pin(pins::PinArgs),
    /// Leave a stage to the autoscaler again.
    Release(pins::ReleaseArgs),
    /// Show what was last seen and decided, and what is pinned.
    Status(pins::StatusArgs),
}

/// Autoscales until a signal stops it, replays observations, or pins.
///
/// # Errors
/// When the brokers or Kubernetes cannot be reached at the start, or standard input or output fail.
pub async fn run(args: AutoscaleArgs) -> Result<ExitCode> {
    match args.command {
        Some(PinCommand::Pin(args)) => pins::pin(args).await,
        Some(PinCommand::Release(args)) => pins::release(args).await,
        Some(PinCommand::Status(args)) => pins::status(args).await,
        None if args.replay => replay_input(&args.policy, args.bounds).await,
        None => autoscale(args).await,
    }
}

async fn replay_input(policy: &PolicyArgs, bounds: Bounds) -> Result<ExitCode> {
    let policy = policy.policy();
    let replayed = tokio::task::spawn_blocking(move || {
        replay::replay(&policy, &bounds, std::io::stdin().lock(), BufWriter::new(std::io::stdout().lock()))
    });
    match replayed.await? {
        Err(error @ replay::Error::Unreadable { .. }) => {
            eprintln!("spillway: {error}");
            Ok(ExitCode::from(UNREADABLE))
        }
        ended => Ok(ended.map(|()| ExitCode::SUCCESS)?),
    }
}

async fn autoscale(args: AutoscaleArgs) -> Result<ExitCode> {
    let stop = service::stop_on_signal()?;
    topics::check(&args.brokers).await?;
    let mut tasks = JoinSet::new();
    let (act, leads): (Box<dyn Act>, watch::Receiver<bool>) = match args.backend {
        // Nobody else does nothing in its place.
        Backend::DryRun => (Box::new(DryRun), watch::channel(true).1),
        Backend::Kube => {
            let client = client().await?;
            let (lead, leads) = watch::channel(false);
            let candidate = Candidate::new(client.clone(), &args.lease, identity());
            let stop = stop.clone();
            tasks.spawn(async move {
                candidate.run(lead, stop).await;
                Ok(())
            });
            (Box::new(Deployments::new(client, &args.deployments)), leads)
        }
    };
    let settings = Settings { policy: args.policy, bounds: args.bounds, time_scale: 1.0, record: args.record };
    let health = Health::default();
    let mut checks = Checks::default();
    let seen = health.clone();
    checks.add("observed", move || std::future::ready(seen.get()));
    tasks.spawn(admin::serve(args.admin.admin_listen, checks, stop.clone()));
    let (brokers, running) = (args.brokers, stop.clone());
    tasks.spawn(async move { autoscaler::run(&brokers, settings, act.as_ref(), leads, health, running).await });
    service::join(tasks, stop, LEAVE).await.map(|()| ExitCode::SUCCESS)
}

/// Returns who this autoscaler is among others: its pod, and what no other process has.
fn identity() -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    format!("{host}-{}", std::process::id())
}
