//! `GET /v1/videos/{id}/events`: the video's log as server-sent events, from any place, until it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use pipeline::event::{EndState, Happened, UnitDone};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::stage::StageName;
use pipeline::store::{self, LogEntry};
use utoipa::ToSchema;

use crate::app::App;
use crate::clips::ClipBody;
use crate::extract::{Tenant, VideoPath};
use crate::metrics::EventStream;
use crate::problem::{self, Kind, Problem};
use crate::status::ErrorBody;

/// How many entries of the log are read at once.
const BATCH: usize = 200;
/// How soon the log is read again after something was in it; doubles up to the slowest.
const FASTEST_POLL: Duration = Duration::from_millis(100);
/// How often the log is read when nothing happens.
const SLOWEST_POLL: Duration = Duration::from_secs(1);
/// How long the log of a video that ended must stay still: what its last units say may be logged just after its end.
const STILL_FOR: Duration = Duration::from_millis(250);

/// One thing that happened: the data of a server-sent event. The event's name is `type`, its id is `seq`.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// Its place in the video's log; grows, with gaps. Send it as `Last-Event-ID` to go on after it.
    seq: i64,
    /// When it happened.
    #[schema(value_type = String, format = "date-time")]
    at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    what: What,
}

/// What happened to a video.
#[derive(serde::Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = EventKind)]
pub enum What {
    /// The video was accepted.
    Created {
        /// The name it came with; may be empty.
        name: String,
        /// `upload` or the URL.
        source: String,
        /// Bytes uploaded; 0 for a URL.
        bytes: u64,
    },
    /// The video was obtained and measured; its lane is final.
    Ready {
        /// Measured length, in seconds.
        duration_s: f64,
        /// Width as a person sees it, in pixels.
        width: u32,
        /// Height as a person sees it, in pixels.
        height: u32,
        /// Mean frames a second.
        frame_rate: f64,
        /// The picture's codec.
        video_codec: String,
        /// The sound's codec; empty without sound.
        audio_codec: String,
        /// The lane it goes on in.
        lane: &'static str,
    },
    /// A stage has this many units, as far as is known now.
    StageTotal {
        /// The stage.
        stage: &'static str,
        /// Units of this window so far.
        total: u32,
        /// The window they belong to; totals of several windows add up.
        window: u32,
    },
    /// A unit was finished.
    UnitDone(UnitBody),
    /// A unit failed and will be tried again.
    UnitRetried {
        /// The stage.
        stage: &'static str,
        /// The unit.
        unit: String,
        /// The attempt that failed, from 1.
        attempt: u32,
    },
    /// A unit was given up.
    UnitFailed {
        /// The unit.
        unit: String,
        /// Why.
        #[schema(inline)]
        error: ErrorBody,
    },
    /// The analysis of one more window can be read.
    Analyzed {},
    /// A clip can be read.
    ClipReady {
        /// The clip.
        clip: ClipBody,
    },
    /// The video ended.
    Ended {
        /// `done`, `partial` or `failed`.
        state: &'static str,
        /// The share of the video that was worked on, 0 to 1.
        completeness: f64,
        /// Why it is not `done`.
        #[schema(inline, required = true)]
        error: Option<ErrorBody>,
    },
    /// The user cancelled it.
    Cancelled {},
    /// Nothing will follow: the last event of every stream. Not part of the log.
    Closed {
        /// The final state: `done`, `partial`, `failed` or `cancelled`.
        state: &'static str,
    },
    /// Something this version has no name for.
    Unknown {},
}

/// A finished unit and its times.
#[derive(serde::Serialize, ToSchema)]
pub struct UnitBody {
    /// The stage.
    stage: &'static str,
    /// The unit.
    unit: String,
    /// The attempt that succeeded, from 1.
    attempt: u32,
    /// When it began to wait.
    #[schema(value_type = String, format = "date-time")]
    queued_at: Timestamp,
    /// When its work began.
    #[schema(value_type = String, format = "date-time")]
    started_at: Timestamp,
    /// When its work ended.
    #[schema(value_type = String, format = "date-time")]
    finished_at: Timestamp,
    /// How long it waited, in seconds.
    wait_s: f64,
    /// How long it was worked on, in seconds.
    busy_s: f64,
}

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
                let closing = EventBody {
                    seq: self.after.unwrap_or(-1),
                    at: Timestamp::now(),
                    what: What::Closed { state: state.as_str() },
                };
                events.push(Ok(closing.as_event()));
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

