//! What waits for each stage: by lane on one page, by partition on a page a stage.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use pipeline::kafka::lag::LaneLag;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::stages::STAGES;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::{Kind, Line, Plot};
use crate::say;
use crate::seen::State as Seen;
use crate::seen::queues::waiting;

/// How far back the plot of a stage goes, in milliseconds.
const PLOTTED_MS: i64 = 3_600_000;

#[derive(Template, Serialize)]
#[template(path = "queues.html")]
struct Page {
    #[serde(skip)]
    frame: Frame,
    now: Now,
}

/// What changes all the time.
#[derive(Template, Serialize)]
#[template(path = "queues_now.html")]
struct Now {
    stages: Vec<StageQueue>,
}

/// What waits for a stage.
#[derive(Serialize)]
struct StageQueue {
    stage: &'static str,
    /// Why it is not known; what is shown is old then.
    unknown: Option<String>,
    lanes: Vec<LaneQueue>,
}

/// What waits in a lane.
#[derive(Serialize)]
struct LaneQueue {
    /// Its name; gatherers have one queue for all.
    lane: &'static str,
    partitions: u32,
    /// Records that wait or are in hand.
    waiting: i64,
    /// Partitions in which some do.
    partitions_waiting: usize,
    /// How long the oldest lies there, in seconds.
    oldest_s: Option<f64>,
    /// Records that come each second, over the last minute.
    arriving_per_s: Option<f64>,
    /// Records that are done each second, over the last minute.
    leaving_per_s: Option<f64>,
    /// Records by which it grows each minute; negative when it shrinks.
    growing_per_min: Option<f64>,
    /// In how long it is empty at these rates, in seconds; nothing if it does not shrink.
    empty_in_s: Option<f64>,
}

#[derive(Template, Serialize)]
#[template(path = "queue.html")]
struct One {
    #[serde(skip)]
    frame: Frame,
    queue: StageQueue,
    partitions: Vec<PartitionQueue>,
    plot: Plot,
}

/// What waits in a partition.
#[derive(Serialize)]
struct PartitionQueue {
    lane: &'static str,
    partition: i32,
    /// The place after the last record.
    end: i64,
    /// The place that is acknowledged.
    committed: i64,
    /// Records between the two.
    waiting: i64,
    /// How long the oldest of them lies there, in seconds.
    oldest_s: Option<f64>,
}

/// Shows all stages.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/queues", "Queues", "queues");
    answer(wants, &Page { frame, now: now(&app) })
}

/// Writes what changes all the time.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App) -> Result<String, Fault> {
    super::part("now", &now(app))
}

/// Shows one stage, partition by partition.
pub async fn one(State(app): State<App>, viewer: Viewer, Path(stage): Path<String>) -> Result<Response, Fault> {
    let stage: StageName = stage.parse().map_err(Fault::Nowhere)?;
    let (wants, at) = (viewer.wants, Timestamp::now());
    let frame = Frame::new(&app, viewer, "/queues", format!("Queue of {stage}"), "bar");
    let state = app.seen.read();
    let queue = of_stage(&state, stage, at.as_millisecond());
    let lanes = state.queues.of(stage).iter().enumerate();
    let partitions = lanes.flat_map(|(index, lane)| partitions(stage, index, lane, at.as_millisecond())).collect();
    let plot = plot(&state, stage, at.as_millisecond());
    drop(state);
    answer(wants, &One { frame, queue, partitions, plot })
}

fn now(app: &App) -> Now {
    let (state, now_ms) = (app.seen.read(), Timestamp::now().as_millisecond());
    Now { stages: StageName::ALL.map(|stage| of_stage(&state, stage, now_ms)).into() }
}

fn of_stage(state: &Seen, stage: StageName, now_ms: i64) -> StageQueue {
    let lanes = state.queues.of(stage).iter().enumerate();
    let lanes = lanes.map(|(index, lane)| {
        let rates = state.queues.rates(stage, index);
        let waits = waiting(lane);
        LaneQueue {
            lane: lane_name(stage, index),
            partitions: lane.partitions,
            waiting: waits,
            partitions_waiting: lane.by_partition.iter().filter(|one| one.end > one.committed).count(),
            oldest_s: lane.oldest_ms.filter(|_| waits > 0).map(|at_ms| (now_ms - at_ms).max(0) as f64 / 1e3),
            arriving_per_s: rates.map(|rates| rates.arriving),
            leaving_per_s: rates.map(|rates| rates.leaving),
            growing_per_min: rates.map(|rates| (rates.arriving - rates.leaving) * 60.0),
            empty_in_s: rates.and_then(|rates| rates.empty_in_s(waits)),
        }
    });
    StageQueue { stage: stage.as_str(), unknown: state.queues.unknown.get(&stage).cloned(), lanes: lanes.collect() }
}

fn partitions(stage: StageName, index: usize, lane: &LaneLag, now_ms: i64) -> impl Iterator<Item = PartitionQueue> {
    lane.by_partition.iter().map(move |one| PartitionQueue {
        lane: lane_name(stage, index),
        partition: one.partition,
        end: one.end,
        committed: one.committed,
        waiting: (one.end - one.committed).max(0),
        oldest_s: one.oldest_ms.map(|at_ms| (now_ms - at_ms).max(0) as f64 / 1e3),
    })
}

fn lane_name(stage: StageName, index: usize) -> &'static str {
    if STAGES.contains(&stage) { Lane::ALL[index.min(Lane::ALL.len() - 1)].as_str() } else { "all" }
}

fn plot(state: &Seen, stage: StageName, now_ms: i64) -> Plot {
    let points = state.history.spread(now_ms - PLOTTED_MS, 360);
    let at_ms: Vec<i64> = points.iter().map(|point| point.at_ms).collect();
    let place = StageName::ALL.iter().position(|one| *one == stage).unwrap_or_default();
    let waits = points.iter().map(|point| Some(point.lag[place] as f64)).collect();
    let line = Line::new("records", Kind::Step, waits).going_on_with(format!("lag.{place}"));
    Plot::over_time("plot-lag", format!("Records that wait for {stage} or are in its hands"), "", &at_ms).with(line)
}

impl LaneQueue {
    fn oldest(&self) -> String {
        say::maybe_span(self.oldest_s)
    }

    fn rate(&self, rate: &Option<f64>) -> String {
        rate.map_or_else(|| say::UNKNOWN.to_owned(), |rate| format!("{rate:.1}/s"))
    }

    fn trend(&self) -> String {
        match self.growing_per_min {
            None => say::UNKNOWN.to_owned(),
            Some(growing) if growing.abs() < 0.5 => "steady".to_owned(),
            Some(growing) if growing > 0.0 => format!("grows {growing:.0}/min"),
            Some(growing) => format!("shrinks {:.0}/min", -growing),
        }
    }

    fn empty_in(&self) -> String {
        match (self.waiting, self.empty_in_s) {
            (0, _) => "empty".to_owned(),
            (_, Some(seconds)) => say::span(seconds),
            (_, None) => "not at this rate".to_owned(),
        }
    }
}

impl PartitionQueue {
    fn oldest(&self) -> String {
        say::maybe_span(self.oldest_s)
    }
}

impl StageQueue {
    fn waiting(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }
}
