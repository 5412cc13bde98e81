//! Compares policies on load traces: `cargo run --release -p spillway-planning --example policies -- FOLDER [POLICY..]`.
//!
//! FOLDER holds CSV files with a header `seconds,arrivals` and equal buckets. Of each its first five days are scaled to 20
//! busy slots on average; a job takes 60 s on average (lognormal, coefficient of variation 0.7) and is to begin within
//! 120 s. One line a start-up time and policy: means over the traces, and a line a trace with `-v`. Then two bursts, and what
//! deciding costs.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pipeline::memory::resident_bytes;
use planning::decide::decide;
use planning::memory::Memory;
use planning::observation::Observation;
use planning::policy::Policy;
use planning::simulate::engine;
use planning::simulate::flow::Flow;
use planning::simulate::keda::{Keda, KedaScaler};
use planning::simulate::load::{Load, Trace};
use planning::simulate::oracle::Oracle;
use planning::simulate::outcome::Outcome;
use planning::simulate::scaler::Scaler;
use planning::trace::rows;

use jobs::{SLO_S, at_once, flow, large, load};

#[path = "../tests/it/jobs.rs"]
mod jobs;

const DAYS_S: f64 = 5.0 * 86_400.0;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let verbose = arguments.iter().any(|a| a == "-v");
    let mut plain = arguments.iter().filter(|a| *a != "-v");
    let folder = plain.next().expect("a folder of traces").clone();
    let wanted: Vec<&String> = plain.collect();
    let traces = read(Path::new(&folder));
    for startup_s in [45.0, 180.0] {
        for policy in ["ours", "keda2fast", "keda1", "keda1fast", "perfect"] {
            if !wanted.is_empty() && !wanted.iter().any(|w| *w == policy) {
                continue;
            }
            compare(&traces, startup_s, policy, verbose);
        }
    }
    for policy in ["ours", "keda2fast", "keda1", "keda1fast", "perfect"] {
        if wanted.is_empty() || wanted.iter().any(|w| *w == policy) {
            spike(policy);
        }
    }
    month();
}

/// What deciding costs: ten stages of four lanes and a thousand workers, every tick of a month.
fn month() {
    const TICKS: u32 = 30 * 86_400 / 5;
    let (policy, mut memory) = (Policy::default(), Memory::default());
    let mut slowest = Duration::ZERO;
    let mut resident = Vec::new();
    let started = Instant::now();
    for tick in 0..TICKS {
        let seen = large(tick);
        let before = Instant::now();
        decide(&policy, &mut memory, &seen);
        slowest = slowest.max(before.elapsed());
        if tick % (86_400 / 5) == 0 {
            resident.push(resident_bytes(None).unwrap_or(0) / 1024);
        }
    }
    let mean = started.elapsed() / TICKS;
    println!(
        "decide: {mean:?} a tick on average, {slowest:?} at most; resident KiB on days 2, 9, 30: {:?}",
        [resident[1], resident[8], resident[29]]
    );
}

/// The policy, with what its forecasts held.
#[derive(Default)]
struct Watched {
    policy: Policy,
    memory: Memory,
    /// Sum of the shares that were told for the first stage, and how many they were.
    held: (f64, u32),
}

impl Scaler for Watched {
    fn scale(&mut self, seen: &Observation) -> Vec<u32> {
        let decision = decide(&self.policy, &mut self.memory, seen);
        let inputs = decision.stages.first().and_then(|stage| stage.inputs.as_ref());
        if let Some(held) = inputs.and_then(|inputs| inputs.coverage) {
            self.held = (self.held.0 + held, self.held.1 + 1);
        }
        decision.stages.iter().map(|stage| stage.replicas).collect()
    }
}

/// Runs `policy`, and returns also the share of its forecasts that lay within the band, where it has some.
fn run(policy: &str, flow: &Flow, load: &Load, length_s: f64) -> (Outcome, Option<f64>) {
    let mut ours = Watched::default();
    let mut rival: Box<dyn Scaler> = match policy {
        "ours" => return (engine::run(flow, load, &mut ours, length_s), share(ours.held)),
        "perfect" => Box::new(Oracle::new(flow, load, length_s)),
        "keda1" => Box::new(KedaScaler::new(Keda::with_defaults(1.0))),
        "keda1fast" => Box::new(KedaScaler::new(Keda::fast(1.0))),
        "keda2fast" => Box::new(KedaScaler::new(Keda::fast(2.0))),
        other => panic!("no policy {other}"),
    };
    (engine::run(flow, load, rival.as_mut(), length_s), None)
}

