//! One video: where it is and why, the waterfall of its work, its clips, what happened to it, and what can be done.

mod act;
mod clip;
mod crop;
mod event;
mod events;
mod facts;
mod file;
mod known;
pub mod logs;
mod retry;
mod stage;
mod unit;
mod waterfall;

pub use act::{act, ask};
pub use events::show as events;
pub use file::serve as file;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use pipeline::id::{TenantId, VideoId};
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::Part;
use crate::say;
use crate::seen::State as Seen;
use clip::ClipShown;
use event::EventShown;
use facts::Facts;
use known::Known;
use retry::Retry;
use unit::Unit;
use waterfall::Waterfall;

/// The most events on the page; all of them have one of their own.
const EVENTS: usize = 30;

/// More pages than any video has.
const LAST_PAGE: u32 = 100_000;

/// The tenant and the id in a path; what is no id names no video.
pub type Names = Path<(String, String)>;

#[derive(Template, Serialize)]
#[template(path = "video.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    #[serde(flatten)]
    parts: Parts,
    /// What was just done, in words.
    #[serde(skip)]
    done: Option<&'static str>,
}

/// What changes while the video is in work.
#[derive(Serialize)]
struct Parts {
    now: Now,
    clips: Clips,
    events: Events,
}

#[derive(Template, Serialize)]
#[template(path = "video_now.html")]
struct Now {
    facts: Facts,
    waterfall: Waterfall,
}

#[derive(Template, Serialize)]
#[template(path = "video_clips.html")]
struct Clips {
    /// Where the pages of the video are.
    #[serde(skip)]
    path: String,
    #[serde(skip)]
    has_ended: bool,
    /// The clips that are ready, in order of their time.
    ready: Vec<ClipShown>,
}

#[derive(Template, Serialize)]
#[template(path = "video_events.html")]
struct Events {
    #[serde(skip)]
    path: String,
    /// How many there are.
    total: usize,
    /// The newest of them, newest first.
    newest: Vec<EventShown>,
}

/// Shows the page, or every unit of one stage.
///
/// # Errors
/// When there is no such video or stage, or the store is away.
pub async fn show(State(app): State<App>, viewer: Viewer, names: Names, asked: Asked) -> Result<Response, Fault> {
    let (tenant, video) = read(&names.0.0, &names.0.1)?;
    if let Some(stage) = asked.get("stage") {
        let stage = stage.parse().map_err(Fault::Refused)?;
        let page = asked.whole("page", "The page", 1..=LAST_PAGE)?.unwrap_or(1);
        return stage::show(&app, viewer, (tenant, video), stage, page as usize).await;
    }
    let wants = viewer.wants;
    let parts = read_parts(&app, &tenant, video).await?;
    let view = format!("video/{tenant}/{video}");
    let frame = Frame::new(&app, viewer, "/videos", parts.now.facts.row.called(), view);
    let done = asked.get("done").and_then(act::done);
    answer(wants, &Page { frame, parts, done })
}

/// Reads the names of a video in the view that follows it: the tenant, a slash, the id.
pub fn named(names: &str) -> Option<(TenantId, VideoId)> {
    let (tenant, video) = names.split_once('/')?;
    Some((tenant.parse().ok()?, video.parse().ok()?))
}

/// Writes the parts of the page of the video called `names` that change.
///
/// # Errors
/// When there is no such video, or the store is away.
pub async fn parts(app: &App, names: &str) -> Result<[Part; 3], Fault> {
    let (tenant, video) = named(names).ok_or_else(nowhere)?;
    let Parts { now, clips, events } = read_parts(app, &tenant, video).await?;
    Ok([Part::new("video-now", &now)?, Part::new("video-clips", &clips)?, Part::new("video-events", &events)?])
}

/// Reads the names in a path.
///
/// # Errors
/// When they are none.
fn read(tenant: &str, video: &str) -> Result<(TenantId, VideoId), Fault> {
    let names = (tenant.parse().ok(), video.parse().ok());
    let (Some(tenant), Some(video)) = names else { return Err(nowhere()) };
    Ok((tenant, video))
}

fn nowhere() -> Fault {
    Fault::Nowhere("There is no such video; it may have been deleted. The list shows those there are.".to_owned())
}

/// Returns the units of a video, as its log and the workers tell of them.
fn units_of(state: &Seen, known: &Known, video: VideoId) -> Vec<Unit> {
    unit::units(&known.log, &state.workers.in_hand(video), known.has_ended())
}

async fn read_parts(app: &App, tenant: &TenantId, video: VideoId) -> Result<Parts, Fault> {
    let now = Timestamp::now();
    let known = Known::read(&app.store, &app.logs, tenant, video).await?.ok_or_else(nowhere)?;
    let (units, retry) = {
        let state = app.seen.read();
        let units = units_of(&state, &known, video);
        let retry = Retry::of(&state, &known.video, &units, now.as_millisecond());
        (units, retry)
    };
    let facts = Facts::of(&known, &units, retry, app.seen.slot_price, now);
    let path = facts.row.path();
    let has_ended = facts.row.has_ended;
    let waterfall = Waterfall::of(&units, &path, facts.row.created_ms, known.until_ms(now));
    let media = known.media();
    let ready = known.clips.iter().enumerate().map(|(at, clip)| ClipShown::of(at + 1, clip, media)).collect();
    let newest = known.log.iter().rev().take(EVENTS).map(EventShown::of).collect();
    Ok(Parts {
        now: Now { facts, waterfall },
        clips: Clips { path: path.clone(), has_ended, ready },
        events: Events { path, total: known.log.len(), newest },
    })
}
