//! The logs of videos that were looked at lately. A page that is watched is written at each tick, and the log of a long
//! video has thousands of entries: only those that came since are read again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::id::{TenantId, VideoId};
use pipeline::store::{LogEntry, Result, SharedStore};

/// Entries of a log that are read at once.
const AT_ONCE: usize = 500;
/// The most entries that are read: the longest videos that are admitted have fewer.
const MOST: usize = 10_000;
/// How many logs are kept, some megabytes each at the most; those looked at last.
const VIDEOS: usize = 16;

/// Whose log it is.
type Owner = (TenantId, VideoId);

/// The logs of videos that were looked at lately.
#[derive(Default)]
pub struct Logs {
    /// The last looked at comes first.
    kept: Mutex<VecDeque<(Owner, Arc<Vec<LogEntry>>)>>,
}

impl Logs {
    /// Returns what happened to a video so far, in order.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn read(&self, store: &SharedStore, tenant: &TenantId, video: VideoId) -> Result<Arc<Vec<LogEntry>>> {
        let owner = (tenant.clone(), video);
        let mut log = self.find(&owner);
        while log.len() < MOST {
            let after = log.last().map(|entry| entry.seq);
            let more = store.log_after(tenant, video, after, AT_ONCE).await?;
            let is_last = more.len() < AT_ONCE;
            if !more.is_empty() {
                Arc::make_mut(&mut log).extend(more);
            }
            if is_last {
                break;
            }
        }
        self.keep(owner, log.clone());
        Ok(log)
    }

    fn find(&self, owner: &Owner) -> Arc<Vec<LogEntry>> {
        let kept = self.lock();
        kept.iter().find(|(whose, _)| whose == owner).map(|(_, log)| log.clone()).unwrap_or_default()
    }

    fn keep(&self, owner: Owner, log: Arc<Vec<LogEntry>>) {
        let mut kept = self.lock();
        kept.retain(|(whose, _)| *whose != owner);
        kept.push_front((owner, log));
        kept.truncate(VIDEOS);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Owner, Arc<Vec<LogEntry>>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
