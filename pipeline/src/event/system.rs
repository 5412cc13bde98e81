//! How the service as a whole is, as its ingest processes judge it: what an autoscaler or a dashboard needs of overload.

/// What one ingest process sees and does about it, published to `system.state` when it changes and every few seconds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SystemState {
    /// Which process says so; unique for its life.
    #[prost(string, tag = "1")]
    pub process: String,
    /// When, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub at_ms: i64,
    /// Videos it accepts are made without optional work.
    #[prost(bool, tag = "3")]
    pub degraded: bool,
    /// Since when that is as it is, in milliseconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub since_ms: i64,
    /// Why it is degraded, one line with numbers for each reason.
    #[prost(string, repeated, tag = "5")]
    pub reasons: Vec<String>,
    /// Why it refuses new videos, one line with numbers; empty while it accepts them.
    #[prost(string, tag = "6")]
    pub refusing: String,
    /// Videos that were accepted and have not ended.
    #[prost(uint64, tag = "7")]
    pub unfinished_videos: u64,
    /// How many of them degrade the service.
    #[prost(uint64, tag = "8")]
    pub unfinished_limit: u64,
    /// Memory in use, in bytes; 0 where it is not known.
    #[prost(uint64, tag = "9")]
    pub memory_bytes: u64,
    /// The most there may be, in bytes; 0 where there is no limit.
    #[prost(uint64, tag = "10")]
    pub memory_limit_bytes: u64,
    /// Free space of the fullest disk that is written to, in bytes; 0 where it is not known.
    #[prost(uint64, tag = "11")]
    pub disk_free_bytes: u64,
    /// The most failures in a row of an outside service that a worker reports.
    #[prost(uint64, tag = "12")]
    pub outside_failures: u64,
    /// Uploads of new videos that it began to take in since it started.
    #[prost(uint64, tag = "13")]
    pub uploads_begun_total: u64,
    /// Those of them that have ended, whatever became of them.
    #[prost(uint64, tag = "14")]
    pub uploads_ended_total: u64,
}
