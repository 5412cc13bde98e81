//! What a plan comes to: waits with bands, workers, cost, beside its rivals.

use serde::Serialize;

use super::breaking::{self, Breaking};
use super::runs::{self, Effort, Job, Run, Scaling, Span};
use super::scenario::{MONTH_DAYS, Scenario};
use super::system;
use crate::simulate::outcome::quantile;

const DAY_S: f64 = 86_400.0;
/// What waits longer than this missed its target, in seconds.
const WAIT_LIMIT_S: f64 = 120.0;
/// Points of a curve that is drawn.
const POINTS: usize = 720;

/// Seeds from which on the ends of a band are less than the whole of it.
pub const BAND_SEEDS: u32 = 20;

/// A number that depends on chance: what 5, 50 and 95 % of the seeds stay below, which are the least and the most of fewer
/// than [`BAND_SEEDS`].
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Band {
    /// 5 %: the least of fewer than 20 seeds.
    pub low: f64,
    /// Half.
    pub mid: f64,
    /// 95 %: the most of fewer than 20 seeds.
    pub high: f64,
}

/// What changes over the busiest hours: seconds from their start, and what it is from then on.
pub type Curve = Vec<(f64, f64)>;

/// What a scenario comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// What it is about.
    pub scenario: Scenario,
    /// Videos a day.
    pub videos_per_day: f64,
    /// So many pieces were simulated as one in the simulation of the whole.
    pub grain: u32,
    /// Who scales and what comes of it.
    pub rivals: Vec<Rival>,
    /// What gives way, the first one first.
    pub breaking: Vec<Breaking>,
    /// The wait p95 if nothing were limited, in seconds.
    pub unlimited_wait_p95_s: Band,
}

/// What comes of one way of scaling.
#[derive(Clone, Debug, Serialize)]
pub struct Rival {
    /// Who scales.
    pub scaling: Scaling,
    /// Seeds behind the bands of waits, work and workers in the peak.
    pub seeds: u32,
    /// Seeds behind those of the whole time: use, workers all day and cost.
    pub whole_seeds: u32,
    /// Of the busiest hour's videos, in seconds.
    pub queue_wait_p50_s: Band,
    /// The same.
    pub queue_wait_p95_s: Band,
    /// Of the busiest hour's videos, those that waited longer than two minutes, as a share.
    pub waited_too_long: Band,
    /// From the first worker to the end, of the busiest hour's videos, in seconds.
    pub processing_p50_s: Band,
    /// The same.
    pub processing_p95_s: Band,
    /// Share of those videos that were not done when the simulation ended: their times are longer than is told.
    pub unfinished: f64,
    /// By stage, in the order of the flow.
    pub stages: Vec<StageUse>,
    /// Busy over paid time of all slots, over the whole time.
    pub utilisation: Band,
    /// Changes of scale a day.
    pub changes_per_day: Band,
    /// What all costs, a video.
    pub cost_per_video: Band,
    /// What all costs, a month.
    pub cost_per_month: Band,
    /// What the middle of that is made of.
    pub bill: Bill,
    /// Workers of all stages over the busiest hours, one a seed.
    #[serde(skip)]
    pub workers: Vec<Curve>,
    /// Waiting units of all stages likewise.
    #[serde(skip)]
    pub waiting: Vec<Curve>,
    /// Waits of the busiest hour's videos in order, one list a seed.
    #[serde(skip)]
    pub waits_s: Vec<Vec<f64>>,
}

/// Use of one stage's workers.
#[derive(Clone, Debug, Serialize)]
pub struct StageUse {
    /// The stage.
    pub stage: String,
    /// Most workers at once in the busiest hours.
    pub peak_workers: Band,
    /// Workers paid for on average over the whole time.
    pub mean_workers: Band,
    /// Busy over paid time of its slots.
    pub utilisation: Band,
}

/// What a month costs.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Bill {
    /// Workers, a month.
    pub workers: f64,
    /// What always runs, a month.
    pub base: f64,
    /// Blobs, a month, once as much is kept as is to be.
    pub storage: f64,
    /// All, a month.
    pub per_month: f64,
    /// All, a video.
    pub per_video: f64,
    /// Workers alone, a video.
    pub workers_per_video: f64,
}

impl Band {
    /// Describes `values`, one a seed.
    pub fn of(values: &[f64]) -> Self {
        let at = |share| quantile(values.to_vec(), share);
        Self { low: at(0.05), mid: at(0.5), high: at(0.95) }
    }
}

