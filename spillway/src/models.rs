//! `spillway models`: the speech models that can be pulled.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use processors::models::catalog::{self, ModelFolder, ORIGIN, SPEECH_MODELS, SpeechModel};
use url::Url;

/// Speech models: better words than the recogniser of the distribution gives.
#[derive(clap::Args, Debug)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the models, with size, language, licence, and whether they are there.
    List(ModelFolder),
    /// Fetch a model; one that broke off goes on where it was. Workers use the best one from their next start on.
    Pull {
        /// Its name, see `spillway models list`.
        name: String,
        /// Fetch from below this address instead, such as a mirror in your network; the sum is checked all the same.
        #[arg(long, value_name = "URL")]
        from: Option<Url>,
        #[command(flatten)]
        folder: ModelFolder,
    },
}

/// Lists models or fetches one. Exits with 0 when done, 1 when it failed.
///
/// # Errors
/// When there is no such model, or it cannot be fetched.
pub async fn run(args: ModelsArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(folder) => list(&place_of(&folder)?),
        Command::Pull { name, from, folder } => {
            let path = pull(SpeechModel::find(&name)?, from, &place_of(&folder)?).await?;
            println!("{name} is at {}", path.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn place_of(folder: &ModelFolder) -> anyhow::Result<PathBuf> {
    folder.path().context("neither XDG_DATA_HOME nor HOME is set; say where models are kept with --models")
}

fn list(folder: &Path) {
    println!("{:<20} {:>10}  {:<12}  {:<7}  INSTALLED", "NAME", "SIZE", "LANGUAGE", "LICENCE");
    for model in &SPEECH_MODELS {
        let installed = if model.installed(folder).is_some() { "yes" } else { "no" };
        let size = HumanBytes(model.bytes).to_string();
        println!("{:<20} {:>10}  {:<12}  {:<7}  {installed}", model.name, size, model.languages, model.licence);
    }
    println!("\nFolder: {}", folder.display());
}

async fn pull(model: &SpeechModel, from: Option<Url>, folder: &Path) -> anyhow::Result<PathBuf> {
    let origin = match from {
        Some(origin) => origin,
        None => Url::parse(ORIGIN).context("read the address of the models")?,
    };
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
    let bar = ProgressBar::new(model.bytes).with_style(style).with_message(model.name);
    let pulled = catalog::pull(model, &origin, folder, |progress| bar.set_position(progress.done)).await;
    bar.finish_and_clear();
    Ok(pulled?)
}
