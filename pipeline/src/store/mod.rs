//! The store: videos, their log, clips, claims and what gatherers gathered. One trait with few methods, each
//! a query by key (no join, no scan), so that SQLite and CQL fit beneath it alike.

mod claim;
mod cql;
mod gather;
mod open;
mod rows;
mod sqlite;

pub use claim::{Claim, Lease, Release};
pub use cql::{ClusterSurvey, Consistency, CqlAddress, StoreTls};
pub use gather::{Gatherer, OpenGather};
pub use open::{StoreArgs, StoreLocation, Survey, check_whole, open, open_file, survey};
pub use rows::{
    Contents, Created, LogEntry, MOST_EXAMINED, NewVideo, Page, Paged, Plan, StageProgress, State, Video, VideoError,
    VideoFilter, VideoState,
};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::Clip;
use crate::failure::Failure;
use crate::id::{ClipId, TenantId, UnitId, VideoId};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, is locked for too long, or has no space.
    #[error("store unavailable")]
    Unavailable(#[source] anyhow::Error),
    /// It holds something that cannot be read.
    #[error("store holds an unreadable row")]
    Corrupt(#[source] anyhow::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(_) => Self::Unavailable(error.into()),
            Error::Corrupt(_) => Self::Retry(error.into()),
        }
    }
}

/// Shorthand for what every method returns.
pub type Result<T> = std::result::Result<T, Error>;

/// The store, shared by all of a process.
pub type SharedStore = Arc<dyn Store>;

/// Keeps what must outlive processes. What a method wrote is durable when it returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Checks that the store answers.
    async fn ping(&self) -> Result<()>;

    // Being made anew: while that is not ended nobody may work with it.

    /// Says whether anything is in the store.
    async fn contents(&self) -> Result<Contents>;
    /// Notes that the store is being made anew.
    async fn begin_rebuild(&self) -> Result<()>;
    /// Notes that all of it is there.
    async fn end_rebuild(&self) -> Result<()>;

    // Videos: ingest creates and cancels; the rest of a video's state is written with the log.

    /// Creates `video` unless its id is there already (the id of an `Idempotency-Key` derives from it); the
    /// id of a deleted one still counts as there. Times are kept to the microsecond.
    async fn create_video(&self, video: &NewVideo) -> Result<Created>;
    /// Notes that the event that tells of the video's creation reached Kafka.
    async fn mark_published(&self, tenant: &TenantId, video: VideoId) -> Result<()>;
    /// Returns videos created before `before` whose creation has not reached Kafka, at most `limit`.
    async fn unpublished(&self, before: Timestamp, limit: usize) -> Result<Vec<NewVideo>>;
    /// Returns a video.
    async fn video(&self, tenant: &TenantId, video: VideoId) -> Result<Option<Video>>;
    /// Returns a tenant's videos, newest first; looks at [`MOST_EXAMINED`] rows at the most.
    async fn videos(&self, tenant: &TenantId, filter: &VideoFilter, page: &Page) -> Result<Paged<Video>>;
    /// Marks the video cancelled unless it ended; returns whether it is cancelled now.
    async fn cancel_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<bool>;
    /// Hides a deleted video and all that belongs to it; a tombstone that writers check stays.
    async fn delete_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<()>;
    /// Says whether work for the video is unwanted: cancelled or deleted.
    async fn is_unwanted(&self, tenant: &TenantId, video: VideoId) -> Result<bool>;

    // The log: written by `record` alone.

    /// Adds `entry` to its video's log together with the state that follows from it (and the clip it tells of,
    /// if any). Does nothing when the entry's event is in the log already; returns whether it was added.
    async fn log(&self, entry: &LogEntry, state: &VideoState, clip: Option<&Clip>) -> Result<bool>;
    /// Returns entries of the log after place `after`, in order, at most `limit`.
    async fn log_after(
        &self,
        tenant: &TenantId,
        video: VideoId,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<LogEntry>>;

    /// Returns a video's clips in order of their time.
    async fn clips(&self, tenant: &TenantId, video: VideoId) -> Result<Vec<Clip>>;
    /// Returns one clip.
    async fn clip(&self, tenant: &TenantId, video: VideoId, clip: ClipId) -> Result<Option<Clip>>;

    // Claims: one row a unit of work. Who calls `finish` or `release` again with the same lease gets the same answer.

    /// Claims `unit` for `owner` until `now + lease`, if it is free, handed back, or its lease has ended.
    async fn claim(&self, unit: UnitId, owner: &str, now: Timestamp, lease: Duration) -> Result<Claim>;
    /// Says that the unit runs alone in its process from now on: dying in it counts. False: the lease was lost.
    async fn run_alone(&self, lease: &Lease) -> Result<bool>;
    /// Extends the lease to `until`. False: it was lost, the work must stop.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool>;
    /// Marks the unit finished. False: the lease was lost, somebody else's result counts.
    async fn finish(&self, lease: &Lease) -> Result<bool>;
    /// Gives the unit up without finishing it. False: the lease was lost.
    async fn release(&self, lease: &Lease, how: Release) -> Result<bool>;
    /// Forgets all that was counted of the unit, so that a replayed dead letter starts afresh. Leases on it are void.
    async fn forget(&self, unit: UnitId) -> Result<()>;

    // Gathering: what a gatherer heard, by video; and which videos it has open, by its partition.

    /// Writes what `gatherer` heard under `item` of a window of `video`, in place of what was there; opens the
    /// gathering in `partition` if it is new. Does nothing once it is closed; returns whether it is open.
    /// `deadline` is when to go on if nothing more is heard: it replaces one that is a minute earlier or more.
    #[expect(clippy::too_many_arguments, reason = "one row, each column once")]
    async fn gather(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        partition: i32,
        deadline: Timestamp,
        item: &str,
        body: &[u8],
    ) -> Result<bool>;
    /// Returns what was gathered of a window, ordered by item: at most `limit` after the item `after`.
    async fn gathered(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>>;
    /// Returns one of the items gathered of a window.
    async fn gathered_item(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        item: &str,
    ) -> Result<Option<Vec<u8>>>;
    /// Returns how many items were gathered of a window, without reading them.
    async fn gathered_count(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<u64>;
    /// Returns the gatherings open in `partition`, earliest deadline first, at most `limit`.
    async fn open_gathers(&self, gatherer: Gatherer, partition: i32, limit: usize) -> Result<Vec<OpenGather>>;
    /// Closes a gathering; its items stay until they are forgotten.
    async fn close_gather(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<()>;
    /// Removes all that was gathered of a video; for one that has ended, and of which no unit can be tried again.
    async fn forget_gathers(&self, tenant: &TenantId, video: VideoId) -> Result<()>;
    /// Opens a gathering again, closed or not, without the item `without` and with the item `with`. That one is
    /// written last: who finds it knows that all is done, and doing it twice changes nothing. Does nothing when there
    /// is no such gathering; returns whether it is open.
    #[expect(clippy::too_many_arguments, reason = "one row, each column once")]
    async fn reopen_gather(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        deadline: Timestamp,
        without: Option<&str>,
        with: Option<(&str, &[u8])>,
    ) -> Result<bool>;
}
