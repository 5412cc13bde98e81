//! The videos: newest first, filtered by what stands in the URL, a page at a time.

mod asked;
mod ended;
mod merge;
mod pages;
mod row;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use futures::future::try_join_all;
use jiff::Timestamp;
use pipeline::id::{TenantId, VideoId};
use pipeline::store::Video;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer_as;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;
use crate::wants::Wants;
use asked::{Asked, Field};
use merge::{Listed, MOST_TENANTS, SIDE_BY_SIDE};
pub use row::Row;

/// The most videos on a page.
const ON_PAGE: usize = 50;

#[derive(Template, Serialize)]
#[template(path = "videos.html")]
struct Videos {
    #[serde(flatten)]
    frame: Frame,
    /// What is looked for.
    asked: Asked,
    /// The filters and what each may be.
    #[serde(skip)]
    fields: Vec<Field>,
    /// The videos, newest first.
    videos: Vec<Row>,
    /// How many rows of the store were looked at.
    examined: usize,
    /// How many that fit were deleted since, where videos are looked for by when they ended.
    deleted: usize,
    /// The first and the last of the tenants whose videos these are, where there are too many for one list.
    group: Option<(String, String)>,
    /// Where the page before and the next one are.
    previous: Option<String>,
    next: Option<String>,
    /// What was just done, in words.
    #[serde(skip)]
    done: Option<&'static str>,
    /// Why nothing could be looked for, in words.
    #[serde(skip)]
    wrong: Option<String>,
}

/// Shows the page.
///
/// # Errors
/// When a filter has no admitted value, or the store is away.
pub async fn show(
    State(app): State<App>,
    viewer: Viewer,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let wants = viewer.wants;
    let asked = Asked::read(&pairs)?;
    let now = Timestamp::now();
    let tenants = app.api.tenants();
    let (listed, wrong) = match listed(&app, &asked, &tenants, now).await {
        Ok(listed) => (listed, None),
        // People find what they typed where they typed it.
        Err(Fault::Refused(why)) if wants == Wants::Html => (Listed::default(), Some(why)),
        Err(fault) => return Err(fault),
    };
    if let (Wants::Html, Ok(Some(_)), [only]) = (wants, asked.video(), &*listed.videos) {
        let row = Row::of(only, now);
        return Ok(Redirect::to(&row.path()).into_response());
    }
    let frame = Frame::new(&app, viewer, "/videos", "Videos", "bar");
    let page = Videos {
        frame,
        fields: asked.fields(&tenants),
        videos: listed.videos.iter().map(|video| Row::of(video, now)).collect(),
        examined: listed.examined,
        deleted: listed.deleted,
        group: group(&tenants, &asked),
        previous: asked.previous(),
        next: listed.next.map(|start| asked.next(start)),
        done: asked.done(),
        asked,
        wrong,
    };
    let status = if page.wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    answer_as(status, wants, &page)
}

async fn listed(app: &App, asked: &Asked, tenants: &[TenantId], now: Timestamp) -> Result<Listed, Fault> {
    if let Some(video) = asked.video()? {
        return find(app, video).await;
    }
    let tenant = asked.tenant()?;
    let (filter, start) = (asked.filter(now)?, asked.start()?);
    Ok(match asked.ended_since(now)? {
        Some(since) => {
            let noted = ended::noted(&app.seen.read().traffic, since, tenant.as_ref(), &filter);
            ended::list(&app.store, &noted, &filter, start, ON_PAGE).await?
        }
        None => {
            let of = tenant.as_ref().map_or(tenants, std::slice::from_ref);
            merge::list(&app.store, of, &filter, start, ON_PAGE).await?
        }
    })
}

/// Returns the first and the last tenant of the group that is shown, if there are several groups.
fn group(tenants: &[TenantId], asked: &Asked) -> Option<(String, String)> {
    if tenants.len() <= MOST_TENANTS || asked.is_narrow() {
        return None;
    }
    let group = tenants.chunks(MOST_TENANTS).nth(asked.start().ok()?.group)?;
    Some((group.first()?.to_string(), group.last()?.to_string()))
}

/// Looks for a video in whichever tenant it is.
async fn find(app: &App, video: VideoId) -> Result<Listed, Fault> {
    let tenants = app.api.tenants();
    for some in tenants.chunks(SIDE_BY_SIDE) {
        let found = try_join_all(some.iter().map(|tenant| app.store.video(tenant, video))).await?;
        let videos: Vec<Video> = found.into_iter().flatten().collect();
        if !videos.is_empty() {
            return Ok(Listed { examined: videos.len(), videos, ..Listed::default() });
        }
    }
    Ok(Listed::default())
}

impl Videos {
    /// Says what the list is of.
    fn told(&self) -> String {
        let (shown, examined) = (self.videos.len(), say::count(self.examined as i128));
        let told = match (shown, &self.next) {
            (0, None) if self.asked.is_open() && self.previous.is_none() => "No video was submitted yet.".to_owned(),
            (0, None) => "No video fits.".to_owned(),
            (0, Some(_)) => format!("Of the {examined} looked at here none fits; others may."),
            (_, Some(_)) if shown < ON_PAGE => format!("{shown} of the {examined} looked at here fit; others may."),
            _ => format!("{shown} on this page, {}.", self.order()),
        };
        let of = self.group.as_ref().map_or_else(String::new, |(first, last)| {
            format!(" There are too many tenants for one list: these are the videos of {first} to {last}, by name; the next ones follow.")
        });
        let deleted = match self.deleted {
            0 => String::new(),
            deleted => format!(
                " Besides, {} that ended then {} deleted since.",
                say::many(deleted, "video"),
                if deleted == 1 { "was" } else { "were" }
            ),
        };
        told + &of + &deleted
    }

    /// Says in which order the videos are.
    fn order(&self) -> &'static str {
        if self.asked.by_end() { "the last to end first" } else { "newest first" }
    }
}
