//! The videos: newest first, filtered by what stands in the URL, a page at a time.

mod asked;
mod merge;
mod row;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use futures::future::try_join_all;
use jiff::Timestamp;
use pipeline::id::VideoId;
use pipeline::store::Video;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::say;
use crate::wants::Wants;
use asked::{Asked, Field};
use merge::Listed;
pub use row::Row;

/// The most videos on a page.
const ON_PAGE: usize = 50;

#[derive(Template, Serialize)]
#[template(path = "videos.html")]
struct Videos {
    #[serde(skip)]
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
    /// Where the page before and the next one are.
    previous: Option<String>,
    next: Option<String>,
    /// What was just done, in words.
    #[serde(skip)]
    done: Option<&'static str>,
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
    let listed = match asked.video()? {
        Some(video) => find(&app, video).await?,
        None => {
            let of = asked.tenant()?.map_or_else(|| tenants.clone(), |tenant| vec![tenant]);
            merge::list(&app.store, &of, &asked.filter(now)?, asked.place()?, ON_PAGE).await?
        }
    };
    if let (Wants::Html, Some(_), [only]) = (wants, asked.video()?, &*listed.videos) {
        let row = Row::of(only, now);
        return Ok(Redirect::to(&row.path()).into_response());
    }
    let frame = Frame::new(&app, viewer, "/videos", "Videos", "bar");
    let page = Videos {
        frame,
        fields: asked.fields(&tenants),
        videos: listed.videos.iter().map(|video| Row::of(video, now)).collect(),
        examined: listed.examined,
        previous: asked.previous(),
        next: listed.next.map(|place| asked.next(place)),
        done: asked.done(),
        asked,
    };
    answer(wants, &page)
}

/// Looks for a video in whichever tenant it is.
async fn find(app: &App, video: VideoId) -> Result<Listed, Fault> {
    let tenants = app.api.tenants();
    let found = try_join_all(tenants.iter().map(|tenant| app.store.video(tenant, video))).await?;
    let videos: Vec<Video> = found.into_iter().flatten().collect();
    Ok(Listed { videos, next: None, examined: tenants.len() })
}

impl Videos {
    /// Says what the list is of.
    fn told(&self) -> String {
        let (shown, examined) = (self.videos.len(), say::count(self.examined as i128));
        match (shown, &self.next) {
            (0, None) if self.asked.is_open() && self.previous.is_none() => "No video was submitted yet.".to_owned(),
            (0, None) => "No video fits.".to_owned(),
            (0, Some(_)) => format!("Of the {examined} newest looked at here none fits; older ones may."),
            (_, Some(_)) if shown < ON_PAGE => {
                format!("{shown} of the {examined} looked at here fit; older ones may.")
            }
            _ => format!("{shown} on this page, newest first."),
        }
    }
}
