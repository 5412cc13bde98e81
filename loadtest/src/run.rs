//! A run from its arguments to its report.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use jiff::Timestamp;
use pipeline::kafka::BrokerArgs;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::args::LoadArgs;
use crate::client::{Client, Content, Request};
use crate::drive::{Drive, Ledger};
use crate::fairness;
use crate::follow::{Follower, Stories};
use crate::limits::limits;
use crate::live::Live;
use crate::machine::Watch;
use crate::material::Material;
use crate::measures::{Measures, Seen};
use crate::mix::{self, Arrival, Lengths, Mix, Sender};
use crate::observe::Observer;
use crate::report::{About, Report, compare, html, text};
use crate::schedule::{Curve, Schedule};
use crate::spec::Spec;
use crate::system::{Plan, System};
use crate::verdict::{self, Terms};
use crate::web::Web;

/// Lengths of the videos that emulated workers are given.
const EMULATED_LENGTHS: [(u64, f64); 4] = [(60, 2.0), (180, 4.0), (600, 3.0), (2400, 1.0)];
/// Lengths of the videos that are made.
const MADE_LENGTHS: [(u64, f64); 2] = [(10, 1.0), (30, 1.0)];
/// Share of the videos that come as a URL to emulated workers.
const EMULATED_URLS: f64 = 0.2;

/// Where the load goes and what is sent there.
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) senders: Vec<Sender>,
    pub(crate) material: Material,
    web: Web,
    server: Url,
    brokers: Option<BrokerArgs>,
    spec: Option<Spec>,
    max_workers: Option<u32>,
    /// Puts this run's videos apart from those of other runs.
    mark: String,
}

/// What a stretch of load came to.
pub(crate) struct Ran {
    pub(crate) begun_at: Timestamp,
    pub(crate) ledger: Ledger,
    pub(crate) stories: Stories,
}

/// Runs a load test: prints, writes and returns whether every target was met.
///
/// # Errors
/// When it cannot be run; targets that are missed are none.
pub async fn run(args: LoadArgs, stop: CancellationToken) -> Result<bool> {
    let schedule = args.check()?;
    let before = args.output.compare.as_deref().map(Report::read).transpose()?;
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    eprintln!("seed {seed}");
    let curve = schedule.curve(&args.times)?;
    let senders = senders(&args, schedule)?;
    let folder = tempfile::Builder::new().prefix("spillway-loadtest-").tempdir().context("make a data folder")?;
    let mut system = None;
    if args.emulation.emulate {
        let spec = Spec {
            seed,
            time_scale: args.emulation.time_scale,
            basis: args.emulation.basis,
            startup_s: args.emulation.startup.as_secs_f64(),
        };
        eprintln!("starting the system with emulated workers");
        let (max_workers, runtime) = (args.emulation.max_workers, &args.emulation.runtime);
        let plan = Plan { spec: &spec, max_workers, runtime, senders: &senders };
        system = Some((System::start(plan, folder.path()).await?, spec));
    }
    let target = Target::new(&args, seed, senders, system.as_ref(), folder.path()).await?;
    let met = match schedule {
        Schedule::Fairness => fairness::run(&target, &curve, seed, &args, &stop).await,
        _ => measure(&target, seed, &args, &curve, before.as_ref(), &stop).await,
    };
    if let Some((system, _)) = system {
        system.stop().await?;
    }
    keep(&args, folder);
    met
}

fn keep(args: &LoadArgs, folder: TempDir) {
    if args.emulation.keep {
        println!("the data are in {}", folder.keep().display());
    }
}

