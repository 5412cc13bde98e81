//! The first page: the flow as a picture, what is wrong, and how it went over the last hours.

mod flow;
mod wrong;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use pipeline::lane::Lane;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::{Kind, Line, Plot};
use crate::say;
use crate::seen::State as Seen;
use crate::seen::history::Point;
use flow::StageNow;
use wrong::Wrong;

/// How far back plots go, in milliseconds.
const PLOTTED_MS: i64 = 3_600_000;
/// The most points of a plot.
const POINTS: usize = 360;
/// The targets of waits, in seconds.
pub const WAIT_TARGETS_S: (f64, f64) = (30.0, 120.0);

#[derive(Template, Serialize)]
#[template(path = "overview.html")]
struct Overview {
    #[serde(flatten)]
    frame: Frame,
    now: Now,
    plots: Vec<Plot>,
}

/// What changes all the time.
#[derive(Template, Serialize)]
#[template(path = "overview_now.html")]
struct Now {
    stages: Vec<StageNow>,
    wrong: Vec<Wrong>,
}

/// Shows the page.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/", "Overview", "overview");
    let now = now(&app);
    let plots = plots(&app.seen.read(), Timestamp::now().as_millisecond());
    answer(wants, &Overview { frame, now, plots })
}

/// Writes what changes all the time.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn part(app: &App) -> Result<String, Fault> {
    super::part("now", &now(app))
}

fn now(app: &App) -> Now {
    let (state, at) = (app.seen.read(), Timestamp::now());
    let stages = flow::stages(&state, at);
    let wrong = wrong::find(&state, &stages, at);
    Now { stages, wrong }
}

fn plots(state: &Seen, now_ms: i64) -> Vec<Plot> {
    let points = state.history.spread(now_ms - PLOTTED_MS, POINTS);
    let at_ms: Vec<i64> = points.iter().map(|point| point.at_ms).collect();
    let line = |label: &str, kind, from: &str, value: &dyn Fn(&Point) -> Option<f64>| {
        Line::new(label, kind, points.iter().map(|point| value(point)).collect()).going_on_with(from)
    };
    let mut queue = Plot::over_time("plot-open", "Videos that have not ended, by lane", "videos", &at_ms);
    for lane in Lane::ALL {
        let (from, index) = (format!("open.{}", lane.index()), lane.index());
        queue = queue.with(line(lane.as_str(), Kind::Stack, &from, &|point| Some(f64::from(point.open[index]))));
    }
    let waits = Plot::over_time("plot-wait", "Wait until the first segment is begun", "s", &at_ms)
        .with(line("p50", Kind::Line, "wait_p50_s", &|point| point.wait_p50_s))
        .with(line("p95", Kind::Line, "wait_p95_s", &|point| point.wait_p95_s))
        .with_level("target p50", WAIT_TARGETS_S.0)
        .with_level("target p95", WAIT_TARGETS_S.1);
    let slots = Plot::over_time("plot-slots", "Slots of workers", "slots", &at_ms)
        .with(line("target", Kind::Step, "target", &|point| point.target.map(f64::from)))
        .with(line("ready", Kind::Step, "ready", &|point| Some(f64::from(point.ready))))
        .with(line("busy", Kind::Line, "busy", &|point| Some(f64::from(point.busy))));
    vec![queue, waits, slots]
}

impl Now {
    fn span(&self, seconds: &Option<f64>) -> String {
        say::maybe_span(*seconds)
    }
}
