//! The pages, one file each: what it shows is a value, how it looks is a template of the same name.

pub mod autoscaler;
pub mod capacity;
mod cost;
mod letters;
pub mod loadtests;
mod new;
mod overview;
mod queues;
pub mod video;
mod videos;
mod workers;

use axum::Router;
use axum::routing::{get, post};
use pipeline::stage::StageName;

use crate::app::App;
use crate::bar::Bar;
use crate::fault::Fault;

/// Returns the routes of all pages.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/new", get(new::show).post(new::submit))
        .route("/videos", get(videos::show))
        .route("/videos/{tenant}/{video}", get(video::show))
        .route("/videos/{tenant}/{video}/events", get(video::events))
        .route("/videos/{tenant}/{video}/{act}", get(video::ask).post(video::act))
        .route("/videos/{tenant}/{video}/clips/{clip}/{file}", get(video::file))
        .route("/queues", get(queues::show))
        .route("/queues/{stage}", get(queues::one))
        .route("/letters", get(letters::show))
        .route("/letters/confirm", get(letters::confirm))
        .route("/letters/act", post(letters::act))
        .route("/letters/{stage}/{partition}/{offset}", get(letters::one))
        .route("/autoscaler", get(autoscaler::show))
        .route("/autoscaler/decisions", get(autoscaler::decisions))
        .route("/autoscaler/pin", get(autoscaler::confirm).post(autoscaler::pin))
        .route("/capacity", get(capacity::show))
        .route("/cost", get(cost::show))
        .route("/loadtests", get(loadtests::show))
        .route("/loadtests/compare", get(loadtests::compare))
        .route("/loadtests/{name}", get(loadtests::one))
        .route("/loadtests/{name}/page", get(loadtests::stored))
        .route("/workers", get(workers::show))
        .route("/workers/drain", get(workers::confirm).post(workers::drain))
}

/// Checks that there is a view of this name.
///
/// # Errors
/// When there is none.
pub fn check_view(view: &str) -> Result<(), Fault> {
    let is_known = match view.split_once('/') {
        None => matches!(view, "autoscaler" | "bar" | "cost" | "letters" | "overview" | "queues" | "workers"),
        Some(("video", names)) => video::named(names).is_some(),
        Some(("workers" | "queues", stage)) => stage.parse::<StageName>().is_ok(),
        Some(_) => false,
    };
    if is_known { Ok(()) } else { Err(Fault::Nowhere("There is no such view to follow.".to_owned())) }
}

/// Writes the parts of a view that change, each to be put in place of the one with the same id: the bar is in all, and what
/// is wrong with the others.
///
/// # Errors
/// When they cannot be written, which is a bug.
pub async fn parts(app: &App, view: &str) -> Result<String, Fault> {
    let bar = part("bar", &BarPart { bar: Bar::of(&app.seen) })?;
    let (own, trouble) = match own_parts(app, view).await {
        Ok(own) => (own, None),
        Err(fault) => (String::new(), Some(fault.to_string())),
    };
    Ok(bar + &part("trouble", &TroublePart { trouble })? + &own)
}

async fn own_parts(app: &App, view: &str) -> Result<String, Fault> {
    let (page, of) = view.split_once('/').unwrap_or((view, ""));
    Ok(match page {
        "overview" => overview::part(app)?,
        "autoscaler" => autoscaler::part(app)?,
        "cost" => cost::part(app)?,
        "letters" => letters::part(app)?,
        "queues" => queues::part(app, of.parse().ok())?,
        "workers" => workers::part(app, of.parse().ok())?,
        "video" => video::part(app, of).await?,
        _ => String::new(),
    })
}

/// The bar alone.
#[derive(askama::Template)]
#[template(path = "bar.html")]
struct BarPart {
    bar: Bar,
}

/// Why the rest of a page is old.
#[derive(askama::Template)]
#[template(path = "trouble.html")]
struct TroublePart {
    trouble: Option<String>,
}

/// Writes what replaces the inside of the element with the id `id`, keeping focus and what is open.
fn part(id: &str, template: &impl askama::Template) -> Result<String, Fault> {
    let inside = template.render().map_err(|error| Fault::Internal(error.into()))?;
    Ok(format!("<div id=\"{id}\" hx-swap-oob=\"innerMorph\">{inside}</div>"))
}