/// Sends the schedule, judges what came of it, and tells.
async fn measure(
    target: &Target,
    seed: u64,
    args: &LoadArgs,
    curve: &Curve,
    before: Option<&Report>,
    stop: &CancellationToken,
) -> Result<bool> {
    let mix = Mix {
        kinds: target.material.weights.clone(),
        senders: target.senders.clone(),
        priority_share: args.mix.priority_share,
        url_share: args.mix.url_share.unwrap_or(if target.spec.is_some() { EMULATED_URLS } else { 0.0 }),
    };
    let arrivals = mix.arrivals(curve, seed);
    let observer = match &target.brokers {
        Some(brokers) => Some(Observer::start(brokers).await.context("see the workers")?),
        None => None,
    };
    let machine = Watch::start()?;
    let ran = target.send(&arrivals, args, observer.as_ref(), stop).await;
    if stop.is_cancelled() {
        bail!("interrupted");
    }
    let (fleets, changes) = observer.as_ref().map(Observer::all).unwrap_or_default();
    let (sent, stories) = (ran.ledger.lock().clone(), ran.stories.lock().clone());
    let time_scale = target.time_scale();
    let (planned, emulated) = (arrivals.len(), target.spec.is_some());
    let measures =
        Measures::of(Seen { planned, sent: &sent, stories: &stories, fleets: &fleets, changes: &changes, time_scale });
    let targets = verdict::judge(&measures, Terms { slot_hour_price: args.output.slot_hour_price, emulated });
    let first_ms = sent.iter().map(|sent| sent.planned_ms).min().unwrap_or_default();
    let last_ms = stories.iter().filter_map(|story| story.ended_ms).max().unwrap_or(i64::MAX);
    let machine = machine.seen().clone();
    let about = target.about(args, seed, ran.begun_at);
    let limits = limits((first_ms, last_ms), &machine, about.cores, &fleets, target.max_workers);
    let report =
        Report { about, curve: curve.clone(), measures, targets, limits, sent, stories, fleets, changes, machine };
    print!("{}", text::summary(&report));
    if let Some(before) = before {
        print!("\n{}", compare::text(before, &report));
    }
    write(&report, before, args)?;
    Ok(verdict::is_met(&report.targets))
}

fn write(report: &Report, before: Option<&Report>, args: &LoadArgs) -> Result<()> {
    if let Some(file) = &args.output.json {
        report.write(file)?;
        println!("all of it: {}", file.display());
    }
    if let Some(file) = &args.output.html {
        std::fs::write(file, html::page(report, before)).with_context(|| format!("write {}", file.display()))?;
        println!("as a page: {}", file.display());
    }
    Ok(())
}

impl Target {
    async fn new(
        args: &LoadArgs,
        seed: u64,
        senders: Vec<Sender>,
        system: Option<&(System, Spec)>,
        folder: &Path,
    ) -> Result<Self> {
        let spec = match (system, &args.target.emulated_by) {
            (Some((_, spec)), _) => Some(spec.clone()),
            (None, Some(file)) => Some(Spec::read(file)?),
            (None, None) => None,
        };
        let material = material(args, spec.is_some(), folder).await?;
        let web = Web::start(material.bodies.clone()).await?;
        let server = system.map_or_else(|| args.target.server.clone(), |(system, _)| system.server.clone());
        let brokers = match (system, &args.target.brokers) {
            (Some((system, _)), _) => Some(system.brokers()),
            (None, Some(list)) => Some(reached_at(list)?),
            (None, None) => None,
        };
        let client = Client::new(server.clone())?;
        client.check(senders[0].key.as_deref()).await?;
        let max_workers = system.map(|_| args.emulation.max_workers);
        // In a system of its own the same seed makes the same videos; elsewhere an earlier run's are not to be met again.
        let mark = match system {
            Some(_) => format!("loadtest-{seed}"),
            None => format!("loadtest-{seed}-{:08x}", rand::random::<u32>()),
        };
        Ok(Self { client, senders, material, web, server, brokers, spec, max_workers, mark })
    }

    /// Returns how many times faster than the schedule it goes.
    pub(crate) fn time_scale(&self) -> f64 {
        self.spec.as_ref().map_or(1.0, |spec| spec.time_scale)
    }

