//! `GET /v1/videos`, `GET /v1/videos/{id}` and `DELETE`: where videos are, and how they go.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use pipeline::event::{Envelope, Happened, VideoEvent};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{self, Page, Paged, StageProgress, Video, VideoFilter};
use utoipa::ToSchema;

use crate::accept;
use crate::app::App;
use crate::extract::{Query, Tenant, VideoPath, unknown_parameter};
use crate::forecast;
use crate::problem::{self, Faults, Kind, Problem, repeated};

/// How often is looked for one page, each time at [`store::MOST_EXAMINED`] rows.
const LOOKS: usize = 8;

/// A video and how far it is.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Video)]
pub struct VideoBody {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// The name it came with; may be empty.
    name: String,
    /// Where it is on its way: `queued`, `processing`, `done`, `partial`, `failed` or `cancelled`.
    #[schema(pattern = "^(queued|processing|done|partial|failed|cancelled)$")]
    state: &'static str,
    /// How urgent it is: `priority`, `express`, `standard` or `batch`; a guess until its duration is measured.
    #[schema(pattern = "^(priority|express|standard|batch)$")]
    lane: String,
    /// How many lanes lower than its length says it goes, because its tenant had more than its share unfinished.
    lanes_lower: u32,
    /// Whether it was accepted while the service was under more load than it should be: its clips are made with less
    /// work, see those.
    degraded: bool,
    /// When it was accepted.
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    /// When it ended.
    #[schema(required = true, value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
    /// Measured length, in seconds.
    #[schema(required = true)]
    duration_s: Option<f64>,
    /// Progress of the stages that are known to have work, in the order of the flow.
    stages: Vec<StageBody>,
    /// The share of the video that was worked on, 0 to 1; known at its end.
    #[schema(required = true)]
    completeness: Option<f64>,
    /// Its place among the queued videos of its lane, from 1; null when it is not queued.
    #[schema(required = true)]
    position: Option<u32>,
    /// Seconds until it ends, judged by how long recently finished videos took; null when none tells, or it ended.
    #[schema(required = true)]
    estimated_left_s: Option<f64>,
    /// Why it did not end well.
    #[schema(required = true)]
    error: Option<ErrorBody>,
    /// Where to go on.
    pub(crate) links: VideoLinks,
}

/// How far a stage is.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Stage)]
pub struct StageBody {
    /// The stage's name.
    #[schema(example = "transcribe")]
    stage: String,
    /// Units finished or given up.
    done: u32,
    /// Units given up.
    failed: u32,
    /// Units known of so far.
    total: u32,
}

/// Why a video did not end well.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = VideoError)]
pub struct ErrorBody {
    /// The stable name of the reason, for programs.
    #[schema(example = "no_video_stream")]
    pub(crate) code: String,
    /// Where it happened.
    #[schema(example = "fetch")]
    pub(crate) stage: String,
    /// What is wrong and what to do, one sentence.
    pub(crate) message: String,
}

/// Paths of what belongs to a video.
#[derive(serde::Serialize, ToSchema)]
pub struct VideoLinks {
    /// The video itself.
    #[serde(rename = "self")]
    pub(crate) this: String,
    /// Its server-sent events.
    events: String,
    /// What was found in it.
    analysis: String,
    /// Its clips.
    clips: String,
}

/// A page of videos.
#[derive(serde::Serialize, ToSchema)]
pub struct VideoList {
    /// The videos, newest first.
    items: Vec<VideoBody>,
    /// Where the next page begins, for `cursor`; null on the last one. Where few videos fit, a page before the last may
    /// have fewer than `limit`, even none.
    #[schema(required = true)]
    next: Option<String>,
}

