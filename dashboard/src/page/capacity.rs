//! What a load needs, costs, waits and breaks, by the planner; the address holds the scenario.

pub mod plans;
mod plots;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use planning::plan::answer::Answer;
use planning::plan::breaking::Breaking;
use planning::plan::words;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer_as;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::plot::Plot;
use crate::wants::Wants;
use plans::Plan;
use wanted::{FIELDS, Field, GROUPS, LENGTHS, Wanted};

/// How long a page waits for its answer before it is shown without one.
const PAGE_WAITS: Duration = Duration::from_millis(300);
/// How long a program waits for its answer.
const PROGRAM_WAITS: Duration = Duration::from_secs(100);
/// Scenarios to begin with, in users at once.
const BEGINNINGS: [u32; 3] = [500, 2000, 10_000];

#[derive(Template, Serialize)]
#[template(path = "capacity.html")]
struct Page<'a> {
    #[serde(flatten)]
    frame: Frame,
    /// The address without what it does not need: it shares the scenario.
    link: String,
    /// The command line that simulates the same.
    command: String,
    /// What the fields show.
    #[serde(skip)]
    asked: Asked,
    /// Why it cannot be simulated, in words.
    #[serde(skip)]
    wrong: Option<String>,
    /// `none` before something is asked for, `under_way`, or `done`.
    state: &'static str,
    /// What the scenario comes to.
    answer: Option<&'a Answer>,
    plots: Vec<Plot>,
}

/// Shows what a scenario comes to, or that it is being simulated. To people, what is refused is shown in its fields, and the
/// address that a form makes, with every field that was left empty, becomes the one to share.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    asked: Asked,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let wants = viewer.wants;
    if wants == Wants::Html
        && let Some(link) = shorter(query.as_deref(), &asked)
    {
        return Ok(Redirect::to(&link).into_response());
    }
    let frame = Frame::new(&app, viewer, "/capacity", "Capacity", "bar");
    let (wanted, plan, wrong) = match planned(&app, &asked, wants).await {
        Ok((wanted, plan)) => (wanted, plan, None),
        Err(Fault::Refused(why)) if wants == Wants::Html => (Wanted::default(), None, Some(why)),
        Err(fault) => return Err(fault),
    };
    let (link, command) = (wanted.link(), wanted.command());
    let (state, found) = match plan {
        None => ("none", None),
        Some(None) => ("under_way", None),
        Some(Some(answer)) => ("done", Some(answer)),
    };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let found = found.as_deref();
    let plots = found.map_or(Vec::new(), plots::of);
    answer_as(status, wants, &Page { frame, link, command, asked, wrong, state, answer: found, plots })
}

/// Returns the address that asks for the same and nothing else, if this is another one.
fn shorter(query: Option<&str>, asked: &Asked) -> Option<String> {
    let link = Wanted::asked(asked).ok()?.link();
    let own = query.map_or_else(|| "/capacity".to_owned(), |query| format!("/capacity?{query}"));
    (own != link).then_some(link)
}

/// The answer of a plan, unless it is under way.
type Planned = Option<Arc<Answer>>;

/// Reads what is wanted and plans it, if it is anything.
async fn planned(app: &App, asked: &Asked, wants: Wants) -> Result<(Wanted, Option<Planned>), Fault> {
    let wanted = Wanted::asked(asked)?;
    if !wanted.is_anything() {
        return Ok((wanted, None));
    }
    let patience = if wants == Wants::Json { PROGRAM_WAITS } else { PAGE_WAITS };
    let planned = match app.plans.ask(&wanted, patience, &app.stop).await? {
        Plan::UnderWay => None,
        Plan::Done(answer) => Some(answer),
        Plan::GivenUp(why) => return Err(Fault::Refused(why)),
    };
    Ok((wanted, Some(planned)))
}

/// A table's row, in words.
struct Row {
    name: String,
    cells: Vec<String>,
}

impl Page<'_> {
    fn groups(&self) -> &'static [&'static str] {
        &GROUPS
    }

    fn given(&self, name: &str) -> &str {
        self.asked.get(name).unwrap_or_default()
    }

    fn fields(&self, group: &&'static str) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(move |field| field.group == *group)
    }

    fn usual_lengths(&self) -> &'static str {
        LENGTHS
    }

    fn beginnings(&self) -> [u32; 3] {
        BEGINNINGS
    }

    fn heading(&self) -> String {
        self.answer.map_or_else(String::new, words::heading)
    }

    fn bands(&self) -> String {
        self.answer.map_or_else(String::new, words::bands)
    }

    fn rivals(&self) -> Vec<Row> {
        let rivals = self.answer.iter().flat_map(|answer| &answer.rivals);
        let row = |rival| {
            let [name, cells @ ..] = words::cells(rival);
            Row { name, cells: cells.to_vec() }
        };
        rivals.map(row).collect()
    }

    fn workers(&self) -> Vec<Row> {
        let ours = self.answer.iter().filter_map(|answer| answer.rivals.first()).flat_map(|ours| &ours.stages);
        let row = |stage: &planning::plan::answer::StageUse| Row {
            name: stage.stage.clone(),
            cells: vec![
                words::banded(stage.peak_workers),
                words::between(stage.mean_workers, |workers| format!("{workers:.1}")),
                words::between(stage.utilisation, words::percent),
            ],
        };
        ours.map(row).collect()
    }

    fn breaking(&self) -> Vec<Row> {
        let Some(answer) = self.answer else { return Vec::new() };
        let row = |breaking: &Breaking| Row {
            name: words::when(breaking),
            cells: vec![breaking.what.clone(), words::used(answer, breaking), breaking.then.clone()],
        };
        answer.breaking.iter().map(row).collect()
    }

    fn sources(&self) -> Vec<(String, String, String)> {
        self.answer.map_or(Vec::new(), |answer| words::sources(&answer.scenario))
    }

    /// Says what a month is made of, and what the wait would be if nothing were limited.
    fn bill(&self) -> String {
        let Some((answer, ours)) = self.answer.and_then(|answer| Some((answer, answer.rivals.first()?))) else {
            return String::new();
        };
        let bill = &ours.bill;
        format!(
            "A month of it: {} workers, {} what always runs, {} storage. Of a video ${:.4} is work. If nothing were limited, \
             the wait p95 would be {}.",
            words::money(bill.workers),
            words::money(bill.base),
            words::money(bill.storage),
            bill.workers_per_video,
            words::times(answer.unlimited_wait_p95_s)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_form_becomes_the_one_to_share_and_that_stays() {
        let short = |query: &str| shorter(Some(query), &Asked::of(query));
        let link = "/capacity?users=5&startup=90&lengths=60s%3D2%2C1h";
        assert_eq!(short("users=5&videos=&startup=90&lengths=60s=2,1h&quota=").as_deref(), Some(link));
        assert_eq!(short(link.split_once('?').unwrap().1), None);
        assert_eq!((short("users=&lengths="), short("users=-1")), (Some("/capacity".to_owned()), None));
        assert_eq!(shorter(None, &Asked::default()), None);
    }
}
