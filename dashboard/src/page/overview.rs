//! The first page: the flow as a picture, what is wrong, and how it went over the last hour.

mod flow;
mod wrong;

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
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::Part;
use crate::plot::{Kind, Line, Plot};
use crate::say;
use crate::seen::history::Point;
use crate::seen::{HOUR_MS, State as Seen};
use flow::StageNow;
use wrong::Wrong;

/// The most points of a plot.
const POINTS: usize = 360;
/// The share of ready slots that is to be busy, in percent.
const USED_AIM_PERCENT: f64 = 70.0;
/// How long half of the videos may wait at the most, in seconds.
const HALF_WAIT_S: f64 = 30.0;

#[derive(Template, Serialize)]
#[template(path = "overview.html")]
struct Overview {
    #[serde(flatten)]
    frame: Frame,
    now: Now,
    plots: Vec<Plot>,
}

/// What changes all the time.
#[derive(Serialize)]
struct Now {
    stages: Flow,
    wrong: Troubles,
}

/// The stages.
#[derive(Template, Serialize)]
#[template(path = "overview_flow.html")]
#[serde(transparent)]
struct Flow {
    /// When they were looked at, in milliseconds since the Unix epoch.
    #[serde(skip)]
    at_ms: i64,
    stages: Vec<StageNow>,
}

/// What is wrong.
#[derive(Template, Serialize)]
#[template(path = "overview_wrong.html")]
#[serde(transparent)]
struct Troubles {
    /// When it was looked for, in milliseconds since the Unix epoch.
    #[serde(skip)]
    at_ms: i64,
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

/// Writes what changes all the time: what is wrong does so more rarely than the flow.
///
/// # Errors
/// When it cannot be written, which is a bug.
pub fn parts(app: &App) -> Result<[Part; 2], Fault> {
    let now = now(app);
    Ok([Part::new("wrong", &now.wrong)?, Part::new("flow", &now.stages)?])
}

fn now(app: &App) -> Now {
    let (state, at) = (app.seen.read(), Timestamp::now());
    let stages = flow::stages(&state, at);
    let wrong = wrong::find(&state, &stages, at);
    let at_ms = at.as_millisecond();
    Now { stages: Flow { at_ms, stages }, wrong: Troubles { at_ms, wrong } }
}

fn plots(state: &Seen, now_ms: i64) -> Vec<Plot> {
    let points = state.history.spread(now_ms - HOUR_MS, POINTS);
    let at_ms: Vec<i64> = points.iter().map(|point| point.at_ms).collect();
    let line = |label: &str, kind, from: &str, value: &dyn Fn(&Point) -> Option<f64>| {
        Line::new(label, kind, points.iter().map(|point| value(point)).collect()).going_on_with(from)
    };
    let mut queue = Plot::over_time("plot-waiting", "Records that wait, by lane", "records", &at_ms);
    for lane in Lane::ALL {
        let (from, index) = (format!("waiting.{}", lane.index()), lane.index());
        let waiting = move |point: &Point| point.waiting.map(|by_lane| by_lane[index] as f64);
        queue = queue.with(line(lane.as_str(), Kind::Stack, &from, &waiting));
    }
    let waits = Plot::over_time("plot-wait", "Wait until the first segment is begun", "s", &at_ms)
        .with(line("p50", Kind::Line, "wait_p50_s", &|point| point.wait_p50_s))
        .with(line("p95", Kind::Line, "wait_p95_s", &|point| point.wait_p95_s))
        .with_level("target p50", HALF_WAIT_S)
        .with_level("target p95", state.scaling.longest_wait_target_s(say::at(now_ms)));
    let slots = Plot::over_time("plot-slots", "Slots of workers", "slots", &at_ms)
        .with(line("target", Kind::Step, "target", &|point| point.target.map(f64::from)))
        .with(line("ready", Kind::Step, "ready", &|point| Some(f64::from(point.ready))))
        .with(line("busy", Kind::Line, "busy", &|point| Some(f64::from(point.busy))));
    let used = Plot::over_time("plot-used", "Utilisation: busy slots by ready ones", "%", &at_ms)
        .with(line("used", Kind::Line, "used_percent", &|point| point.used_percent))
        .with_level("aim", USED_AIM_PERCENT);
    vec![queue, waits, slots, used]
}

fn is_beside(stage: &StageNow) -> bool {
    stage.stage == StageName::Record.as_str()
}

impl Flow {
    /// Returns the stages in the order of the flow, those together that work at the same time.
    fn steps(&self) -> Vec<Vec<&StageNow>> {
        let mut steps: Vec<Vec<&StageNow>> = Vec::new();
        for stage in self.stages.iter().filter(|stage| !is_beside(stage)) {
            match steps.last_mut() {
                // Sound and picture of a segment part after `split`, and meet in `join`.
                Some(step) if stage.stage == StageName::Analyze.as_str() => step.push(stage),
                _ => steps.push(vec![stage]),
            }
        }
        steps
    }

    /// Returns those that hear of all and hand on nothing.
    fn beside(&self) -> impl Iterator<Item = &StageNow> {
        self.stages.iter().filter(|stage| is_beside(stage))
    }

    fn span(&self, seconds: &Option<f64>) -> String {
        say::maybe_span(*seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flow_parts_after_split_and_record_is_no_step_of_it() {
        let (state, at) = (Seen::default(), say::at(1_700_000_000_000));
        let now = Flow { at_ms: at.as_millisecond(), stages: flow::stages(&state, at) };
        let names = |step: Vec<&StageNow>| step.iter().map(|stage| stage.stage).collect::<Vec<_>>().join("+");
        let steps: Vec<String> = now.steps().into_iter().map(names).collect();
        assert_eq!(steps, ["fetch", "split", "transcribe+analyze", "join", "moments", "cut", "deliver"]);
        assert_eq!(now.beside().map(|stage| stage.stage).collect::<Vec<_>>(), ["record"]);
        let page = now.render().unwrap();
        assert_eq!(
            (page.matches("class=\"fork\"").count(), page.matches("class=\"stage-card").count()),
            (1, 9),
            "{page}"
        );
    }

    #[test]
    fn what_waits_is_drawn_by_lane_and_use_beside_its_aim() {
        let mut state = Seen::default();
        let point = |at_ms, waiting, used_percent| Point { at_ms, waiting, used_percent, ..Point::default() };
        state.history.add(point(1000, Some([1, 2, 3, 4]), Some(50.0)));
        state.history.add(point(3000, None, None));
        let plots = plots(&state, 4000);
        let drawn = |id: &str| plots.iter().find(|plot| plot.id == id).unwrap();
        let batch = &drawn("plot-waiting").lines[Lane::Batch.index()];
        assert_eq!((&*batch.from, &*batch.y), ("waiting.3", &[Some(4.0), None][..]));
        let used = drawn("plot-used");
        assert_eq!((&*used.lines[0].y, used.levels[0].y), (&[Some(50.0), None][..], 70.0));
    }
}
