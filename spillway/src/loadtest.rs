//! `spillway loadtest`: sends load as it would come and judges what came of it; and the workers that only take time.

use std::path::PathBuf;
use std::process::ExitCode;

use ::loadtest::args::LoadArgs;
use ::loadtest::schedule::SCHEDULES;
use ::loadtest::spec::Spec;
use ::loadtest::work::{self, Ground};
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use pipeline::service;
use pipeline::stage::StageName;

use crate::process::{Process, WorkerArgs};

/// Send load as it would come, and judge what comes of it.
///
/// An open model: videos are sent when the schedule says, whatever the system does with those before; latency counts from
/// the planned moment, and what could not be sent is counted. In the end every target has its verdict, and where one is
/// missed the report says which resource was at its end.
///
/// `spillway loadtest viral-500 --emulate --html report.html` lets 500 people come within ten seconds to a system that it
/// starts on this machine, with emulated workers and everything else real. `spillway loadtest users-10 --server URL --key
/// KEY` sends real videos to an installation.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = after_help())]
pub struct LoadtestArgs {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Subcommand, Clone, Debug)]
enum Part {
    /// Run one stage's worker that only takes time.
    #[command(hide = true)]
    Work(Box<WorkArgs>),
}

/// What an emulated worker needs to know.
#[derive(Args, Clone, Debug)]
struct WorkArgs {
    /// Which stage: fetch, split, transcribe, analyze, moments or cut.
    stage: StageName,
    /// What is emulated, as JSON.
    #[arg(long, value_name = "FILE")]
    emulate: PathBuf,
    #[command(flatten)]
    worker: WorkerArgs,
}

impl LoadtestArgs {
    /// Returns the name of what runs, for logs and spans.
    pub fn name(&self) -> &'static str {
        match &self.part {
            Some(Part::Work(work)) => work.stage.as_str(),
            None => "loadtest",
        }
    }
}

/// Runs a load test, or one of its workers until a signal stops it.
///
/// # Errors
/// When it cannot be run; targets that are missed are told by the exit code.
pub async fn run(args: LoadtestArgs) -> Result<ExitCode> {
    if let Some(Part::Work(args)) = args.part {
        return work(*args).await;
    }
    let stop = service::stop_on_signal()?;
    let met = ::loadtest::run::run(args.load, stop).await?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn work(args: WorkArgs) -> Result<ExitCode> {
    let spec = Spec::read(&args.emulate)?;
    let mut process = Process::connect(args.worker).await?.with_startup(spec.startup());
    let ground = Ground::new(spec, process.services.carrier.clone());
    match args.stage {
        StageName::Fetch => process.start(work::Fetch::new(ground)?),
        StageName::Split => process.start(work::Split),
        StageName::Transcribe => process.start(work::Transcribe(ground)),
        StageName::Analyze => process.start(work::Analyze(ground)),
        StageName::Moments => process.start(work::Moments(ground)),
        StageName::Cut => process.start(work::Cut(ground)),
        light @ (StageName::Join | StageName::Deliver | StageName::Record) => {
            bail!("{light} takes no time of its own: run `spillway process {light}`")
        }
    }
    process.finish().await
}

fn after_help() -> String {
    format!(
        "{SCHEDULES}\n\nExit codes:\n  0  every target was met, or could not be told by this run\n  1  one was missed, or the load test could not be run"
    )
}
