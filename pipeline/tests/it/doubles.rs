//! A store in memory, as far as the runner needs one.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use jiff::Timestamp;
use pipeline::event::Clip;
use pipeline::id::{ClipId, TenantId, UnitId, VideoId};
use pipeline::store::{
    Claim, Contents, Created, Error, Gatherer, Lease, LogEntry, NewVideo, OpenGather, Page, Paged, Release, Result,
    Store, Video, VideoFilter, VideoState,
};

/// A claim's row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub attempt: u32,
    pub failures: u32,
    pub lone_deaths: u32,
    pub suspect: bool,
    pub alone: bool,
    pub finished: bool,
    pub owner: String,
    pub until: Option<Timestamp>,
}

/// Claims in memory, and switches for what may go wrong.
#[derive(Default)]
pub struct Claims {
    pub rows: Mutex<HashMap<UnitId, Row>>,
    pub unwanted: Mutex<HashSet<VideoId>>,
    pub down: AtomicBool,
    pub ran_alone: AtomicUsize,
}

impl Claims {
    pub fn row(&self, unit: UnitId) -> Row {
        self.rows.lock().unwrap().get(&unit).cloned().unwrap_or_default()
    }

    pub fn total_failures(&self) -> u32 {
        self.rows.lock().unwrap().values().map(|row| row.failures).sum()
    }

    /// Takes the unit's claim away from whoever has it.
    pub fn steal(&self, unit: UnitId) {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.get_mut(&unit).unwrap();
        row.attempt += 1;
        row.until = Some(Timestamp::now() + Duration::from_millis(400));
    }

    fn owned<T>(&self, lease: &Lease, change: impl FnOnce(&mut Row) -> T) -> Result<Option<T>> {
        self.answer()?;
        let mut rows = self.rows.lock().unwrap();
        let row = rows.get_mut(&lease.unit).filter(|row| row.attempt == lease.attempt && row.until.is_some());
        Ok(row.map(change))
    }

    fn answer(&self) -> Result<()> {
        if self.down.load(Ordering::SeqCst) { Err(Error::Unavailable(anyhow!("switched off"))) } else { Ok(()) }
    }
}

fn not_here<T>() -> Result<T> {
    Err(Error::Unavailable(anyhow!("not in this double")))
}

#[async_trait]
impl Store for Claims {
    async fn ping(&self) -> Result<()> {
        self.answer()
    }

    async fn is_unwanted(&self, _: &TenantId, video: VideoId) -> Result<bool> {
        Ok(self.unwanted.lock().unwrap().contains(&video))
    }

    async fn claim(&self, unit: UnitId, owner: &str, now: Timestamp, lease: Duration) -> Result<Claim> {
        self.answer()?;
        let mut rows = self.rows.lock().unwrap();
        let row = rows.entry(unit).or_default();
        match row.until {
            _ if row.finished => return Ok(Claim::Finished),
            Some(until) if until > now => return Ok(Claim::Held { until }),
            Some(_) if row.owner != owner => {
                row.suspect = true;
                row.lone_deaths += u32::from(std::mem::take(&mut row.alone));
            }
            Some(_) | None => row.alone = false,
        }
        owner.clone_into(&mut row.owner);
        row.attempt += 1;
        row.until = Some(now + lease);
        let lease = Lease { unit, attempt: row.attempt };
        Ok(Claim::Granted { lease, failures: row.failures, suspect: row.suspect, lone_deaths: row.lone_deaths })
    }

    async fn run_alone(&self, lease: &Lease) -> Result<bool> {
        self.ran_alone.fetch_add(1, Ordering::SeqCst);
        Ok(self.owned(lease, |row| row.alone = true)?.is_some())
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool> {
        Ok(self.owned(lease, |row| row.until = Some(until))?.is_some())
    }

    async fn finish(&self, lease: &Lease) -> Result<bool> {
        Ok(self.owned(lease, |row| (row.finished, row.until) = (true, None))?.is_some())
    }

    async fn release(&self, lease: &Lease, how: Release) -> Result<bool> {
        let free = |row: &mut Row| {
            (row.until, row.alone) = (None, false);
            row.failures += u32::from(how == Release::Failed);
        };
        Ok(self.owned(lease, free)?.is_some())
    }

    async fn forget(&self, unit: UnitId) -> Result<()> {
        self.rows.lock().unwrap().remove(&unit);
        Ok(())
    }

    async fn contents(&self) -> Result<Contents> {
        not_here()
    }

    async fn begin_rebuild(&self) -> Result<()> {
        not_here()
    }

    async fn end_rebuild(&self) -> Result<()> {
        not_here()
    }

    async fn create_video(&self, _: &NewVideo) -> Result<Created> {
        not_here()
    }

    async fn mark_published(&self, _: &TenantId, _: VideoId) -> Result<()> {
        not_here()
    }

    async fn unpublished(&self, _: Timestamp, _: usize) -> Result<Vec<NewVideo>> {
        not_here()
    }

    async fn video(&self, _: &TenantId, _: VideoId) -> Result<Option<Video>> {
        not_here()
    }

    async fn videos(&self, _: &TenantId, _: &VideoFilter, _: &Page) -> Result<Paged<Video>> {
        not_here()
    }

    async fn cancel_video(&self, _: &TenantId, _: VideoId, _: Timestamp) -> Result<bool> {
        not_here()
    }

    async fn delete_video(&self, _: &TenantId, _: VideoId, _: Timestamp) -> Result<()> {
        not_here()
    }

    async fn log(&self, _: &LogEntry, _: &VideoState, _: Option<&Clip>) -> Result<bool> {
        not_here()
    }

    async fn log_after(&self, _: &TenantId, _: VideoId, _: Option<i64>, _: usize) -> Result<Vec<LogEntry>> {
        not_here()
    }

    async fn clips(&self, _: &TenantId, _: VideoId) -> Result<Vec<Clip>> {
        not_here()
    }

    async fn clip(&self, _: &TenantId, _: VideoId, _: ClipId) -> Result<Option<Clip>> {
        not_here()
    }

    async fn gather(
        &self,
        _: Gatherer,
        _: &TenantId,
        _: VideoId,
        _: u32,
        _: i32,
        _: Timestamp,
        _: &str,
        _: &[u8],
    ) -> Result<bool> {
        not_here()
    }

    async fn gathered(
        &self,
        _: Gatherer,
        _: &TenantId,
        _: VideoId,
        _: u32,
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        not_here()
    }

    async fn gathered_item(&self, _: Gatherer, _: &TenantId, _: VideoId, _: u32, _: &str) -> Result<Option<Vec<u8>>> {
        not_here()
    }

    async fn gathered_count(&self, _: Gatherer, _: &TenantId, _: VideoId, _: u32) -> Result<u64> {
        not_here()
    }

    async fn open_gathers(&self, _: Gatherer, _: i32, _: usize) -> Result<Vec<OpenGather>> {
        not_here()
    }

    async fn close_gather(&self, _: Gatherer, _: &TenantId, _: VideoId, _: u32) -> Result<()> {
        not_here()
    }

    async fn forget_gathers(&self, _: &TenantId, _: VideoId) -> Result<()> {
        not_here()
    }

    async fn reopen_gather(
        &self,
        _: Gatherer,
        _: &TenantId,
        _: VideoId,
        _: u32,
        _: Timestamp,
        _: Option<&str>,
        _: Option<(&str, &[u8])>,
    ) -> Result<bool> {
        not_here()
    }
}
