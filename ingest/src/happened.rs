//! What happened to a video, as the data of a server-sent event.

use axum::response::sse::Event;
use jiff::Timestamp;
use pipeline::event::{EndState, Happened, UnitDone};
use pipeline::failure::Code;
use pipeline::stage::StageName;
use pipeline::store::{LogEntry, State};
use utoipa::ToSchema;

use crate::clips::ClipBody;
use crate::status::ErrorBody;

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
    /// A unit that was given up is worked on again: an operator replays it.
    UnitReplayed {
        /// The stage.
        stage: &'static str,
        /// The unit.
        unit: String,
    },
    /// The video goes on after its end: a unit of it is replayed.
    Reopened {},
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

impl EventBody {
    /// Shows an entry of the log.
    pub fn of(entry: &LogEntry) -> Self {
        Self { seq: entry.seq, at: time(entry.event.at_ms), what: What::of(entry) }
    }

    /// Makes the event that closes a stream after the entry at `seq`.
    pub fn closed(seq: i64, state: State) -> Self {
        Self { seq, at: Timestamp::now(), what: What::Closed { state: state.as_str() } }
    }

    /// Puts it in the form of the stream.
    pub fn as_event(&self) -> Event {
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
            Some(Happened::Replayed(r)) => Self::UnitReplayed { stage: r.stage().as_str(), unit: r.unit.clone() },
            Some(Happened::Reopened(_)) => Self::Reopened {},
            // A log that could tell of it is gone.
            Some(Happened::Deleted(_)) | None => Self::Unknown {},
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
            Self::UnitReplayed { .. } => "unit_replayed",
            Self::Reopened {} => "reopened",
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