impl Answer {
    /// Returns what a video costs for videos a day, from a twentieth of the load to three times of it.
    pub fn cost_by_load(&self) -> Vec<(f64, f64)> {
        let Some(ours) = self.rivals.first() else { return Vec::new() };
        let (bill, scenario) = (ours.bill, &self.scenario);
        // What always runs, and the fewest workers of each stage, are shared by more videos; the rest is each video's own.
        let fewest = f64::from(scenario.machines.min_workers) * scenario.costs.stages.len() as f64;
        let idle = fewest * scenario.prices.worker_hour * 24.0 * MONTH_DAYS;
        let fixed = (bill.base + idle.min(bill.workers)) / bill.per_month.max(f64::MIN_POSITIVE) * bill.per_video;
        let at = |times: f64| (self.videos_per_day * times, bill.per_video - fixed + fixed / times);
        (1..=60).map(|step| at(f64::from(step) / 20.0)).collect()
    }
}

/// Simulates `scenario` under all ways of scaling: its busiest hours from as many seeds as `effort` says, a fifth of them for
/// the rivals and for the whole of it. Returns nothing if it was stopped.
pub fn answer(scenario: &Scenario, effort: &Effort<'_>) -> Option<Answer> {
    let seeds = effort.seeds.max(1);
    let few = seeds.div_ceil(5);
    let mut jobs = Vec::new();
    for scaling in Scaling::ALL {
        jobs.extend((1..=u64::from(few)).map(|seed| Job { scaling, seed, span: Span::Whole }));
        // The old system's queue of one day is one of all of it.
        let peaks = match scaling {
            Scaling::Spillway => seeds,
            Scaling::Old => 0,
            _ => few,
        };
        jobs.extend((1..=u64::from(peaks)).map(|seed| Job { scaling, seed, span: Span::Peak }));
    }
    let runs = runs::run_all(scenario, &jobs, effort)?;
    let open = Scenario { limits: scenario.limits.open(), ..scenario.clone() };
    let peak = |seed: u64| Job { scaling: Scaling::Spillway, seed, span: Span::Peak };
    let peaks: Vec<Job> = (1..=u64::from(few)).map(peak).collect();
    let unlimited = runs::run_all(&open, &peaks, effort)?;
    let rivals: Vec<Rival> = Scaling::ALL.into_iter().map(|scaling| rival(scenario, scaling, &runs)).collect();
    let per_month = rivals.first().map_or(0.0, |ours| ours.bill.per_month);
    let breaking = breaking::find(scenario, &unlimited, per_month, effort)?;
    let videos_per_day = scenario.arrivals.videos_per_day();
    let grain = system::grain(scenario, videos_per_day * scenario.arrivals.length_s() / DAY_S);
    let waits: Vec<f64> = unlimited.iter().map(|run| quantile(run.queue_waits_s(), 0.95)).collect();
    let unlimited_wait_p95_s = Band::of(&waits);
    Some(Answer { scenario: scenario.clone(), videos_per_day, grain, rivals, breaking, unlimited_wait_p95_s })
}

fn rival(scenario: &Scenario, scaling: Scaling, runs: &[Run]) -> Rival {
    let of = |span| runs.iter().filter(move |run| run.job.scaling == scaling && run.job.span == span);
    let peaks: Vec<&Run> = of(if scaling == Scaling::Old { Span::Whole } else { Span::Peak }).collect();
    let wholes: Vec<&Run> = of(Span::Whole).collect();
    let peak = |value: &dyn Fn(&Run) -> f64| band(&peaks, value);
    let whole = |value: &dyn Fn(&Run) -> f64| band(&wholes, value);
    let wait = |share| peak(&|run| quantile(run.queue_waits_s(), share));
    let processing = |share| peak(&|run| quantile(run.processing_s(), share));
    let bill = |run: &Run| bill(scenario, scaling, run.outcome.mean_workers());
    let (cost_per_video, cost_per_month) = (whole(&|run| bill(run).per_video), whole(&|run| bill(run).per_month));
    let middle = wholes.iter().map(|run| bill(run)).find(|bill| bill.per_month == cost_per_month.mid);
    Rival {
        scaling,
        seeds: peaks.len() as u32,
        whole_seeds: wholes.len() as u32,
        queue_wait_p50_s: wait(0.5),
        queue_wait_p95_s: wait(0.95),
        waited_too_long: peak(&|run| {
            let waits = run.queue_waits_s();
            waits.iter().filter(|wait_s| **wait_s > WAIT_LIMIT_S).count() as f64 / waits.len().max(1) as f64
        }),
        processing_p50_s: processing(0.5),
        processing_p95_s: processing(0.95),
        unfinished: peak(&Run::unfinished).mid,
        stages: stages(scenario, scaling, &peaks, &wholes),
        utilisation: whole(&|run| run.outcome.utilisation()),
        changes_per_day: whole(&|run| {
            let changes: u64 = run.outcome.stages.iter().map(|stage| stage.changes).sum();
            changes as f64 * DAY_S / run.outcome.length_s
        }),
        cost_per_video,
        cost_per_month,
        bill: middle.unwrap_or_default(),
        workers: peaks.iter().map(|run| run.workers()).collect(),
        waiting: peaks.iter().map(|run| waiting(run)).collect(),
        waits_s: peaks.iter().map(|run| waits_s(run)).collect(),
    }
}

