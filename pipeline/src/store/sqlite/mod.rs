//! The store in one SQLite file, for the processes of one host: write-ahead log, every commit on disk.

mod claims;
mod contents;
mod fault;
mod gathers;
mod log;
mod readers;
mod schema;
mod videos;
mod writer;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use self::fault::corrupt;
use self::gathers::GatherKey;
use self::readers::Readers;
use self::writer::Writer;
use super::{
    Claim, Contents, Created, Gatherer, Lease, LogEntry, NewVideo, OpenGather, Page, Paged, Release, Result, Store,
    Video, VideoFilter, VideoState,
};
use crate::event::Clip;
use crate::id::{ClipId, TenantId, UnitId, VideoId};

/// The store in one SQLite file.
pub(super) struct Sqlite {
    writer: Writer,
    readers: Readers,
}

impl Sqlite {
    /// Opens the file at `path`, and makes it if it is missing.
    ///
    /// # Errors
    /// When that is impossible, or a newer version made the file.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = schema::prepare(path)?;
        claims::remove_old(&connection, micros(Timestamp::now()))?;
        Ok(Self { writer: Writer::start(connection)?, readers: Readers::new(path.to_owned()) })
    }

    /// The version of the tables.
    pub(super) const VERSION: i64 = schema::VERSION;

    /// Returns the version of the tables in the file at `path`, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn version(path: &Path) -> anyhow::Result<Option<i64>> {
        schema::version(path)
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn ping(&self) -> Result<()> {
        self.readers.run(|c| Ok(c.query_row("SELECT 1", [], |_| Ok(()))?)).await
    }

    async fn contents(&self) -> Result<Contents> {
        self.readers.run(contents::read).await
    }

    async fn begin_rebuild(&self) -> Result<()> {
        self.writer.run(contents::begin_rebuild).await
    }

    async fn end_rebuild(&self) -> Result<()> {
        self.writer.run(contents::end_rebuild).await
    }

    async fn create_video(&self, video: &NewVideo) -> Result<Created> {
        let (key, video) = (videos::key_of(video), video.clone());
        self.writer.run(move |c| videos::create(c, &key, &video)).await
    }

    async fn mark_published(&self, tenant: &TenantId, video: VideoId) -> Result<()> {
        let key = VideoKey::new(tenant, video);
        self.writer.run(move |c| videos::mark_published(c, &key)).await
    }

    async fn unpublished(&self, before: Timestamp, limit: usize) -> Result<Vec<NewVideo>> {
        self.readers.run(move |c| videos::unpublished(c, before, limit)).await
    }

    async fn video(&self, tenant: &TenantId, video: VideoId) -> Result<Option<Video>> {
        let key = VideoKey::new(tenant, video);
        self.readers.run(move |c| videos::get(c, &key)).await
    }

    async fn videos(&self, tenant: &TenantId, filter: &VideoFilter, page: &Page) -> Result<Paged<Video>> {
        let (tenant, filter, page) = (tenant.to_string(), filter.clone(), page.clone());
        self.readers.run(move |c| videos::list(c, &tenant, &filter, &page)).await
    }

    async fn cancel_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<bool> {
        let key = VideoKey::new(tenant, video);
        self.writer.run(move |c| videos::cancel(c, &key, at)).await
    }

    async fn delete_video(&self, tenant: &TenantId, video: VideoId, at: Timestamp) -> Result<()> {
        let key = VideoKey::new(tenant, video);
        let delete = move |c: &_| videos::delete(c, &key, at).and_then(|()| gathers::delete(c, &key));
        self.writer.run(delete).await
    }

    async fn is_unwanted(&self, tenant: &TenantId, video: VideoId) -> Result<bool> {
        let key = VideoKey::new(tenant, video);
        self.readers.run(move |c| videos::is_unwanted(c, &key)).await
    }

    async fn log(&self, entry: &LogEntry, state: &VideoState, clip: Option<&Clip>) -> Result<bool> {
        let key = VideoKey::new(&entry.event.job.tenant(), entry.event.job.video());
        let (entry, state, clip) = (entry.clone(), state.clone(), clip.cloned());
        self.writer.run(move |c| log::add(c, &key, &entry, &state, clip.as_ref())).await
    }

    async fn log_after(
        &self,
        tenant: &TenantId,
        video: VideoId,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<LogEntry>> {
        let key = VideoKey::new(tenant, video);
        self.readers.run(move |c| log::after(c, &key, after, limit)).await
    }

    async fn clips(&self, tenant: &TenantId, video: VideoId) -> Result<Vec<Clip>> {
        let key = VideoKey::new(tenant, video);
        self.readers.run(move |c| log::clips(c, &key)).await
    }

    async fn clip(&self, tenant: &TenantId, video: VideoId, clip: ClipId) -> Result<Option<Clip>> {
        let key = VideoKey::new(tenant, video);
        self.readers.run(move |c| log::clip(c, &key, &clip.to_string())).await
    }

    async fn claim(&self, unit: UnitId, owner: &str, now: Timestamp, lease: Duration) -> Result<Claim> {
        let owner = owner.to_owned();
        let now_us = micros(now);
        let lease_end_us = now_us.saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX));
        self.writer.run(move |c| claims::claim(c, unit, &owner, now_us, lease_end_us)).await
    }

    async fn run_alone(&self, lease: &Lease) -> Result<bool> {
        let lease = lease.clone();
        self.writer.run(move |c| claims::run_alone(c, &lease)).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool> {
        let lease = lease.clone();
        self.writer.run(move |c| claims::renew(c, &lease, micros(until))).await
    }

    async fn finish(&self, lease: &Lease) -> Result<bool> {
        let lease = lease.clone();
        self.writer.run(move |c| claims::finish(c, &lease)).await
    }

    async fn release(&self, lease: &Lease, how: Release) -> Result<bool> {
        let lease = lease.clone();
        self.writer.run(move |c| claims::release(c, &lease, how)).await
    }

    async fn forget(&self, unit: UnitId) -> Result<()> {
        self.writer.run(move |c| claims::forget(c, unit)).await
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
        let (item, body) = (item.to_owned(), body.to_owned());
        self.writer.run(move |c| gathers::gather(c, &key, partition, micros(deadline), &item, &body)).await
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
        let after = after.map(str::to_owned);
        self.readers.run(move |c| gathers::items(c, &key, after.as_deref(), limit)).await
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
        let item = item.to_owned();
        self.readers.run(move |c| gathers::item(c, &key, &item)).await
    }

    async fn gathered_count(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<u64> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        self.readers.run(move |c| gathers::count(c, &key)).await
    }

    async fn open_gathers(&self, gatherer: Gatherer, partition: i32, limit: usize) -> Result<Vec<OpenGather>> {
        self.readers.run(move |c| gathers::open_in(c, gatherer, partition, limit)).await
    }

    async fn close_gather(&self, gatherer: Gatherer, tenant: &TenantId, video: VideoId, window: u32) -> Result<()> {
        let key = GatherKey { gatherer, video: VideoKey::new(tenant, video), window };
        self.writer.run(move |c| gathers::close(c, &key)).await
    }

    async fn forget_gathers(&self, tenant: &TenantId, video: VideoId) -> Result<()> {
        let key = VideoKey::new(tenant, video);
        self.writer.run(move |c| gathers::delete(c, &key)).await
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
        let (without, with) = (without.map(str::to_owned), with.map(|(item, body)| (item.to_owned(), body.to_owned())));
        self.writer
            .run(move |c| {
                let with = with.as_ref().map(|(item, body)| (item.as_str(), body.as_slice()));
                gathers::reopen(c, &key, micros(deadline), without.as_deref(), with)
            })
            .await
    }
}

/// The key of what belongs to a video, as the columns hold it.
pub(super) struct VideoKey {
    tenant: String,
    video: String,
}

impl VideoKey {
    fn new(tenant: &TenantId, video: VideoId) -> Self {
        Self { tenant: tenant.to_string(), video: video.to_string() }
    }
}

/// Times are kept in whole microseconds since the Unix epoch.
fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

fn timestamp(micros: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|e| corrupt("read a time", e))
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