impl EventBody {
    fn of(entry: &LogEntry) -> Self {
        Self { seq: entry.seq, at: time(entry.event.at_ms), what: What::of(entry) }
    }

    fn as_event(&self) -> Event {
        let event = Event::default().event(self.what.name()).id(self.seq.to_string());
        event.json_data(self).unwrap_or_else(|_| Event::default().comment("unreadable"))
    }
}

impl What {
    fn of(entry: &LogEntry) -> Self {
        let job = &entry.event.job;
        match &entry.event.happened {
            Some(Happened::Created(c)) => {
                Self::Created { name: c.name.clone(), source: c.source.clone(), bytes: c.bytes }
            }
            Some(Happened::Ready(media)) => Self::Ready {
                duration_s: media.duration().as_seconds(),
                width: media.width,
                height: media.height,
                frame_rate: media.frame_rate,
                video_codec: media.video_codec.clone(),
                audio_codec: media.audio_codec.clone(),
                lane: job.lane().as_str(),
            },
            Some(Happened::Total(t)) => {
                Self::StageTotal { stage: t.stage().as_str(), total: t.total, window: t.window }
            }
            Some(Happened::UnitDone(u)) => Self::UnitDone(UnitBody::of(u)),
            Some(Happened::UnitRetried(u)) => {
                Self::UnitRetried { stage: u.stage().as_str(), unit: u.unit.clone(), attempt: u.attempt }
            }
            Some(Happened::UnitFailed(u)) => {
                Self::UnitFailed { unit: u.unit.clone(), error: error(&u.code, Some(u.stage())) }
            }
            Some(Happened::Analyzed(_)) => Self::Analyzed {},
            Some(Happened::ClipReady(clip)) => Self::ClipReady { clip: ClipBody::of(job.video(), clip) },
            Some(Happened::Ended(e)) => Self::Ended {
                state: end_name(e.state()),
                completeness: e.completeness,
                error: (!e.code.is_empty()).then(|| error(&e.code, e.stage.is_some().then(|| e.stage()))),
            },
            Some(Happened::Cancelled(_)) => Self::Cancelled {},
            None => Self::Unknown {},
        }
    }

    /// Returns the event's name; stable.
    fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Ready { .. } => "ready",
            Self::StageTotal { .. } => "stage_total",
            Self::UnitDone(_) => "unit_done",
            Self::UnitRetried { .. } => "unit_retried",
            Self::UnitFailed { .. } => "unit_failed",
            Self::Analyzed {} => "analyzed",
            Self::ClipReady { .. } => "clip_ready",
            Self::Ended { .. } => "ended",
            Self::Cancelled {} => "cancelled",
            Self::Closed { .. } => "closed",
            Self::Unknown {} => "unknown",
        }
    }
}

impl UnitBody {
    fn of(unit: &UnitDone) -> Self {
        let seconds = |from: i64, to: i64| (to - from).max(0) as f64 / 1000.0;
        Self {
            stage: unit.stage().as_str(),
            unit: unit.unit.clone(),
            attempt: unit.attempt,
            queued_at: time(unit.queued_ms),
            started_at: time(unit.started_ms),
            finished_at: time(unit.finished_ms),
            wait_s: seconds(unit.queued_ms, unit.started_ms),
            busy_s: seconds(unit.started_ms, unit.finished_ms),
        }
    }
}

fn time(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn end_name(state: EndState) -> &'static str {
    match state {
        EndState::Done => "done",
        EndState::Partial => "partial",
        EndState::Failed => "failed",
    }
}

fn error(code: &str, stage: Option<StageName>) -> ErrorBody {
    let message = Code::from_name(code).map_or("The reason has no text in this version.", Code::message);
    ErrorBody {
        code: code.to_owned(),
        stage: stage.map(|s| s.to_string()).unwrap_or_default(),
        message: message.to_owned(),
    }
}
