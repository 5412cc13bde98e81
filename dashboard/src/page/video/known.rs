//! What the store knows of a video.

use std::sync::Arc;

use jiff::Timestamp;
use pipeline::event::{Clip, Happened, MediaInfo};
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{LogEntry, Result, SharedStore, Video};

use super::logs::Logs;

/// What the store knows of a video.
pub struct Known {
    /// Its row.
    pub video: Video,
    /// What happened to it, in order.
    pub log: Arc<Vec<LogEntry>>,
    /// Its clips, in order of their time.
    pub clips: Vec<Clip>,
}

impl Known {
    /// Reads it, if there is such a video.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn read(store: &SharedStore, logs: &Logs, tenant: &TenantId, video: VideoId) -> Result<Option<Self>> {
        let Some(row) = store.video(tenant, video).await? else { return Ok(None) };
        let mut clips = store.clips(tenant, video).await?;
        clips.retain(|clip| !row.state.dropped.contains(&clip.id));
        let log = logs.read(store, tenant, video).await?;
        Ok(Some(Self { video: row, log, clips }))
    }

    /// Returns what was measured of it, once it is.
    pub fn media(&self) -> Option<&MediaInfo> {
        self.log.iter().rev().find_map(|entry| match &entry.event.happened {
            Some(Happened::Ready(media)) => Some(media),
            _ => None,
        })
    }

    /// Says whether nothing of it is worked on any more.
    pub fn has_ended(&self) -> bool {
        self.video.state().is_final()
    }

    /// Returns until when there is something to tell, in milliseconds since the Unix epoch.
    pub fn until_ms(&self, now: Timestamp) -> i64 {
        let ended_at = self.video.state.ended_at.or(self.video.cancelled_at);
        ended_at.unwrap_or(now).as_millisecond()
    }
}
