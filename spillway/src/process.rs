//! `spillway process STAGE`: runs one stage's worker.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use pipeline::admin::{self, AdminArgs, Checks};
use pipeline::blob::{BlobArgs, Blobs};
use pipeline::control;
use pipeline::kafka::lag::Lags;
use pipeline::kafka::{BrokerArgs, topics};
use pipeline::payload::Carrier;
use pipeline::runner::{self, Readiness, RunnerArgs, Sizing, Worker};
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::service;
use pipeline::stage::{Stage, StageName};
use pipeline::store::{self, StoreArgs};
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::cut::{Cut, CutArgs};
use processors::deliver::{Deliver, DeliverArgs};
use processors::fetch::{Fetch, FetchArgs};
use processors::join::{Join, JoinArgs};
use processors::moments::{Moments, MomentsArgs};
use processors::record::{Record, RecordArgs};
use processors::services::Services;
use processors::split::{Split, SplitArgs};
use processors::transcribe::{Transcribe, TranscribeArgs};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What a worker may take after its drain's grace: handing back, flushing, leaving the group.
pub const LEAVE: Duration = Duration::from_secs(15);

/// How long store and blobs may take to be reached at the start; whoever keeps processes running tries again then.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// How often is looked how much waits behind a stage: a question or two to the brokers.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Says whether one part of a worker is ready.
type Check = fn(&Readiness) -> Result<(), String>;

/// What `spillway process` needs to know.
#[derive(Args, Clone, Debug)]
pub struct ProcessArgs {
    /// Which stage.
    #[command(subcommand)]
    pub stage: StageCommand,
}

/// The stages, in the order of the flow.
#[derive(Subcommand, Clone, Debug)]
pub enum StageCommand {
    /// Obtain and probe videos and choose their lanes.
    Fetch(Of<FetchArgs>),
    /// Cut videos into segments.
    Split(Of<SplitArgs>),
    /// Turn sound into words.
    Transcribe(Of<TranscribeArgs>),
    /// Find shots, motion and faces.
    Analyze(Of<AnalyzeArgs>),
    /// Gather segments.
    Join(Of<JoinArgs>),
    /// Choose clips and solve their camera paths.
    Moments(Of<MomentsArgs>),
    /// Encode clips.
    Cut(Of<CutArgs>),
    /// Gather clips and end videos.
    Deliver(Of<DeliverArgs>),
    /// Write what happens to the store.
    Record(Of<RecordArgs>),
    /// Run join, deliver and record, the three light stages, in one process.
    Gather(Of<GatherArgs>),
}

/// The flags of the three light stages.
#[derive(Args, Clone, Debug)]
pub struct GatherArgs {
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    deliver: DeliverArgs,
    #[command(flatten)]
    record: RecordArgs,
}

/// The flags of a stage and those of every worker.
#[derive(Args, Clone, Debug)]
pub struct Of<A: Args> {
    #[command(flatten)]
    stage: A,
    #[command(flatten)]
    worker: WorkerArgs,
}

/// The flags of every worker.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Worker")]
pub struct WorkerArgs {
    #[command(flatten)]
    runner: RunnerArgs,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    blobs: BlobArgs,
    #[command(flatten)]
    runtime: RuntimeArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// Listen to standard input for how many units to work on at once, a line of JSON each time: `{"slots": 12}`;
    /// `{"slots": 0, "let_go": true}` lets the worker finish what it has in hand, within the hard limit, and end.
    #[arg(long)]
    control: bool,
}

impl StageCommand {
    /// Returns the name of the stage, for logs and spans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "fetch",
            Self::Split(_) => "split",
            Self::Transcribe(_) => "transcribe",
            Self::Analyze(_) => "analyze",
            Self::Join(_) => "join",
            Self::Moments(_) => "moments",
            Self::Cut(_) => "cut",
            Self::Deliver(_) => "deliver",
            Self::Record(_) => "record",
            Self::Gather(_) => "gather",
        }
    }
}

/// Runs the stage until a signal stops it.
///
/// # Errors
/// When a dependency cannot be reached at the start, or the stage cannot be set up.
pub async fn run(args: ProcessArgs) -> Result<ExitCode> {
    match args.stage {
        StageCommand::Fetch(of) => one(of, Fetch::new).await,
        StageCommand::Split(of) => {
            let mut process = Process::connect(of.worker).await?;
            let waiting = process.waiting(&[StageName::Transcribe, StageName::Analyze]).await?;
            process.start(Split::ahead_of(process.services.clone(), of.stage, waiting)?);
            process.finish().await
        }
        StageCommand::Transcribe(of) => one(of, |services, args| Transcribe::new(services, &args)).await,
        StageCommand::Analyze(of) => one(of, Analyze::new).await,
        StageCommand::Join(of) => one(of, Join::new).await,
        StageCommand::Moments(of) => one(of, Moments::new).await,
        StageCommand::Cut(of) => one(of, Cut::new).await,
        StageCommand::Deliver(of) => one(of, Deliver::new).await,
        StageCommand::Record(of) => one(of, Record::new).await,
        StageCommand::Gather(of) => {
            let mut process = Process::connect(of.worker).await?;
            process.start(Join::new(process.services.clone(), of.stage.join)?);
            process.start(Deliver::new(process.services.clone(), of.stage.deliver)?);
            process.start(Record::new(process.services.clone(), of.stage.record)?);
            process.finish().await
        }
    }
}

