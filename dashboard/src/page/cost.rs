//! What videos cost, by lane over the last day and by stage over the last hour; and what is short: disk, memory, quotas.

mod spent;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::cost::{VIDEO_IS_TO_COST, VIDEO_MAY_COST};
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::bar::Bar;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::Part;
use crate::plot::{Kind, Line, Plot};
use crate::say;
use crate::seen::history::KEPT_MS;
use crate::seen::{State as Seen, workers};
use spent::{Hour, OfLane, Share};

/// The most points of the plot of requests.
const POINTS: usize = 360;

#[derive(Template, Serialize)]
#[template(path = "cost.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    now: Now,
    /// By clock hour of UTC, the oldest first; the last one goes on.
    hours: Vec<Hour>,
    /// Since when it is known what is paid for, with gaps, in milliseconds since the Unix epoch.
    paid_since_ms: Option<i64>,
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

/// What an outside API allows a stage, and what was used of that.
#[derive(Serialize)]
struct Quota {
    stage: &'static str,
    /// Requests within the last hour; nothing where workers do not count them.
    used: Option<u64>,
    /// Requests that it allows within an hour; nothing where it says nothing of limits.
    limit: Option<f64>,
    /// Of that, 0 to 1.
    share: Option<f64>,
    /// Requests within the next hour, likewise.
    left: Option<f64>,
}

/// Shows the page.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/cost", "Cost", "cost");
    let now = now(&app);
    let hours = spent::hours(&app.seen.read(), app.seen.slot_price, Timestamp::now().as_millisecond());
    let paid_since_ms = app.seen.read().slots.since_ms();
    let mut plots = vec![paid_by_lane(&hours), work_by_lane(&hours), in_all(&hours)];
    plots.extend(outside(&app.seen.read(), &now.quotas));
    answer(wants, &Page { frame, now, hours, paid_since_ms, plots })
}

/// Writes what changes all the time.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App) -> Result<Part, Fault> {
    Part::new("now", &now(app))
}

