//! Two runs side by side.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;

use super::report::Report;
use super::{measures, plots};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::Plot;
use crate::reach::quoted;
use crate::say;

#[derive(Template, Serialize)]
#[template(path = "loadtests_compare.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    #[serde(skip)]
    folder: String,
    /// Where a new run is kept, as the command line says it.
    #[serde(skip)]
    kept: String,
    a: Run,
    b: Run,
    rows: Vec<Row>,
    /// Targets that one met and the other did not.
    targets: Vec<Differing>,
    plots: Vec<Plot>,
}

#[derive(Serialize)]
struct Run {
    name: String,
    schedule: String,
    /// When its schedule began, in milliseconds since the Unix epoch.
    begun_ms: Option<i64>,
    seed: Option<u64>,
    time_scale: f64,
    spillway: String,
    /// What runs it again.
    #[serde(skip)]
    command: String,
}

/// One measure of both.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    a: Option<f64>,
    b: Option<f64>,
    /// How much more `b` has, in percent.
    change_percent: Option<f64>,
}

#[derive(Serialize)]
struct Differing {
    name: String,
    wanted: String,
    /// What was measured, in words.
    a: String,
    b: String,
    /// `met`, `missed` or `open`.
    a_outcome: String,
    b_outcome: String,
}

/// Shows the two runs `a` and `b`; whichever two were ticked in the list become those.
pub async fn show(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let ticked: Vec<&str> = asked.all("run").collect();
    if !ticked.is_empty() {
        let [newer, older] = ticked[..] else {
            return Err(Fault::Refused("Tick exactly two runs to compare them.".to_owned()));
        };
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("a", older)
            .append_pair("b", newer)
            .finish();
        return Ok(Redirect::to(&format!("/loadtests/compare?{query}")).into_response());
    }
    let name = |which| {
        let given = asked.get(which);
        given.ok_or_else(|| Fault::Refused("Two runs are compared: tick them in the list of load tests.".to_owned()))
    };
    let (a_name, b_name) = (name("a")?, name("b")?);
    let (a, b) = (app.kept.read(a_name).await?, app.kept.read(b_name).await?);
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/loadtests", "Two load tests side by side", "bar");
    let (rows, targets, plots) = (rows(&a, &b), differing(&a, &b), plots::both(&a, &b));
    let (a, b) = (Run::of(a_name, &a), Run::of(b_name, &b));
    let (folder, kept) = (app.kept.folder(), app.kept.flag());
    answer(wants, &Page { frame, folder, kept, a, b, rows, targets, plots })
}

fn rows(a: &Report, b: &Report) -> Vec<Row> {
    let pairs = measures::of(a).into_iter().zip(measures::of(b));
    let row = |(a, b): (measures::Measure, measures::Measure)| {
        let change_percent = match (a.value, b.value) {
            (Some(before), Some(now)) if before != 0.0 => Some((now / before - 1.0) * 100.0),
            _ => None,
        };
        Row { name: a.name, a: a.value, b: b.value, change_percent }
    };
    pairs.map(row).collect()
}

fn differing(a: &Report, b: &Report) -> Vec<Differing> {
    let pairs = b.targets.iter().filter_map(|now| Some((a.targets.iter().find(|then| then.name == now.name)?, now)));
    let differing = pairs.filter(|(then, now)| then.outcome != now.outcome);
    let row = |(then, now): (&super::report::Target, &super::report::Target)| Differing {
        name: now.name.clone(),
        wanted: now.wanted.clone(),
        a: then.measured.clone(),
        b: now.measured.clone(),
        a_outcome: then.outcome.clone(),
        b_outcome: now.outcome.clone(),
    };
    differing.map(row).collect()
}

impl Run {
    fn of(name: &str, report: &Report) -> Self {
        let about = &report.about;
        Self {
            name: name.to_owned(),
            schedule: about.schedule.clone(),
            begun_ms: about.begun_at.map(|begun_at| begun_at.as_millisecond()),
            seed: about.seed,
            time_scale: report.scale(),
            spillway: about.spillway.clone(),
            command: about.command(),
        }
    }

    fn begun(&self) -> String {
        self.begun_ms.map_or_else(|| say::UNKNOWN.to_owned(), |begun_ms| say::moment(say::at(begun_ms)))
    }

    fn seed(&self) -> String {
        self.seed.map_or_else(|| say::UNKNOWN.to_owned(), |seed| seed.to_string())
    }
}

impl Row {
    fn change(&self) -> String {
        self.change_percent.map_or_else(String::new, |change| format!("{change:+.1} %"))
    }
}

impl Page {
    /// Returns the command line that runs the second one again, beside the first.
    fn command(&self) -> String {
        let first = format!("{}/{}.json", self.folder, self.a.name);
        format!("{}{} --compare {}", self.b.command, self.kept, quoted(&first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_in_percent_where_both_know_it() {
        let report = |p95: &str, outcome: &str| {
            let json = format!(
                r#"{{"about":{{"schedule":"s"}},"measures":{{"queue_wait":{{"p95":{p95}}},"done":0}},"targets":[{{"name":"wait","outcome":"{outcome}"}},{{"name":"rate","outcome":"met"}}]}}"#
            );
            Report::read(json.as_bytes()).unwrap()
        };
        let (a, b) = (report("100", "met"), report("125", "missed"));
        let rows = rows(&a, &b);
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap().change();
        assert_eq!([row("queue wait, p95, s"), row("queue wait, p50, s"), row("done")], ["+25.0 %", "", ""]);
        let targets = differing(&a, &b);
        assert_eq!((targets.len(), &*targets[0].name, &*targets[0].b_outcome), (1, "wait", "missed"));
    }
}
