//! A run from its arguments to its report.

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::args::LoadArgs;
use crate::fairness;
use crate::limits::limits;
use crate::machine::Watch;
use crate::measures::{Measures, Seen};
use crate::mix::{self, Mix, Sender};
use crate::observe::Observer;
use crate::report::kept::Kept;
use crate::report::{Report, compare, html, text};
use crate::schedule::{Curve, Schedule};
use crate::spec::Spec;
use crate::system::{Plan, System};
use crate::target::Target;
use crate::verdict::{self, Terms};

/// Share of the videos that come as a URL to emulated workers.
const EMULATED_URLS: f64 = 0.2;

/// Runs a load test: prints, writes and returns whether every target was met.
///
/// # Errors
/// When it cannot be run; targets that are missed are none.
pub async fn run(args: LoadArgs, stop: CancellationToken) -> Result<bool> {
    let schedule = args.check()?;
    let before = args.output.compare.as_deref().map(Report::read).transpose()?;
    let kept = args.output.kept()?;
    if kept.is_none() && !args.output.no_reports {
        eprintln!("the report is not kept: neither XDG_DATA_HOME nor HOME is set; say where with --reports");
    }
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
        _ => measure(&target, seed, &args, &curve, (before.as_ref(), kept.as_ref()), &stop).await,
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
    (before, kept): (Option<&Report>, Option<&Kept>),
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
    let machine = machine.seen().clone();
    let measures = Measures::of(Seen {
        planned,
        sent: &sent,
        stories: &stories,
        fleets: &fleets,
        changes: &changes,
        machine: &machine,
        time_scale,
    });
    let targets = verdict::judge(&measures, Terms { slot_hour_price: args.output.slot_hour_price, emulated });
    let first_ms = sent.iter().map(|sent| sent.planned_ms).min().unwrap_or_default();
    let last_ms = stories.iter().filter_map(|story| story.ended_ms).max().unwrap_or(i64::MAX);
    let about = target.about(args, seed, ran.begun_at);
    let limits = limits((first_ms, last_ms), &machine, about.cores, &fleets, target.max_workers);
    let report =
        Report { about, curve: curve.clone(), measures, targets, limits, sent, stories, fleets, changes, machine };
    print!("{}", text::summary(&report));
    if let Some(before) = before {
        print!("\n{}", compare::text(before, &report));
    }
    write(&report, before, args, kept)?;
    Ok(verdict::is_met(&report.targets))
}

fn write(report: &Report, before: Option<&Report>, args: &LoadArgs, kept: Option<&Kept>) -> Result<()> {
    let page = html::page(report, before);
    if let Some(file) = &args.output.json {
        report.write(file)?;
        println!("all of it: {}", file.display());
    }
    if let Some(file) = &args.output.html {
        std::fs::write(file, &page).with_context(|| format!("write {}", file.display()))?;
        println!("as a page: {}", file.display());
    }
    if let Some(kept) = kept {
        println!("kept: {}", kept.keep(report, &page)?.display());
    }
    Ok(())
}

/// Returns who sends: the tenants of the keys file, or the one whose key was given, or those that a scenario has.
fn senders(args: &LoadArgs, schedule: &Schedule) -> Result<Vec<Sender>> {
    match &args.mix.keys {
        Some(file) => mix::senders(file),
        None if *schedule == Schedule::Fairness => Ok(fairness::tenants()),
        None => Ok(vec![mix::somebody(args.target.key.clone())]),
    }
}