impl VideoBody {
    /// Shows `video` with its place in the queue.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn of(app: &App, video: &Video) -> Result<Self, Problem> {
        let ahead = match video.state().is_final() {
            true => forecast::Ahead::default(),
            false => {
                let tenants = app.tenants.ids();
                let queue = app.queues.look(&app.store, &tenants).await?;
                app.forecasts.ahead_of(&app.store, &tenants, &queue, video).await?
            }
        };
        Ok(Self::with(video, ahead))
    }

    fn with(video: &Video, ahead: forecast::Ahead) -> Self {
        let (job, state) = (&video.new.job, &video.state);
        let this = format!("/v1/videos/{}", job.video());
        let error = state.error.as_ref().map(|e| ErrorBody {
            code: e.code.clone(),
            stage: e.stage.clone(),
            message: e.message.clone(),
        });
        Self {
            id: job.video().to_string(),
            name: video.new.name.clone(),
            state: video.state().as_str(),
            lane: state.lane.clone().unwrap_or_else(|| job.lane().to_string()),
            lanes_lower: job.lanes_lower,
            degraded: job.degraded,
            created_at: video.new.created_at,
            ended_at: state.ended_at.or(video.cancelled_at),
            duration_s: state.duration_s,
            stages: state.stages.iter().map(StageBody::of).collect(),
            completeness: state.completeness,
            position: ahead.position,
            estimated_left_s: ahead.seconds.map(|s| (s * 10.0).round() / 10.0),
            error,
            links: VideoLinks {
                events: format!("{this}/events"),
                analysis: format!("{this}/analysis"),
                clips: format!("{this}/clips"),
                this,
            },
        }
    }
}

impl StageBody {
    fn of(progress: &StageProgress) -> Self {
        let known: u32 = progress.totals.iter().sum();
        // A unit may be done before the message that counts it was recorded.
        let total = known.max(progress.done);
        Self { stage: progress.stage.clone(), done: progress.done, failed: progress.failed, total }
    }
}

/// Lists videos, newest first.
#[utoipa::path(
    get, path = "/v1/videos", tag = "videos", operation_id = "list_videos",
    params(
        ("state" = Option<String>, Query, description = "Only videos in this state.", pattern = "^(queued|processing|done|partial|failed|cancelled)$"),
        ("lane" = Option<String>, Query, description = "Only videos in this lane.", pattern = "^(priority|express|standard|batch)$"),
        ("limit" = Option<u32>, Query, description = "How many at the most, 20 if nothing is said.", minimum = 1, maximum = 100),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "A page of videos", body = VideoList),
        (status = 400, description = "An unknown or repeated parameter", body = problem::Body, content_type = "application/problem+json"),
        (status = 422, description = "A wrong parameter", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query,
) -> Result<Json<VideoList>, Problem> {
    let mut filter = VideoFilter::default();
    let mut page = Page { after: None, limit: 20 };
    let mut seen = BTreeSet::new();
    for (name, value) in &query {
        if !seen.insert(name) {
            return Err(repeated(name));
        }
        let wrong =
            |expected: &str| Problem::of_option(Kind::InvalidOption, name, format!("{name} must be {expected}."));
        match name.as_str() {
            "state" => {
                let state = store::State::ALL.into_iter().find(|s| s.as_str() == value);
                let names = "queued, processing, done, partial, failed or cancelled";
                filter.state = Some(state.ok_or_else(|| wrong(names))?);
            }
            "lane" => {
                let lane = Lane::from_name(value).ok_or_else(|| wrong("priority, express, standard or batch"))?;
                filter.lane = Some(lane);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|n| (1..=100).contains(n));
                page.limit = limit.ok_or_else(|| wrong("a whole number from 1 to 100"))?;
            }
            "cursor" => page.after = Some(parse_cursor(value).ok_or_else(|| wrong("the next of another page"))?),
            _ => return Err(unknown_parameter(name, "state, lane, limit, cursor")),
        }
    }
    let found = look(&app, &tenant, &filter, page).await?;
    let mut items = Vec::with_capacity(found.items.len());
    for video in &found.items {
        items.push(VideoBody::of(&app, video).await?);
    }
    let next = found.next.map(|(at, id)| format!("{}.{id}", at.as_nanosecond()));
    Ok(Json(VideoList { items, next }))
}

