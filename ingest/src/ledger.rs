//! What tenants took of their quotas, beside what the store says of it: videos being uploaded, and when the videos of
//! the last hour or day were accepted.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{self, Page, SharedStore, Video, VideoFilter};

use crate::cached::Cached;

/// How long what was read of accepted videos is used again: other processes accept some too.
const FRESH: Duration = Duration::from_secs(2);
/// How far back is read again each time: clocks of several hosts, and writes on their way.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

/// What all tenants took.
#[derive(Default)]
pub struct Ledger(Mutex<HashMap<TenantId, Arc<Entry>>>);

/// What one tenant took.
#[derive(Default)]
pub struct Entry {
    under_way: Mutex<HashMap<VideoId, usize>>,
    read: Cached<()>,
    /// Its videos within the longest window that counts.
    created: Mutex<BTreeSet<(Timestamp, VideoId)>>,
}

impl Ledger {
    /// Returns the entry of `tenant`.
    pub fn of(&self, tenant: &TenantId) -> Arc<Entry> {
        lock(&self.0).entry(tenant.clone()).or_default().clone()
    }
}

impl Entry {
    /// Reads what was accepted within `window` before `now`, unless it was just done.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn read(
        &self,
        store: &SharedStore,
        tenant: &TenantId,
        window: SignedDuration,
        now: Timestamp,
    ) -> store::Result<()> {
        let begin = now - window;
        self.read.get(FRESH, || self.read_from(store, tenant, begin)).await?;
        let mut created = lock(&self.created);
        while created.first().is_some_and(|(at, _)| *at <= begin) {
            created.pop_first();
        }
        Ok(())
    }

    async fn read_from(&self, store: &SharedStore, tenant: &TenantId, begin: Timestamp) -> store::Result<()> {
        let newest = lock(&self.created).last().map(|(at, _)| *at);
        let begin = newest.map_or(begin, |newest| begin.max(newest - OVERLAP));
        let filter = VideoFilter { from: Some(begin), ..VideoFilter::default() };
        let mut page = Page { after: None, limit: 200 };
        loop {
            let found = store.videos(tenant, &filter, &page).await?;
            lock(&self.created).extend(found.items.iter().map(Video::place));
            page.after = found.next;
            if page.after.is_none() {
                return Ok(());
            }
        }
    }

    /// Returns when videos were accepted within the longest window that counts, earliest first.
    pub fn created(&self) -> Vec<Timestamp> {
        lock(&self.created).iter().map(|(at, _)| *at).collect()
    }

    /// Notes that a video was accepted, for a tenant of which [`Entry::read`] keeps count.
    pub fn accepted(&self, at: Timestamp, video: VideoId) {
        lock(&self.created).insert((at, video));
    }

    /// Gives `decide` the videos that are being uploaded, and if it agrees adds `video` to them, all at once: of many
    /// requests that come together none sees another one's place.
    ///
    /// # Errors
    /// Those of `decide`.
    pub fn begin<T, E>(
        self: &Arc<Self>,
        video: VideoId,
        decide: impl FnOnce(&HashMap<VideoId, usize>) -> Result<T, E>,
    ) -> Result<(T, UnderWay), E> {
        let mut under_way = lock(&self.under_way);
        let decided = decide(&under_way)?;
        *under_way.entry(video).or_default() += 1;
        Ok((decided, UnderWay { entry: self.clone(), video }))
    }
}

/// A video that is being uploaded, until this is dropped.
pub struct UnderWay {
    entry: Arc<Entry>,
    video: VideoId,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = lock(&self.entry.under_way);
        if let Some(count) = under_way.get_mut(&self.video) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.video);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
