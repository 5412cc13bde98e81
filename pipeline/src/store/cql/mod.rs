//! The store over CQL, for clusters: ScyllaDB or Apache Cassandra, with statements that both accept. There are no
//! transactions here, so each method says which of its writes decides, and the others are written before it or
//! can be repeated after it.

mod address;
mod claims;
mod connection;
mod contents;
mod fault;
mod gathers;
mod lists;
mod log;
mod schema;
mod statements;
mod survey;
mod tls;
mod videos;

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use jiff::Timestamp;

use self::connection::Connection;
use self::fault::corrupt;
use self::gathers::GatherKey;
use self::lists::Pointer;
use super::{
    Claim, Contents, Created, Gatherer, Lease, LogEntry, NewVideo, OpenGather, Page, Paged, Release, Result, Store,
    Video, VideoFilter, VideoState,
};
use crate::event::Clip;
use crate::id::{ClipId, TenantId, UnitId, VideoId};

pub use self::address::CqlAddress;
pub use self::survey::ClusterSurvey;
pub use self::tls::StoreTls;

/// How many replicas answer before a read or a write counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Consistency {
    /// More than half of those in the nearest data centre; of one it is that one.
    #[default]
    LocalQuorum,
    /// More than half of all.
    Quorum,
    /// One: what was written may not be read, so only for a keyspace with one copy.
    LocalOne,
}

impl From<Consistency> for scylla::statement::Consistency {
    fn from(consistency: Consistency) -> Self {
        match consistency {
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::Quorum => Self::Quorum,
            Consistency::LocalOne => Self::LocalOne,
        }
    }
}

/// Where the cluster is and how it is used.
pub(super) struct CqlOptions {
    pub(super) address: CqlAddress,
    pub(super) password: Option<String>,
    pub(super) tls: StoreTls,
    pub(super) replication: u8,
    pub(super) consistency: Consistency,
}

/// The store in one keyspace.
pub(super) struct Cql {
    connection: Connection,
}

impl Cql {
    /// Connects, and makes the keyspace and its tables if they are missing.
    ///
    /// # Errors
    /// When that is impossible, or a newer version made the tables.
    pub(super) async fn open(options: &CqlOptions) -> anyhow::Result<Self> {
        // The driver tells some errors over several lines; whoever prints this one wants one.
        let in_one_line = |error: anyhow::Error| format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        let connected = connection::connect(options).await;
        let session = connected.map_err(|error| anyhow::Error::msg(in_one_line(error))).context("connect")?;
        schema::prepare(&session, options).await?;
        Ok(Self { connection: Connection::prepare(session, statements::all()).await? })
    }

    /// The version of the tables.
    pub(super) const VERSION: i32 = schema::VERSION;

    /// Looks at the cluster, and at the version of the tables if they are there, and changes nothing.
    ///
    /// # Errors
    /// When the cluster cannot be reached.
    pub(super) async fn survey(options: &CqlOptions) -> anyhow::Result<(Option<i32>, ClusterSurvey)> {
        survey::survey(options).await
    }
}

#[async_trait]
impl Store for Cql {
    async fn ping(&self) -> Result<()> {
        self.connection.first::<(Option<i32>,)>(&schema::PING, ()).await.map(drop)
    }

    async fn contents(&self) -> Result<Contents> {
        contents::read(&self.connection).await
    }

    async fn begin_rebuild(&self) -> Result<()> {
        self.connection.write(&contents::BEGIN, ()).await
    }

    async fn end_rebuild(&self) -> Result<()> {
        self.connection.write(&contents::END, ()).await
    }

    async fn create_video(&self, video: &NewVideo) -> Result<Created> {
        let key = VideoKey::new(&video.job.tenant(), video.job.video());
        videos::create(&self.connection, &key, video).await
    }

    async fn mark_published(&self, tenant: &TenantId, video: VideoId) -> Result<()> {
        videos::mark_published(&self.connection, &VideoKey::new(tenant, video)).await
    }

    async fn unpublished(&self, before: Timestamp, limit: usize) -> Result<Vec<NewVideo>> {
        videos::unpublished(&self.connection, before, limit).await
    }

    async fn video(&self, tenant: &TenantId, video: VideoId) -> Result<Option<Video>> {
        videos::get(&self.connection, &VideoKey::new(tenant, video)).await
    }

    async fn videos(&self, tenant: &TenantId, filter: &VideoFilter, page: &Page) -> Result<Paged<Video>> {
        videos::list(&self.connection, tenant.as_str(), filter, page).await
    }