/// Looks for a page of videos, a few times if that takes so many rows; what is not found then is for the next page.
async fn look(app: &App, tenant: &TenantId, filter: &VideoFilter, mut page: Page) -> store::Result<Paged<Video>> {
    let mut found = app.store.videos(tenant, filter, &page).await?;
    let limit = page.limit;
    for _ in 1..LOOKS {
        (page.limit, page.after) = (limit - found.items.len(), found.next);
        if page.limit == 0 || page.after.is_none() {
            break;
        }
        let more = app.store.videos(tenant, filter, &page).await?;
        found.items.extend(more.items);
        found.next = more.next;
        found.examined += more.examined;
    }
    Ok(found)
}

fn parse_cursor(text: &str) -> Option<(Timestamp, VideoId)> {
    let (nanoseconds, id) = text.split_once('.')?;
    Some((Timestamp::from_nanosecond(nanoseconds.parse().ok()?).ok()?, id.parse().ok()?))
}

/// Shows a video: state, progress, place in the queue, error.
#[utoipa::path(
    get, path = "/v1/videos/{video}", tag = "videos", operation_id = "show_video",
    params(("video" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The video", body = VideoBody),
        (status = 404, description = "No such video", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn show(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(id): VideoPath,
) -> Result<Json<VideoBody>, Problem> {
    let video = app.store.video(&tenant, id).await?.ok_or_else(Problem::no_video)?;
    Ok(Json(VideoBody::of(&app, &video).await?))
}

/// Cancels a video that is not finished, and removes it with all that belongs to it.
///
/// After a 503 it may be cancelled but not removed yet: ask again.
#[utoipa::path(
    delete, path = "/v1/videos/{video}", tag = "videos", operation_id = "delete_video",
    params(("video" = String, Path, format = "uuid")),
    responses(
        (status = 204, description = "Gone; its files follow within moments"),
        (status = 404, description = "No such video", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn delete(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(id): VideoPath,
) -> Result<StatusCode, Problem> {
    let video = app.store.video(&tenant, id).await?.ok_or_else(Problem::no_video)?;
    let now = accept::now();
    // The row is not hidden before the log can tell of it, so that asking again finishes what broke off here.
    let mut told = vec![Happened::Deleted(true)];
    if app.store.cancel_video(&tenant, id, now).await? {
        told.insert(0, Happened::Cancelled(true));
    }
    tell(&app, &video, now, told, "The video is not removed yet: the broker is away; delete it again shortly.").await?;
    app.store.delete_video(&tenant, id, now).await?;
    app.removals.ask(tenant, id);
    Ok(StatusCode::NO_CONTENT)
}

/// Cancels a video that is not finished: work on it stops. What is there of it stays until it is deleted.
///
/// A video that ended before is answered as it is. After a 503 work on it stops all the same, and its log does not say so
/// yet: ask again.
#[utoipa::path(
    post, path = "/v1/videos/{video}/cancel", tag = "videos", operation_id = "cancel_video",
    params(("video" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The video as it is now", body = VideoBody),
        (status = 404, description = "No such video", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn cancel(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(id): VideoPath,
) -> Result<Json<VideoBody>, Problem> {
    let video = app.store.video(&tenant, id).await?.ok_or_else(Problem::no_video)?;
    let now = accept::now();
    if app.store.cancel_video(&tenant, id, now).await? {
        let late =
            "The video is cancelled, and its log does not say so yet: the broker is away; cancel it again shortly.";
        tell(&app, &video, now, vec![Happened::Cancelled(true)], late).await?;
    }
    let video = app.store.video(&tenant, id).await?.ok_or_else(Problem::no_video)?;
    Ok(Json(VideoBody::of(&app, &video).await?))
}

/// Publishes what happened to `video`; `late` is what the caller is told when the broker does not answer in time.
async fn tell(app: &App, video: &Video, at: Timestamp, what: Vec<Happened>, late: &str) -> Result<(), Problem> {
    let telling = async {
        for happened in what {
            app.events.publish(Envelope::of(&VideoEvent::new(&video.new.job, at, happened))).await?;
        }
        Ok::<_, Failure>(())
    };
    let told = tokio::time::timeout(app.limits.publish_wait, telling).await;
    told.map_err(|_| Problem::new(Kind::Unavailable, late))??;
    Ok(())
}
