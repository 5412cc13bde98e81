//! `GET /v1/videos/{id}/events`: the video's log as server-sent events, from any place, until it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{self, LogEntry};

use crate::app::App;
use crate::extract::{Tenant, VideoPath};
use crate::happened::EventBody;
use crate::metrics::EventStream;
use crate::problem::{self, Faults, Kind, Problem};

/// How many entries of the log are read at once.
const BATCH: usize = 200;
/// How soon the log is read again after something was in it; doubles up to the slowest.
const FASTEST_POLL: Duration = Duration::from_millis(100);
/// How often the log is read when nothing happens.
const SLOWEST_POLL: Duration = Duration::from_secs(1);
/// How long the log of a video that ended must stay still: what its last units say may be logged just after its end.
const STILL_FOR: Duration = Duration::from_millis(250);

/// Follows what happens to a video.
///
/// Sends the log after `Last-Event-ID` (all of it without one), then whatever is added, without a gap, and ends
/// with `closed` after a final state. Going on after the last event of a video that ended gives 204.
#[utoipa::path(
    get, path = "/v1/videos/{video}/events", tag = "videos", operation_id = "follow_video",
    params(("video" = String, Path, format = "uuid"), ("Last-Event-ID" = Option<i64>, Header, description = "The `seq` of the last event seen.")),
    responses(
        (status = 200, description = "Events, each with `event: type`, `id: seq` and this data", body = EventBody, content_type = "text/event-stream"),
        (status = 204, description = "The video ended and nothing follows `Last-Event-ID`"),
        (status = 400, description = "`Last-Event-ID` is no number", body = problem::Body, content_type = "application/problem+json"),
        (status = 404, description = "No such video", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn follow(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(video): VideoPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = last_event_id(&headers)?;
    let known = app.store.video(&tenant, video).await?.ok_or_else(Problem::no_video)?;
    let resumed_at_end = after.is_some() && known.state().is_final();
    if resumed_at_end && is_still(&app, &tenant, video, after).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let follower =
        Follower { app, tenant, video, after, pause: FASTEST_POLL, closed: false, _open: EventStream::open() };
    let events = stream::unfold(follower, |follower| follower.next()).flat_map(stream::iter);
    // A proxy that gathers the answer before it passes it on would hold the events back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))).into_response())
}

/// Says whether nothing follows `after` in the log of a video that ended, now and a moment later.
async fn is_still(app: &App, tenant: &TenantId, video: VideoId, after: Option<i64>) -> store::Result<bool> {
    if !app.store.log_after(tenant, video, after, 1).await?.is_empty() {
        return Ok(false);
    }
    tokio::time::sleep(STILL_FOR).await;
    Ok(app.store.log_after(tenant, video, after, 1).await?.is_empty())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seq.map(Some).ok_or_else(|| Problem::new(Kind::MalformedRequest, "Last-Event-ID must be the seq of an event."))
}

/// Reads a log to its end and beyond.
struct Follower {
    app: App,
    tenant: TenantId,
    video: VideoId,
    after: Option<i64>,
    pause: Duration,
    closed: bool,
    _open: EventStream,
}

impl Follower {
    /// Waits for the next events. Ends when the video ended, the process is to end, or the store is away: the caller
    /// then comes back with its `Last-Event-ID`.
    async fn next(mut self) -> Option<(Vec<Result<Event, Infallible>>, Self)> {
        while !self.closed {
            let (entries, end) = match self.read().await {
                Ok(read) => read,
                Err(error) => {
                    let (video, error) = (self.video, anyhow::Error::from(error));
                    tracing::warn!(%video, error = %format_args!("{error:#}"), "event stream ended early");
                    return None;
                }
            };
            self.after = entries.last().map(|entry| entry.seq).or(self.after);
            let mut events: Vec<_> = entries.iter().map(EventBody::of).map(|body| Ok(body.as_event())).collect();
            if let Some(state) = end {
                events.push(Ok(EventBody::closed(self.after.unwrap_or(-1), state).as_event()));
                self.closed = true;
            }
            if !events.is_empty() {
                self.pause = FASTEST_POLL;
                return Some((events, self));
            }
            tokio::select! {
                () = self.app.stop.cancelled() => return None,
                () = tokio::time::sleep(self.pause) => self.pause = SLOWEST_POLL.min(self.pause * 2),
            }
        }
        None
    }

    /// Returns the next entries, or the final state if nothing follows the last ones. The state is read first:
    /// whatever led to it is in the log by then.
    async fn read(&self) -> store::Result<(Vec<LogEntry>, Option<store::State>)> {
        let video = self.app.store.video(&self.tenant, self.video).await?;
        let Some(video) = video else { return Ok((Vec::new(), Some(store::State::Cancelled))) };
        let entries = self.app.store.log_after(&self.tenant, self.video, self.after, BATCH).await?;
        let is_over = video.state().is_final()
            && entries.is_empty()
            && is_still(&self.app, &self.tenant, self.video, self.after).await?;
        Ok((entries, is_over.then(|| video.state())))
    }
}
