//! `spillway dead-letters`: units that were given up, for people to look at, replay or discard.

mod list;
mod replay;
mod select;
mod show;

use std::process::ExitCode;

use anyhow::Result;

/// Shows and settles units that were given up.
///
/// A unit whose work failed for good is a dead letter: its message as it was, and why. Its video has ended as `partial`
/// or `failed`. Mend the cause, then replay it: if it succeeds, it completes its video.
#[derive(clap::Args, Clone, Debug)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum Command {
    /// List dead letters, oldest first, stage by stage.
    List(list::ListArgs),
    /// Show all that is known of one, and what to do.
    Show(show::ShowArgs),
    /// Send units to work again, by id or by what they have in common.
    ///
    /// A video that ended `partial` or `failed` goes on, and ends again. Interrupted, it can be called again: what is
    /// replayed already is not replayed twice. Videos that were cancelled or deleted stay so.
    Replay(Box<replay::ReplayArgs>),
    /// Mark dead letters as settled without doing anything; they are not listed any more.
    Discard(replay::DiscardArgs),
}

/// Runs the subcommand.
///
/// # Errors
/// When the broker or the store cannot be reached, or there is no such letter.
pub async fn run(args: DeadLettersArgs) -> Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Replay(args) => replay::run(*args).await,
        Command::Discard(args) => replay::discard(args).await,
    }
}