fn now(app: &App) -> Now {
    let (bar, now_ms) = (Bar::of(&app.seen), Timestamp::now().as_millisecond());
    let state: &Seen = &app.seen.read();
    let slot_price = app.seen.slot_price;
    let (videos, work_per_video) = spent::work(state, slot_price, now_ms);
    let quotas = StageName::ALL.into_iter().filter_map(|stage| {
        let workers::Quota { left, used, limit } = state.workers.quota(stage)?;
        let share = used.zip(limit).filter(|(_, limit)| *limit > 0.0).map(|(used, limit)| used as f64 / limit);
        Some(Quota { stage: stage.as_str(), used, limit, share, left })
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

fn paid_by_lane(hours: &[Hour]) -> Plot {
    by_lane(hours, "plot-paid", "Slots paid for a video that ended in the hour, by lane", |lane| lane.paid_per_video)
}

fn work_by_lane(hours: &[Hour]) -> Plot {
    by_lane(hours, "plot-lanes", "Work of slots a video that ended in the hour, by lane", |lane| lane.work_per_video)
}

fn by_lane(hours: &[Hour], id: &'static str, title: &str, of: fn(&OfLane) -> Option<f64>) -> Plot {
    let mut plot = over(hours, id, title);
    for lane in Lane::ALL {
        let y = hours.iter().map(|hour| of(&hour.lanes[lane.index()])).collect();
        plot = plot.with(Line::new(lane.as_str(), Kind::Line, y));
    }
    plot
}

/// Draws what was used of the quotas of outside services, if any is asked.
fn outside(state: &Seen, quotas: &[Quota]) -> Option<Plot> {
    let points = state.history.spread(Timestamp::now().as_millisecond() - KEPT_MS, POINTS);
    points.iter().find(|point| point.outside_used.is_some())?;
    let at_ms: Vec<i64> = points.iter().map(|point| point.at_ms).collect();
    let used = points.iter().map(|point| point.outside_used.map(|used| used as f64)).collect();
    let title = "Requests to outside services within the hour before";
    let plot = Plot::over_time("plot-outside", title, "requests", &at_ms)
        .with(Line::new("used", Kind::Step, used).going_on_with("outside_used"));
    let limit = quotas.iter().filter_map(|quota| quota.limit).reduce(|all, one| all + one);
    Some(match limit {
        Some(limit) => plot.with_level("limit", limit),
        None => plot,
    })
}

fn in_all(hours: &[Hour]) -> Plot {
    let line = |label: &str, of: fn(&Hour) -> Option<f64>| Line::new(label, Kind::Line, hours.iter().map(of).collect());
    over(hours, "plot-all", "A video of any lane: work of slots, and slots paid for")
        .with(line("work", |hour| hour.work_per_video))
        .with(line("paid", |hour| hour.paid_per_video))
}

fn over(hours: &[Hour], id: &'static str, title: &str) -> Plot {
    let at_ms: Vec<i64> = hours.iter().map(|hour| hour.begins_ms).collect();
    Plot::over_time(id, title, "$", &at_ms)
        .with_level("target", VIDEO_MAY_COST)
        .with_level("to reach", VIDEO_IS_TO_COST)
}

impl Page {
    /// Says since when what is paid for is known.
    fn paid_since(&self) -> Option<String> {
        self.paid_since_ms.map(|since_ms| say::moment(say::at(since_ms)))
    }

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
    fn judged(&self, dollars: &Option<f64>) -> String {
        let [target, to_reach] = self.targets();
        match dollars {
            None => String::new(),
            Some(dollars) if *dollars < VIDEO_IS_TO_COST => format!("below {to_reach}"),
            Some(dollars) if *dollars < VIDEO_MAY_COST => format!("below {target}"),
            Some(_) => format!("above {target}"),
        }
    }

    /// Says what a video may cost, and what it is to cost one day.
    fn targets(&self) -> [String; 2] {
        [VIDEO_MAY_COST, VIDEO_IS_TO_COST].map(|dollars| format!("${dollars:.2}"))
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
    /// Says what was used, and of how many.
    fn told(&self) -> String {
        let used = self.used.map(|used| say::many(used as usize, "request"));
        let used = used.unwrap_or_else(|| "an unknown number of requests".to_owned());
        let share = self.share.map_or_else(String::new, |share| format!(" ({})", say::percent(Some(share))));
        match self.limit {
            Some(limit) => format!("{used} within the last hour, of {} that are allowed{share}", say::number(limit)),
            None => format!("{used} within the last hour; no limit is known"),
        }
    }

    fn left(&self) -> Option<String> {
        self.left.map(say::number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_of_a_quota_is_told_with_its_limit_as_far_as_they_are_known() {
        let quota = |used, limit, share| Quota { stage: "transcribe", used, limit, share, left: None };
        let told =
            [quota(Some(750), Some(3000.0), Some(0.25)), quota(Some(1), None, None), quota(None, Some(200.0), None)];
        assert_eq!(
            told.map(|quota| quota.told()),
            [
                "750 requests within the last hour, of 3\u{202f}000 that are allowed (25 %)",
                "1 request within the last hour; no limit is known",
                "an unknown number of requests within the last hour, of 200 that are allowed",
            ]
        );
    }

    #[test]
    fn the_history_of_requests_is_drawn_where_a_service_is_asked() {
        let mut state = Seen::default();
        let now_ms = Timestamp::now().as_millisecond();
        let quota = Quota { stage: "transcribe", used: Some(7), limit: Some(50.0), share: None, left: None };
        state.history.add(crate::seen::history::Point { at_ms: now_ms - 5000, ..Default::default() });
        assert!(outside(&state, &[]).is_none());
        let point = crate::seen::history::Point { at_ms: now_ms, outside_used: Some(7), ..Default::default() };
        state.history.add(point);
        let plot = outside(&state, &[quota]).unwrap();
        assert_eq!((&*plot.lines[0].y, plot.levels[0].y), (&[None, Some(7.0)][..], 50.0));
    }
}
