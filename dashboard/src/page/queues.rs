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
use crate::part::{Part, counted};
use crate::plot::{Kind, Line, Plot};
use crate::reach::quoted;
use crate::say;
use crate::seen::queues::{Rates, waiting};
use crate::seen::{HOUR_MS, State as Seen};

#[derive(Template, Serialize)]
#[template(path = "queues.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    now: Now,
    #[serde(skip)]
    command: String,
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
    /// When it came, in milliseconds since the Unix epoch.
    oldest_ms: Option<i64>,
    #[serde(flatten)]
    course: Course,
}

/// How what waits changes.
#[derive(Serialize)]
struct Course {
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
    #[serde(flatten)]
    frame: Frame,
    #[serde(flatten)]
    now: OneNow,
    plot: Plot,
}

/// What changes all the time of one stage.
#[derive(Template, Serialize)]
#[template(path = "queue_now.html")]
struct OneNow {
    queue: StageQueue,
    partitions: Vec<PartitionQueue>,
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
    /// When it came, in milliseconds since the Unix epoch.
    oldest_ms: Option<i64>,
    #[serde(flatten)]
    course: Course,
}

/// Shows all stages.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let command = command(&viewer);
    let frame = Frame::new(&app, viewer, "/queues", "Queues", "queues");
    answer(wants, &Page { frame, now: now(&app), command })
}

/// Writes what changes all the time of all stages, or of one.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App, stage: Option<StageName>) -> Result<Part, Fault> {
    match stage {
        Some(stage) => Part::new("now", &one_now(&app.seen.read(), stage, Timestamp::now().as_millisecond())),
        None => Part::new("now", &now(app)),
    }
}

/// Shows one stage, partition by partition.
pub async fn one(State(app): State<App>, viewer: Viewer, Path(stage): Path<String>) -> Result<Response, Fault> {
    let stage: StageName = stage.parse().map_err(Fault::Nowhere)?;
    let (wants, now_ms) = (viewer.wants, Timestamp::now().as_millisecond());
    let frame = Frame::new(&app, viewer, "/queues", format!("Queue of {stage}"), format!("queues/{stage}"));
    let state = app.seen.read();
    let (now, plot) = (one_now(&state, stage, now_ms), plot(&state, stage, now_ms));
    drop(state);
    answer(wants, &One { frame, now, plot })
}

/// Returns the command line that tells the same as the page of all queues.
fn command(viewer: &Viewer) -> String {
    let key = if viewer.has_session { " -H \"Authorization: Bearer $KEY\"" } else { "" };
    format!("curl -s -H 'Accept: application/json'{key} {}", quoted(&format!("{}/queues", viewer.site)))
}

fn one_now(state: &Seen, stage: StageName, now_ms: i64) -> OneNow {
    let lanes = state.queues.of(stage).iter().enumerate();
    let partitions = lanes.flat_map(|(index, lane)| partitions(state, stage, (index, lane), now_ms)).collect();
    OneNow { queue: of_stage(state, stage, now_ms), partitions }
}

fn now(app: &App) -> Now {
    let (state, now_ms) = (app.seen.read(), Timestamp::now().as_millisecond());
    Now { stages: StageName::ALL.map(|stage| of_stage(&state, stage, now_ms)).into() }
}

fn of_stage(state: &Seen, stage: StageName, now_ms: i64) -> StageQueue {
    let lanes = state.queues.of(stage).iter().enumerate();
    let lanes = lanes.map(|(index, lane)| {
        let waits = waiting(lane);
        let oldest_ms = lane.oldest_ms.filter(|_| waits > 0);
        LaneQueue {
            lane: lane_name(stage, index),
            partitions: lane.partitions,
            waiting: waits,
            partitions_waiting: lane.by_partition.iter().filter(|one| one.end > one.committed).count(),
            oldest_s: oldest_ms.map(|at_ms| say::between_s(at_ms, now_ms)),
            oldest_ms,
            course: Course::of(state.queues.rates(stage, index), waits),
        }
    });
    StageQueue { stage: stage.as_str(), unknown: state.queues.unknown.get(&stage).cloned(), lanes: lanes.collect() }
}

fn partitions(
    state: &Seen,
    stage: StageName,
    (index, lane): (usize, &LaneLag),
    now_ms: i64,
) -> impl Iterator<Item = PartitionQueue> {
    lane.by_partition.iter().map(move |one| {
        let waiting = (one.end - one.committed).max(0);
        PartitionQueue {
            lane: lane_name(stage, index),
            partition: one.partition,
            end: one.end,
            committed: one.committed,
            waiting,
            oldest_s: one.oldest_ms.map(|at_ms| say::between_s(at_ms, now_ms)),
            oldest_ms: one.oldest_ms,
            course: Course::of(state.queues.partition_rates(stage, index, one.partition), waiting),
        }
    })
}

fn lane_name(stage: StageName, index: usize) -> &'static str {
    if STAGES.contains(&stage) { Lane::ALL[index.min(Lane::ALL.len() - 1)].as_str() } else { "all" }
}

fn plot(state: &Seen, stage: StageName, now_ms: i64) -> Plot {
    let points = state.history.spread(now_ms - HOUR_MS, 360);
    let at_ms: Vec<i64> = points.iter().map(|point| point.at_ms).collect();
    let place = StageName::ALL.iter().position(|one| *one == stage).unwrap_or_default();
    let waits = points.iter().map(|point| point.lag[place].map(|records| records as f64)).collect();
    let line = Line::new("records", Kind::Step, waits).going_on_with(format!("lag.{place}"));
    Plot::over_time("plot-lag", format!("Records that wait for {stage} or are in its hands"), "", &at_ms).with(line)
}

impl Course {
    fn of(rates: Option<Rates>, waiting: i64) -> Self {
        Self {
            arriving_per_s: rates.map(|rates| rates.arriving),
            leaving_per_s: rates.map(|rates| rates.leaving),
            growing_per_min: rates.map(|rates| (rates.arriving - rates.leaving) * 60.0),
            empty_in_s: rates.and_then(|rates| rates.empty_in_s(waiting)),
        }
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

    fn empty_in(&self, waiting: &i64) -> String {
        match (*waiting, self.empty_in_s) {
            (0, _) => "empty".to_owned(),
            (_, Some(seconds)) => say::span(seconds),
            _ if self.growing_per_min.is_none() => say::UNKNOWN.to_owned(),
            (_, None) => "not at this rate".to_owned(),
        }
    }
}

/// Writes how long the oldest lies there, for the browser to count on.
fn oldest(at_ms: Option<i64>, seconds: Option<f64>) -> String {
    at_ms.zip(seconds).map_or_else(|| say::UNKNOWN.to_owned(), |(at_ms, seconds)| counted(at_ms, seconds))
}

impl LaneQueue {
    fn oldest(&self) -> String {
        oldest(self.oldest_ms, self.oldest_s)
    }
}

impl PartitionQueue {
    fn oldest(&self) -> String {
        oldest(self.oldest_ms, self.oldest_s)
    }
}

impl StageQueue {
    fn waiting(&self) -> i64 {
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }
}
