//! Heartbeats of workers, which the autoscaler and the dashboard see, and what workers are told.

use crate::lane::Lane;
use crate::stage_name::StageName;

/// A worker's state, published to `worker.report` under the worker's id as key: each second while it works.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkerReport {
    /// Unique for the life of the process.
    #[prost(string, tag = "1")]
    pub worker: String,
    /// What it works on.
    #[prost(enumeration = "StageName", tag = "2")]
    pub stage: i32,
    /// The version of spillway.
    #[prost(string, tag = "3")]
    pub version: String,
    /// When, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub at_ms: i64,
    /// Whether it takes work.
    #[prost(enumeration = "WorkerState", tag = "5")]
    pub state: i32,
    /// Units it can work on at once.
    #[prost(uint32, tag = "6")]
    pub slots: u32,
    /// Units it works on now.
    #[prost(uint32, tag = "7")]
    pub busy: u32,
    /// Records fetched and not begun.
    #[prost(uint32, tag = "8")]
    pub queued: u32,
    /// Age of the oldest of them, in milliseconds.
    #[prost(uint64, tag = "9")]
    pub head_age_ms: u64,
    /// Units finished since it started.
    #[prost(uint64, tag = "10")]
    pub done_total: u64,
    /// Time its slots worked since it started, finished units only, in seconds.
    #[prost(double, tag = "11")]
    pub busy_seconds_total: f64,
    /// Media its finished units stood for, in seconds.
    #[prost(double, tag = "12")]
    pub work_media_s_total: f64,
    /// Resident memory, in bytes.
    #[prost(uint64, tag = "13")]
    pub memory_bytes: u64,
    /// The units in hand.
    #[prost(message, repeated, tag = "14")]
    pub units: Vec<UnitInHand>,
    /// Process id on its host.
    #[prost(uint32, tag = "15")]
    pub pid: u32,
    /// Failures in a row of an outside service that its stage asks.
    #[prost(uint32, tag = "17")]
    pub outside_failures: u32,
    /// Requests that an outside service, which its stage asks, allows within the next hour; nothing where it does not say.
    #[prost(double, optional, tag = "18")]
    pub outside_quota_left: Option<f64>,
    /// What it waits for while it is paused, in words.
    #[prost(string, tag = "19")]
    pub paused_for: String,
    /// In how long each slot will open that is not there yet, in milliseconds.
    #[prost(uint32, repeated, tag = "16")]
    pub slots_starting_ms: Vec<u32>,
    /// What of its finished units was of which lane; nothing of a lane of which there were none.
    #[prost(message, repeated, tag = "20")]
    pub done_of: Vec<LaneDone>,
    /// Requests that this worker sent to an outside service within the last hour; nothing where it asks none.
    #[prost(uint64, optional, tag = "21")]
    pub outside_quota_used: Option<u64>,
    /// Requests that the service allows all who ask it within an hour of which none was used before; nothing where it does not
    /// say.
    #[prost(double, optional, tag = "22")]
    pub outside_quota_limit: Option<f64>,
}

/// What a worker finished of one lane since it started.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LaneDone {
    /// The lane.
    #[prost(enumeration = "Lane", tag = "1")]
    pub lane: i32,
    /// Units.
    #[prost(uint64, tag = "2")]
    pub done_total: u64,
    /// Time its slots worked on them, in seconds.
    #[prost(double, tag = "3")]
    pub busy_seconds_total: f64,
    /// Media they stood for, in seconds.
    #[prost(double, tag = "4")]
    pub work_media_s_total: f64,
}

/// What one worker is told, published to `worker.command` under the worker's id as key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkerCommand {
    /// Which worker, see [`WorkerReport::worker`].
    #[prost(string, tag = "1")]
    pub worker: String,
    /// What it is to do.
    #[prost(enumeration = "WorkerOrder", tag = "2")]
    pub what: i32,
    /// When it was said, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "3")]
    pub at_ms: i64,
    /// Who said it, for the worker's log.
    #[prost(string, tag = "4")]
    pub by: String,
}

/// A unit a worker has in hand.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UnitInHand {
    /// The video.
    #[prost(string, tag = "1")]
    pub video: String,
    /// Which unit of it.
    #[prost(string, tag = "2")]
    pub unit: String,
    /// Its lane.
    #[prost(enumeration = "Lane", tag = "3")]
    pub lane: i32,
    /// For how long, in milliseconds.
    #[prost(uint64, tag = "4")]
    pub age_ms: u64,
}

/// Whether a worker takes work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum WorkerState {
    /// Loading models, joining its group.
    Starting = 0,
    /// Takes work.
    Ready = 1,
    /// A dependency is down; it waits.
    Paused = 2,
    /// Finishes what it has and ends.
    Draining = 3,
}

impl WorkerState {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }
}

/// What a worker can be told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum WorkerOrder {
    /// Nothing that this version knows.
    Nothing = 0,
    /// To take no more, finish what it has in hand, and end.
    Drain = 1,
}