/// Describes `value` over `runs`, one a seed.
fn band(runs: &[&Run], value: &dyn Fn(&Run) -> f64) -> Band {
    Band::of(&runs.iter().map(|run| value(run)).collect::<Vec<f64>>())
}

/// Describes the use of each stage's workers.
fn stages(scenario: &Scenario, scaling: Scaling, peaks: &[&Run], wholes: &[&Run]) -> Vec<StageUse> {
    let name = |place: usize| match scaling {
        Scaling::Old => "all steps",
        _ => scenario.costs.stages[place].stage,
    };
    let stage = |place: usize| StageUse {
        stage: name(place).to_owned(),
        peak_workers: band(peaks, &|run| f64::from(run.outcome.stages[place].peak_replicas)),
        mean_workers: band(wholes, &|run| run.outcome.stages[place].paid_s / run.outcome.length_s),
        utilisation: band(wholes, &|run| run.outcome.stages[place].utilisation()),
    };
    let count = wholes.first().map_or(0, |run| run.outcome.stages.len());
    (0..count).map(stage).collect()
}

fn bill(scenario: &Scenario, scaling: Scaling, mean_workers: f64) -> Bill {
    let (prices, bytes) = (&scenario.prices, &scenario.bytes);
    let videos_per_month = scenario.arrivals.videos_per_day() * MONTH_DAYS;
    if scaling == Scaling::Old {
        let per_month = videos_per_month * prices.old_video;
        return Bill { per_month, per_video: prices.old_video, ..Bill::default() };
    }
    let hours = MONTH_DAYS * 24.0;
    let sources_gb = scenario.mix.mean_s() * bytes.source_per_s * bytes.keep_sources_days / MONTH_DAYS / 1e9;
    let clips_gb = scenario.mix.mean_clips_s() * bytes.clip_per_s * bytes.keep_clips_months / 1e9;
    let workers = mean_workers * prices.worker_hour * hours;
    let base = prices.base_hour * hours;
    let storage = (sources_gb + clips_gb) * videos_per_month * prices.storage_gb_month;
    let per_month = workers + base + storage;
    let videos = videos_per_month.max(f64::MIN_POSITIVE);
    Bill { workers, base, storage, per_month, per_video: per_month / videos, workers_per_video: workers / videos }
}

fn waits_s(run: &Run) -> Vec<f64> {
    let mut waits_s = run.queue_waits_s();
    waits_s.sort_by(f64::total_cmp);
    waits_s
}

/// Returns what waits at all stages over time, from the start of the busiest hour.
fn waiting(run: &Run) -> Curve {
    let ticks = run.outcome.stages.iter().map(|stage| stage.backlog.len()).min().unwrap_or(0);
    let every = ticks.div_ceil(POINTS).max(1);
    let all = |tick: usize| run.outcome.stages.iter().map(|stage| f64::from(stage.backlog[tick].1)).sum::<f64>();
    // The most of each stretch: a peak must not fall between two points.
    let stretch = |first: usize| {
        let most = (first..(first + every).min(ticks)).map(all).fold(0.0, f64::max);
        (run.outcome.stages[0].backlog[first].0 - run.busiest_s, most)
    };
    (0..ticks).step_by(every).map(stretch).collect()
}
