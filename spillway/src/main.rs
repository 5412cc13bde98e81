//! The one binary: a subcommand per role. It only wires: parse, connect, run, wait.

mod api;
mod autoscale;
mod bench;
mod check;
mod client;
mod dashboard;
mod dead_letters;
mod dev;
mod health;
mod ingest;
mod loadtest;
mod models;
mod plan;
mod process;
mod rebuild;
mod submit;
mod topics;
mod watch;
mod workers;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use pipeline::telemetry::{self, TelemetryArgs};

/// Turns long videos into short vertical clips that follow the speaker, as a stream over Kafka.
///
/// Start everything on this machine with `spillway dev`, then give it a video with `spillway submit --wait VIDEO`.
/// A flag with `[env: NAME]` beside it can also be set by the environment variable NAME; the flag wins.
#[derive(Parser)]
#[command(name = "spillway", version, max_term_width = 110, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten, next_help_heading = "Logs and spans")]
    telemetry: TelemetryArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything on this machine: a private Kafka, the API and all workers.
    Dev(dev::DevArgs),
    /// Serve the HTTP API.
    Ingest(Box<ingest::IngestCommand>),
    /// Serve the dashboard: pages for the operator on call and for who plans capacity.
    ///
    /// `spillway dev` shows it at the address of the API. It needs what the API needs, and listens on this host alone
    /// unless there is a key of operators.
    Dashboard(Box<dashboard::DashboardCommand>),
    /// Run one stage's worker; any number of processes may.
    Process(Box<process::ProcessArgs>),
    /// Have as many workers there as the work needs, and say why.
    ///
    /// Looks each tick at what waits in the brokers and at who works on it, decides how many workers each stage needs,
    /// and has them there. Every decision is published to `autoscaler.decision`.
    Autoscale(Box<autoscale::AutoscaleArgs>),
    /// Create and check the topics.
    Topics(topics::TopicsArgs),
    /// Look at everything that is configured: brokers, topics, store, blobs, the file of tenants, run-time files.
    ///
    /// Takes the flags and variables that the roles take and prints what is right, what is wrong and what to do. It
    /// makes nothing but a blob folder that is missing, and one small object in the blob store, which it removes. Exits
    /// with 0 when all is right, with 1 when something is wrong.
    Check(Box<check::CheckArgs>),
    /// Ask a process whether it is well; exits with 0 if so.
    ///
    /// For example, as a container's health check: `spillway health http://127.0.0.1:8080/readyz`.
    Health(health::HealthArgs),
    /// Submit videos, by file or URL, and fetch their clips.
    ///
    /// For example: `spillway submit --out clips --clips 5 talk.mp4`. Without --wait or --out it prints the video's id
    /// as soon as the video is safe, for `spillway watch ID`.
    Submit(submit::SubmitArgs),
    /// Follow videos until they end.
    Watch(watch::WatchArgs),
    DeadLetters(Box<dead_letters::DeadLettersArgs>),
    Workers(Box<workers::WorkersArgs>),
    /// Make the store anew from the topics and the blob store after it was lost.
    ///
    /// Into an empty store, while neither workers nor the API run. Interrupted, it is to be called again until it says
    /// that the store is rebuilt: nobody works with one that is half there.
    Rebuild(Box<rebuild::RebuildArgs>),
    Plan(Box<plan::PlanArgs>),
    /// Measure the pipeline against the bare work.
    Bench(bench::BenchArgs),
    /// Run a part of `bench` that needs a process of its own.
    #[command(hide = true)]
    BenchPart(bench::path::part::PartArgs),
    Loadtest(Box<loadtest::LoadtestArgs>),
    /// List and pull speech models.
    ///
    /// They give better words than the recogniser that comes with the distribution. Unless --models says otherwise they
    /// are kept in `spillway/models` in the user's data folder (`$XDG_DATA_HOME`, else `~/.local/share`).
    Models(models::ModelsArgs),
    /// Print a shell's completions, to be saved where the shell looks for them.
    ///
    /// For bash: `spillway completions bash > ~/.local/share/bash-completion/completions/spillway`
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// How long threads may take to end when all else has.
const HANG_LIMIT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(run(cli));
    // What hangs in foreign code must not keep a process that has ended; what does not must end before the C libraries do.
    runtime.shutdown_timeout(HANG_LIMIT);
    outcome.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("spillway: {error:#}");
    ExitCode::FAILURE
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let _telemetry = telemetry::start(&cli.telemetry, cli.command.name())?;
    match cli.command {
        Command::Dev(args) => dev::run(args).await,
        Command::Ingest(args) => ingest::run(*args).await,
        Command::Dashboard(args) => dashboard::run(*args).await,
        Command::Process(args) => process::run(*args).await,
        Command::Autoscale(args) => autoscale::run(*args).await,
        Command::Topics(args) => topics::run(args).await,
        Command::Check(args) => check::run(*args).await,
        Command::Health(args) => health::run(args).await,
        Command::Submit(args) => submit::run(args).await,
        Command::Watch(args) => watch::run(args).await,
        Command::DeadLetters(args) => dead_letters::run(*args).await,
        Command::Workers(args) => workers::run(*args).await,
        Command::Rebuild(args) => rebuild::run(*args).await,
        Command::Plan(args) => plan::run(*args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::BenchPart(args) => bench::path::part::run(args).await,
        Command::Loadtest(args) => loadtest::run(*args).await,
        Command::Models(args) => models::run(args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "spillway", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Dev(_) => "dev",
            Self::Ingest(_) => "ingest",
            Self::Dashboard(_) => "dashboard",
            Self::Process(args) => args.stage.name(),
            Self::Autoscale(_) => "autoscale",
            Self::Topics(_) => "topics",
            Self::Check(_) => "check",
            Self::Health(_) => "health",
            Self::Submit(_) => "submit",
            Self::Watch(_) => "watch",
            Self::DeadLetters(_) => "dead-letters",
            Self::Workers(_) => "workers",
            Self::Rebuild(_) => "rebuild",
            Self::Plan(_) => "plan",
            Self::Bench(_) => "bench",
            Self::BenchPart(_) => "bench-part",
            Self::Loadtest(args) => args.name(),
            Self::Models(_) => "models",
            Self::Completions { .. } => "completions",
        }
    }
}

#[cfg(test)]
mod deployed;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
