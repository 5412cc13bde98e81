//! What videos cost, by lane over the last day and by stage over the last hour; and what is short: disk, memory, quotas.

mod spent;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::bar::Bar;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::{Kind, Line, Plot};
use crate::say;
use crate::seen::State as Seen;
use spent::{Hour, Share};

/// What a video may cost, and what it is to cost one day, in dollars.
const TARGETS: (f64, f64) = (0.05, 0.03);
const HOUR_MS: i64 = 3_600_000;

#[derive(Template, Serialize)]
#[template(path = "cost.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    now: Now,
    /// By clock hour of UTC, the oldest first; the last one goes on.
    hours: Vec<Hour>,
    plots: Vec<Plot>,
}

/// What changes all the time.
#[derive(Template, Serialize)]
#[template(path = "cost_now.html")]
struct Now {
    /// Price of a slot for an hour, in dollars.
    slot_price: f64,
    /// What a video costs by the slots that were there, busy or not, in dollars: the last hour's slots by its videos.
    paid_per_video: Option<f64>,
    /// By the time that slots worked on the videos that ended in the last hour, in dollars.
    work_per_video: Option<f64>,
    /// Videos that ended in the last hour.
    videos: usize,
    /// The last hour's work, by stage in the order of the flow.
    stages: Vec<Share>,
    services: Vec<Service>,
    quotas: Vec<Quota>,
    /// Workers that were heard of, which know of quotas.
    workers: usize,
}

/// What a process of the API sees of the machine that it is on.
#[derive(Serialize)]
struct Service {
    process: String,
    /// Free space of the fullest disk that is written to, in bytes.
    disk_free_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    /// Nothing where there is no limit.
    memory_limit_bytes: Option<u64>,
    unfinished_videos: u64,
    /// How many of them degrade the service.
    unfinished_limit: u64,
    /// The most failures in a row of an outside service that a worker reports.
    outside_failures: u64,
    /// Why new videos are refused, if they are.
    refusing: Option<String>,
}

/// What an outside API still allows a stage.
#[derive(Serialize)]
struct Quota {
    stage: &'static str,
    /// Requests within the next hour.
    left: f64,
    /// Units that the stage finished with it within the last hour; each takes one request or more.
    units_1h: usize,
}

/// Shows the page.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/cost", "Cost", "cost");
    let now = now(&app);
    let hours = spent::hours(&app.seen.read(), app.seen.slot_price, Timestamp::now().as_millisecond());
    let plots = vec![by_lane(&hours), in_all(&hours)];
    answer(wants, &Page { frame, now, hours, plots })
}

/// Writes what changes all the time.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App) -> Result<String, Fault> {
    super::part("now", &now(app))
}

fn now(app: &App) -> Now {
    let (bar, now_ms) = (Bar::of(&app.seen), Timestamp::now().as_millisecond());
    let state: &Seen = &app.seen.read();
    let slot_price = app.seen.slot_price;
    let (videos, work_per_video) = spent::work(state, slot_price, now_ms);
    let quotas = StageName::ALL.into_iter().filter_map(|stage| {
        let left = state.workers.quota_left(stage)?;
        let units_1h = state.traffic.units_since(stage, now_ms - HOUR_MS).count();
        Some(Quota { stage: stage.as_str(), left, units_1h })
    });
    let known = |bytes: u64| (bytes > 0).then_some(bytes);
    let services = state.service.all().map(|said| Service {
        process: said.process.clone(),
        disk_free_bytes: known(said.disk_free_bytes),
        memory_bytes: known(said.memory_bytes),
        memory_limit_bytes: known(said.memory_limit_bytes),
        unfinished_videos: said.unfinished_videos,
        unfinished_limit: said.unfinished_limit,
        outside_failures: said.outside_failures,
        refusing: Some(said.refusing.clone()).filter(|why| !why.is_empty()),
    });
    Now {
        slot_price,
        paid_per_video: bar.cost_per_video,
        work_per_video,
        videos,
        stages: spent::stages(state, slot_price, now_ms),
        services: services.collect(),
        quotas: quotas.collect(),
        workers: state.workers.all().len(),
    }
}

fn by_lane(hours: &[Hour]) -> Plot {
    let mut plot = over(hours, "plot-lanes", "Work of slots a video that ended in the hour, by lane");
    for lane in Lane::ALL {
        let y = hours.iter().map(|hour| hour.lanes[lane.index()].work_per_video).collect();
        plot = plot.with(Line::new(lane.as_str(), Kind::Line, y));
    }
    plot
}

fn in_all(hours: &[Hour]) -> Plot {
    let line = |label: &str, of: fn(&Hour) -> Option<f64>| Line::new(label, Kind::Line, hours.iter().map(of).collect());
    over(hours, "plot-all", "A video of any lane: work of slots, and slots paid for")
        .with(line("work", |hour| hour.work_per_video))
        .with(line("paid", |hour| hour.paid_per_video))
}

fn over(hours: &[Hour], id: &'static str, title: &str) -> Plot {
    let at_ms: Vec<i64> = hours.iter().map(|hour| hour.begins_ms).collect();
    Plot::over_time(id, title, "$", &at_ms).with_level("target", TARGETS.0).with_level("to reach", TARGETS.1)
}

impl Page {
    fn newest(&self) -> impl Iterator<Item = &Hour> {
        self.hours.iter().rev()
    }

    fn any(&self) -> bool {
        self.hours.iter().any(|hour| hour.videos > 0)
    }
}

impl Now {
    fn dollars(&self, dollars: &Option<f64>) -> String {
        say::price(*dollars)
    }

    /// Says how a price stands to the targets.
    fn judged(&self, dollars: &Option<f64>) -> &'static str {
        match dollars {
            None => "",
            Some(dollars) if *dollars < TARGETS.1 => "below $0.03",
            Some(dollars) if *dollars < TARGETS.0 => "below $0.05",
            Some(_) => "above $0.05",
        }
    }

    fn price(&self) -> String {
        say::price(Some(self.slot_price))
    }
}

impl Service {
    fn bytes(&self, bytes: &Option<u64>) -> String {
        bytes.map_or_else(|| say::UNKNOWN.to_owned(), say::bytes)
    }
}

impl Quota {
    fn left(&self) -> String {
        say::number(self.left)
    }
}