    /// Sends `arrivals` and follows what is accepted until all has ended or the patience is over.
    pub(crate) async fn send(
        &self,
        arrivals: &[Arrival],
        args: &LoadArgs,
        observer: Option<&Observer>,
        stop: &CancellationToken,
    ) -> Ran {
        let (ledger, stories) = (Ledger::default(), Stories::default());
        let time_scale = self.time_scale();
        let (all_sent, sent) = watch::channel(false);
        let follower = Follower {
            client: self.client.clone(),
            senders: self.senders.clone(),
            ledger: ledger.clone(),
            stories: stories.clone(),
        };
        let patience = Duration::from_secs_f64(args.target.patience.as_secs_f64() / time_scale);
        let connections = args.target.connections as usize;
        let drive = Drive { client: &self.client, time_scale, connections, ledger: &ledger, stop };
        let live = Live { planned: arrivals.len(), time_scale, ledger: &ledger, stories: &stories, observer };
        let driven = async {
            let begun_at = drive.send(arrivals, |arrival| self.request(arrival)).await;
            all_sent.send_replace(true);
            begun_at
        };
        let followed = async {
            tokio::select! {
                () = follower.run(sent, patience) => {}
                () = stop.cancelled() => {}
            }
        };
        let (begun_at, ()) = tokio::select! {
            ran = async { tokio::join!(driven, followed) } => ran,
            never = live.show() => match never {},
        };
        Ran { begun_at, ledger, stories }
    }

    fn request(&self, arrival: &Arrival) -> Request {
        Request {
            key: self.senders[arrival.sender].key.clone(),
            name: format!("{}-{}", self.mark, arrival.number),
            priority: arrival.priority,
            content: match arrival.by_url {
                true => Content::Url(self.web.url(arrival.kind, arrival.number)),
                false => Content::Upload(self.material.bodies[arrival.kind].clone()),
            },
        }
    }

    fn about(&self, args: &LoadArgs, seed: u64, begun_at: Timestamp) -> About {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let build = if cfg!(debug_assertions) { ", a debug build: its numbers mean nothing," } else { "" };
        About {
            spillway: format!("spillway {}{build}", env!("CARGO_PKG_VERSION")),
            schedule: args.schedule.as_ref().map_or(String::new(), Schedule::to_string),
            seed,
            begun_at,
            server: match self.max_workers {
                Some(max) => format!("a system of its own with at most {max} slots a stage"),
                None => self.server.to_string(),
            },
            emulated: self.spec.clone(),
            max_workers: self.max_workers,
            time_scale: self.time_scale(),
            material: self.material.words.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor.map_or("an unknown processor", |(_, name)| name.trim()).to_owned(),
        }
    }
}

async fn material(args: &LoadArgs, is_emulated: bool, folder: &Path) -> Result<Material> {
    let lengths = |usual: &[(u64, f64)]| {
        let usual = || Lengths(usual.iter().map(|(s, weight)| (Duration::from_secs(*s), *weight)).collect());
        args.mix.lengths.clone().unwrap_or_else(usual)
    };
    if is_emulated {
        return Ok(Material::tokens(&lengths(&EMULATED_LENGTHS), args.emulation.upload_kib as usize * 1024));
    }
    if args.video.is_empty() {
        return Material::made(&lengths(&MADE_LENGTHS), folder).await;
    }
    Material::files(&args.video)
}

/// Returns how brokers of an installation are reached: as its own processes would, from the same variables.
fn reached_at(list: &str) -> Result<BrokerArgs> {
    #[derive(Parser)]
    struct Shared {
        #[command(flatten)]
        brokers: BrokerArgs,
    }
    let shared = Shared::try_parse_from(["loadtest", "--brokers", list]).context("read settings")?;
    Ok(shared.brokers)
}

/// Returns who sends: the tenants of the keys file, or the one whose key was given, or those that a scenario has.
fn senders(args: &LoadArgs, schedule: &Schedule) -> Result<Vec<Sender>> {
    match &args.mix.keys {
        Some(file) => mix::senders(file),
        None if *schedule == Schedule::Fairness => Ok(fairness::tenants()),
        None => Ok(vec![mix::somebody(args.target.key.clone())]),
    }
}
