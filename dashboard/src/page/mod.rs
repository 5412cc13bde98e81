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

use axum::routing::{MethodRouter, get, post};
use pipeline::stage::StageName;

use crate::app::App;
use crate::bar::Bar;
use crate::fault::Fault;
use crate::part::Part;

/// A path, with what differs in braces, and what answers there.
pub type Route = (&'static str, MethodRouter<App>);

/// Returns what answers at each path of a page.
pub fn routes() -> Vec<Route> {
    vec![
        ("/", get(overview::show)),
        ("/new", get(new::show).post(new::submit)),
        ("/videos", get(videos::show)),
        ("/videos/{tenant}/{video}", get(video::show)),
        ("/videos/{tenant}/{video}/events", get(video::events)),
        ("/videos/{tenant}/{video}/{act}", get(video::ask).post(video::act)),
        ("/videos/{tenant}/{video}/clips/{clip}/{file}", get(video::file)),
        ("/queues", get(queues::show)),
        ("/queues/{stage}", get(queues::one)),
        ("/letters", get(letters::show)),
        ("/letters/confirm", get(letters::confirm)),
        ("/letters/act", post(letters::act)),
        ("/letters/{stage}/{partition}/{offset}", get(letters::one)),
        ("/autoscaler", get(autoscaler::show)),
        ("/autoscaler/decisions", get(autoscaler::decisions)),
        ("/autoscaler/pin", get(autoscaler::confirm).post(autoscaler::pin)),
        ("/capacity", get(capacity::show)),
        ("/cost", get(cost::show)),
        ("/loadtests", get(loadtests::show)),
        ("/loadtests/compare", get(loadtests::compare)),
        ("/loadtests/{name}", get(loadtests::one)),
        ("/loadtests/{name}/page", get(loadtests::stored)),
        ("/workers", get(workers::show)),
        ("/workers/drain", get(workers::confirm).post(workers::drain)),
    ]
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

/// Writes the parts of a view that change: the bar is in all, and what is wrong with the others.
///
/// # Errors
/// When they cannot be written, which is a bug.
pub async fn parts(app: &App, view: &str) -> Result<Vec<Part>, Fault> {
    let bar = Part::new("bar", &BarPart { bar: Bar::of(&app.seen) })?;
    let (own, trouble) = match own_parts(app, view).await {
        Ok(own) => (own, None),
        Err(fault) => (Vec::new(), Some(fault.to_string())),
    };
    let mut parts = vec![bar, Part::new("trouble", &TroublePart { trouble })?];
    parts.extend(own);
    Ok(parts)
}

async fn own_parts(app: &App, view: &str) -> Result<Vec<Part>, Fault> {
    let (page, of) = view.split_once('/').unwrap_or((view, ""));
    Ok(match page {
        "overview" => overview::parts(app)?.into(),
        "autoscaler" => autoscaler::parts(app)?.into(),
        "cost" => vec![cost::part(app)?],
        "letters" => vec![letters::part(app)?],
        "queues" => vec![queues::part(app, of.parse().ok())?],
        "workers" => vec![workers::part(app, of.parse().ok())?],
        "video" => video::parts(app, of).await?.into(),
        _ => Vec::new(),
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