fn share((sum, count): (f64, u32)) -> Option<f64> {
    (count > 0).then(|| sum / f64::from(count))
}

fn read(folder: &Path) -> Vec<(String, Trace)> {
    let mut traces = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder of traces") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|e| e != "csv") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("read");
        let rows = rows::<f64>(&text).expect("a trace");
        let trace = Trace { bucket_s: rows[1].at_s - rows[0].at_s, counts: rows.iter().map(|row| row.count).collect() };
        traces.push((path.file_stem().expect("name").to_string_lossy().into_owned(), trace));
    }
    traces.sort_by(|a, b| a.0.cmp(&b.0));
    traces
}

fn compare(traces: &[(String, Trace)], startup_s: f64, policy: &str, verbose: bool) {
    let results: Mutex<Vec<(usize, Outcome, Option<f64>)>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, trace)) = traces.get(index) else { return };
                    let trace = trace.first(DAYS_S);
                    let arrivals = trace.arrivals(trace.factor(60.0, 20.0, 300.0, 192.0), 7 + index as u64);
                    let (flow, load) = (flow(1, startup_s, 240), load(arrivals, 1, 11));
                    let (outcome, held) = run(policy, &flow, &load, trace.length_s());
                    results.lock().expect("no panic").push((index, outcome, held));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no panic");
    results.sort_by_key(|(index, ..)| *index);
    let count = results.len() as f64;
    let mean = |of: &dyn Fn(&Outcome) -> f64| results.iter().map(|(_, o, _)| of(o)).sum::<f64>() / count;
    let mut p95: Vec<f64> = results.iter().map(|(_, o, _)| o.stages[0].wait_quantile(0.95)).collect();
    p95.sort_by(f64::total_cmp);
    let held: Option<f64> = results.iter().map(|(.., held)| *held).sum();
    println!(
        "{startup_s:>4} {policy:<10} over {:.3} %  p95 {:.0}  utilisation {:.1} (pooled {:.1})  changes {:.0}  coverage {}",
        100.0 * mean(&|o| o.stages[0].share_over(SLO_S)),
        p95[p95.len() / 2],
        100.0 * mean(&|o| o.stages[0].utilisation()),
        100.0 * results.iter().map(|(_, o, _)| o.stages[0].busy_s).sum::<f64>()
            / results.iter().map(|(_, o, _)| o.stages[0].paid_s).sum::<f64>(),
        mean(&|o| o.stages[0].changes as f64),
        percent(held.map(|sum| sum / count)),
    );
    if verbose {
        for (index, outcome, held) in &results {
            let stage = &outcome.stages[0];
            println!(
                "     {:<24} over {:.3} %  p95 {:.0}  utilisation {:.1}  changes {}  busy {:.1} starting {:.1} %  coverage {}",
                traces[*index].0,
                100.0 * stage.share_over(SLO_S),
                stage.wait_quantile(0.95),
                100.0 * stage.utilisation(),
                stage.changes,
                stage.busy_s / outcome.length_s,
                100.0 * stage.started as f64 * startup_s / stage.paid_s,
                percent(*held),
            );
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

/// The two bursts: 500 at once on one stage, 100 at once on three in a row.
fn spike(policy: &str) {
    let runs = 20;
    let (mut p95, mut over, mut hours, mut first) = (0.0, 0.0, 0.0, 0.0f64);
    for seed in 0..runs {
        let (outcome, _) = run(policy, &flow(1, 45.0, 400), &load(at_once(500, seed), 1, seed), 1800.0);
        let stage = &outcome.stages[0];
        p95 += stage.wait_quantile(0.95) / runs as f64;
        over += 100.0 * stage.share_over(SLO_S) / runs as f64;
        hours += stage.worker_hours() / runs as f64;
        first = first.max(stage.scales.first().map_or(f64::INFINITY, |s| s.0));
    }
    println!(
        "spike 500 {policy:<10} p95 {p95:.0}  over {over:.1} %  worker-hours {hours:.1}  first decision {first:.0} s"
    );
    let (mut p95, mut hours) = (0.0, 0.0);
    for seed in 0..runs {
        let (outcome, _) = run(policy, &flow(3, 180.0, 240), &load(at_once(100, seed), 3, seed), 3600.0);
        p95 += outcome.video_wait_quantile(0.95) / runs as f64;
        hours += outcome.stages.iter().map(|s| s.worker_hours()).sum::<f64>() / runs as f64;
    }
    println!("three stages {policy:<10} summed p95 {p95:.0}  worker-hours {hours:.1}");
}