    async fn cancel_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<bool> {
        videos::cancel(&self.connection, &VideoKey::new(tenant, video), at).await
    }

    async fn delete_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<()> {
        let key = VideoKey::new(tenant, video);
        videos::delete(&self.connection, &key, at).await?;
        log::delete(&self.connection, &key).await?;
        gathers::delete(&self.connection, &key).await
    }

    async fn is_unwanted(&self, tenant: &TenantId, video: VideoId) -> Result<bool> {
        videos::is_unwanted(&self.connection, &VideoKey::new(tenant, video)).await
    }

    async fn log(&self, entry: &LogEntry, state: &VideoState, clip: Option<&Clip>) -> Result<bool> {
        let key = VideoKey::new(&entry.event.job.tenant(), entry.event.job.video());
        log::add(&self.connection, &key, entry, state, clip).await
    }

    async fn log_after(
        &self,
        tenant: &TenantId,
        video: VideoId,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<LogEntry>> {
        log::after(&self.connection, &VideoKey::new(tenant, video), after, limit).await
    }

    async fn clips(&self, tenant: &TenantId, video: VideoId) -> Result<Vec<Clip>> {
        log::clips(&self.connection, &VideoKey::new(tenant, video)).await
    }

    async fn clip(&self, tenant: &TenantId, video: VideoId, clip: ClipId) -> Result<Option<Clip>> {
        log::clip(&self.connection, &VideoKey::new(tenant, video), &clip.to_string()).await
    }

    async fn claim(&self, unit: UnitId, owner: &str, now: Timestamp, lease: Duration) -> Result<Claim> {
        let now_us = now.as_microsecond();
        let lease_end_us = now_us.saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX));
        claims::claim(&self.connection, unit, owner, now_us, lease_end_us).await
    }

    async fn run_alone(&self, lease: &Lease) -> Result<bool> {
        claims::run_alone(&self.connection, lease).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool> {
        claims::renew(&self.connection, lease, until.as_microsecond()).await
    }

    async fn finish(&self, lease: &Lease) -> Result<bool> {
        claims::finish(&self.connection, lease).await
    }

    async fn release(&self, lease: &Lease, how: Release) -> Result<bool> {
        claims::release(&self.connection, lease, how).await
    }

    async fn forget(&self, unit: UnitId) -> Result<()> {
        claims::forget(&self.connection, unit).await
    }

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
    ) -> Result<bool> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::gather(&self.connection, &key, partition, deadline.as_microsecond(), item, body).await
    }

    async fn gathered(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::items(&self.connection, &key, after, limit).await
    }

    async fn gathered_item(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        item: &str,
    ) -> Result<Option<Vec<u8>>> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::item(&self.connection, &key, item).await
    }

    async fn gathered_count(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<u64> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::count(&self.connection, &key).await
    }

    async fn open_gathers(&self, gatherer: Gatherer, partition: i32, limit: usize) -> Result<Vec<OpenGather>> {
        gathers::open_in(&self.connection, gatherer, partition, limit).await
    }

    async fn close_gather(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<()> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::close(&self.connection, &key).await
    }

    async fn forget_gathers(&self, tenant: &TenantId, video: VideoId) -> Result<()> {
        gathers::delete(&self.connection, &VideoKey::new(tenant, video)).await
    }

    async fn reopen_gather(
        &self,
        gatherer: Gatherer,
        tenant: &TenantId,
        video: VideoId,
        window: u32,
        deadline: Timestamp,
        without: Option<&str>,
        with: Option<(&str, &[u8])>,
    ) -> Result<bool> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        gathers::reopen(&self.connection, &key, deadline.as_microsecond(), without, with).await
    }
}

/// The key of what belongs to a video, as the columns hold it.
#[derive(Clone)]
struct VideoKey {
    tenant: String,
    video: String,
}

impl VideoKey {
    fn new(tenant: &TenantId, video: VideoId) -> Self {
        Self { tenant: tenant.to_string(), video: video.to_string() }
    }

    fn values(&self) -> (&str, &str) {
        (&self.tenant, &self.video)
    }

    fn pointer(&self, created_us: i64) -> Pointer {
        Pointer { created_us, video: self.video.clone(), tenant: self.tenant.clone() }
    }
}

/// Times are kept in whole microseconds since the Unix epoch.
fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|e| corrupt("read a time", e))
}

fn limit_of(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
