//! `spillway bench`: what the pipeline costs beside the bare work, measured in one run on the same videos.

mod floor;
mod machine;
pub mod path;
mod runs;
mod service;
mod spent;
mod summary;
mod table;
mod told;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use pipeline::event::Options;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::store::StoreLocation;
use serde::Serialize;

use floor::{Bare, Floor, Setup};
use machine::Machine;
use path::{Extent, Paths};
use runs::{Many, One, Pairs};
use service::Service;
use spent::Spent;
use told::Hop;

/// Measures the pipeline against the bare work, on this machine.
///
/// The floor is decoding, face inference, speech and encoding of a video, called one after another in this process.
/// Beside it works `spillway dev` on a folder of its own: on one video alone, and on many at once. A machine's speed
/// changes within minutes, so the floor is measured before and after each of the two. Last the paths: records through a
/// stage that does nothing beside a bare Kafka consumer and producer, rebalances, memory, uploads beside a bare server.
/// It ends with 0 when all was measured, whatever the numbers are.
#[derive(clap::Args, Clone, Debug)]
pub struct BenchArgs {
    /// Videos to measure with; many at once are these in turn, one alone is the first. Without any only the paths are
    /// measured.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    video: Vec<PathBuf>,
    /// Videos of which only the bare work is measured: long ones.
    #[arg(long, num_args = 1.., value_name = "FILE", requires = "video")]
    floor_video: Vec<PathBuf>,
    /// A video of a few seconds: sent in turn to the idle pipeline, it shows what a hop from stage to stage costs.
    #[arg(long, value_name = "FILE", requires = "video")]
    short: Option<PathBuf>,
    /// How often the short video is sent.
    #[arg(long, default_value_t = 5, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    short_times: u32,
    /// How many videos at once.
    #[arg(long, default_value_t = 12, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    videos: u32,
    /// Most clips a video.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    clips: u32,
    /// Shortest clip, in seconds.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS")]
    min_clip: f64,
    /// Longest clip, in seconds.
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS")]
    max_clip: f64,
    /// Measure one video alone only.
    #[arg(long)]
    skip_many: bool,
    /// Measure no paths.
    #[arg(long, requires = "video")]
    skip_paths: bool,
    /// Measure a tenth of the paths: to see that it works, the numbers mean little.
    #[arg(long)]
    brief: bool,
    /// Keep the claims of the paths in this store and not in a SQLite file of their own: `cql://HOST/KEYSPACE`, made with
    /// one copy of each row if it is missing. They stay there: drop the keyspace afterwards.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "skip_paths")]
    claims_store: Option<StoreLocation>,
    /// Write everything that was measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep the data folder and say where it is.
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Measured {
    machine: Machine,
    /// Unless no video was given.
    pipeline: Option<Pipeline>,
    /// Unless they were skipped.
    paths: Option<Paths>,
}

/// What was measured with videos.
#[derive(Debug, Serialize)]
struct Pipeline {
    setup: Setup,
    /// Of the videos in the order given, each the mean of all times it was measured; then of those that only have a
    /// floor.
    floors: Vec<Floor>,
    /// How long `spillway dev` took to be ready in a new folder, in seconds.
    ready_s: f64,
    /// Cores used with nothing to do, once all videos are done.
    idle_cores: f64,
    /// What units of short videos waited that found their stage idle.
    short_hops: Vec<Hop>,
    one: One,
    /// The floor of that video, measured just before and after it.
    one_floor: Spent,
    many: Option<Many>,
    /// The floors of all these, measured just before and after them.
    many_floor: Option<Spent>,
}

/// Measures, prints the table and writes the JSON.
///
/// # Errors
/// When something could not be measured; numbers that fall short are none.
pub async fn run(args: BenchArgs) -> Result<ExitCode> {
    let stop = pipeline::service::stop_on_signal()?;
    for video in args.video.iter().chain(&args.floor_video).chain(&args.short) {
        ensure!(video.is_file(), "{} is not a file", video.display());
    }
    let folder = tempfile::Builder::new().prefix("spillway-bench-").tempdir().context("make a data folder")?;
    let measured = tokio::select! {
        measured = measure(&args, folder.path()) => measured,
        () = stop.cancelled() => bail!("interrupted"),
    };
    if args.keep {
        println!("the data are in {}", folder.keep().display());
    }
    let measured = measured?;
    let table = summary::table(&measured);
    print!("{}{}", summary::heading(&measured), table.text());
    if let Some(file) = &args.json {
        let json = serde_json::json!({ "rows": table, "measured": measured });
        std::fs::write(file, format!("{json:#}\n")).with_context(|| format!("write {}", file.display()))?;
        println!("all of it: {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(args: &BenchArgs, folder: &Path) -> Result<Measured> {
    let runtime = Runtime::new(&args.runtime);
    let machine = Machine::look(&runtime);
    let mut pipeline = None;
    if !args.video.is_empty() {
        pipeline = Some(measure_pipeline(args, folder, runtime.clone(), machine.cores).await?);
    }
    let mut paths = None;
    if !args.skip_paths {
        let extent = if args.brief { Extent::Brief } else { Extent::Whole };
        paths = Some(path::measure(&folder.join("paths"), &runtime, args.claims_store.clone(), extent).await?);
    }
    Ok(Measured { machine, pipeline, paths })
}

async fn measure_pipeline(args: &BenchArgs, folder: &Path, runtime: Runtime, cores: usize) -> Result<Pipeline> {
    let bare = async |videos: &[PathBuf]| measure_floors(args, folder, runtime.clone(), videos).await;
    let long = if args.floor_video.is_empty() { Vec::new() } else { bare(&args.floor_video).await?.1 };

    eprintln!("bench: starting the pipeline");
    let service = Service::start(&folder.join("dev"), args.runtime.runtime.as_deref()).await?;
    let options: Pairs = vec![
        ("clips", args.clips.to_string()),
        ("min_clip_s", args.min_clip.to_string()),
        ("max_clip_s", args.max_clip.to_string()),
    ];
    let mut short_hops = Vec::new();
    if let Some(short) = &args.short {
        eprintln!("bench: {} short videos in turn", args.short_times);
        let options = vec![("clips", "1".to_owned()), ("min_clip_s", "3".to_owned()), ("max_clip_s", "6".to_owned())];
        short_hops = runs::hops(&service, short, &options, args.short_times as usize).await?;
    }
    let (setup, before) = bare(&args.video).await?;
    eprintln!("bench: one video alone");
    let one = runs::one(&service, &args.video[0], &options, cores).await?;
    let mut rounds = vec![before, bare(&args.video).await?.1];
    let one_floor = spent::mean(rounds.iter().map(|round| round[0].total()));
    let (mut many, mut many_floor) = (None, None);
    if !args.skip_many {
        eprintln!("bench: {} videos at once", args.videos);
        let count = args.videos as usize;
        many = Some(runs::many(&service, &args.video, count, &options, cores).await?);
        rounds.push(bare(&args.video).await?.1);
        let all = |round: &Vec<Floor>| round.iter().cycle().take(count).map(Floor::total).sum();
        many_floor = Some(spent::mean(rounds[1..].iter().map(all)));
    }
    eprintln!("bench: nothing");
    let (ready_s, idle_cores) = (service.ready_s, runs::idle_cores(&service).await?);
    service.stop().await?;
    let mut floors = Floor::means(&rounds);
    floors.extend(long);
    Ok(Pipeline { setup, floors, ready_s, idle_cores, short_hops, one, one_floor, many, many_floor })
}

/// Measures the bare work on each video; its models are gone from memory when this returns.
async fn measure_floors(
    args: &BenchArgs,
    folder: &Path,
    runtime: Runtime,
    videos: &[PathBuf],
) -> Result<(Setup, Vec<Floor>)> {
    let bare = Bare::new(&folder.join("floor"), runtime)?;
    let length = |seconds: f64| (seconds * 1000.0).round() as u32;
    let (min_clip_ms, max_clip_ms) = (length(args.min_clip), length(args.max_clip));
    let options = Options { clips: args.clips, min_clip_ms, max_clip_ms, ..Options::default() };
    let mut floors = Vec::new();
    for video in videos {
        eprintln!("bench: the bare work on {}", video.display());
        floors.push(bare.measure(video, &options).await?);
    }
    Ok((bare.setup, floors))
}