async fn one<A: Args, S: Stage>(of: Of<A>, make: impl FnOnce(Services, A) -> Result<S>) -> Result<ExitCode> {
    let mut process = Process::connect(of.worker).await?;
    let stage = make(process.services.clone(), of.stage)?;
    process.start(stage);
    process.finish().await
}

/// A worker process: its connections and the stages that run in it.
pub struct Process {
    args: WorkerArgs,
    /// The outside world, for the stages.
    pub services: Services,
    checks: Checks,
    tasks: JoinSet<Result<()>>,
    sizing: Sizing,
    stop: CancellationToken,
}

impl Process {
    /// Connects to all that a worker needs.
    ///
    /// # Errors
    /// When something cannot be reached.
    pub async fn connect(args: WorkerArgs) -> Result<Self> {
        let stop = service::stop_on_signal()?;
        topics::check(&args.brokers).await?;
        let mut sizing = Sizing::default();
        if args.control {
            sizing.wanted = Some(control::listen(args.runner.slots, sizing.let_go.clone())?);
        }
        let connected = timeout(CONNECT_LIMIT, async {
            let store = store::open(&args.store).await?;
            store::check_whole(&store).await?;
            anyhow::Ok((store, Blobs::connect(&args.blobs).await?))
        });
        let (store, blobs) = connected.await.context("store and blobs are not reached in time")??;
        let carrier = Carrier::new(blobs, args.blobs.inline_max);
        let services = Services { store: store.clone(), carrier, runtime: Runtime::new(&args.runtime) };
        let mut checks = Checks::default();
        checks.add_store(store);
        checks.add_blobs(services.carrier.blobs().clone());
        Ok(Self { args, services, checks, tasks: JoinSet::new(), sizing, stop })
    }

    /// Lets new slots take `startup` until they work.
    pub fn with_startup(mut self, startup: Duration) -> Self {
        self.sizing.startup = startup;
        self
    }

    /// Tells how many records `stages` have not finished, for as long as the process runs.
    async fn waiting(&mut self, stages: &[StageName]) -> Result<watch::Receiver<u64>> {
        let lags = Lags::connect(&self.args.brokers, stages).await?;
        let (tell, waiting) = watch::channel(0);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            loop {
                match lags.read().await {
                    Ok(stages) => {
                        let lanes = stages.values().flatten().flatten();
                        let records: i64 = lanes.map(|lane| lane.end_total - lane.committed_total).sum();
                        tell.send_replace(records.max(0).unsigned_abs());
                    }
                    Err(error) => debug!(error = format!("{error:#}"), "what waits was not told"),
                }
                if stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_none() {
                    return Ok(());
                }
            }
        });
        Ok(waiting)
    }

    /// Starts a stage.
    pub fn start<S: Stage>(&mut self, stage: S) {
        let readiness = Readiness::default();
        let WorkerArgs { runner, brokers, .. } = &self.args;
        let (store, sizing) = (self.services.store.clone(), self.sizing.clone());
        let worker =
            Worker { args: runner.clone(), brokers: brokers.clone(), store, readiness: readiness.clone(), sizing };
        let checks: [(&str, Check); 3] =
            [("group", Readiness::group), ("producer", Readiness::producer), ("breaker", Readiness::breaker)];
        for (name, check) in checks {
            let readiness = readiness.clone();
            self.checks.add(format!("{}.{name}", S::NAME), move || std::future::ready(check(&readiness)));
        }
        self.tasks.spawn(runner::run(stage, worker, self.stop.clone()));
    }

    /// Waits until a signal stops it.
    ///
    /// # Errors
    /// When a stage ended badly.
    pub async fn finish(mut self) -> Result<ExitCode> {
        self.tasks.spawn(admin::serve(self.args.admin.admin_listen, self.checks, self.stop.clone()));
        let grace = self.args.runner.drain_grace + LEAVE;
        service::join(self.tasks, self.stop, grace).await.map(|()| ExitCode::SUCCESS)
    }
}
