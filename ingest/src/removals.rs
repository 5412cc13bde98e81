//! Which videos were deleted lately.

use std::sync::{Mutex, PoisonError};

use pipeline::id::{TenantId, VideoId};
use tokio::sync::Notify;

/// Videos deleted lately, to be removed at once. The walk finds what is forgotten here.
#[derive(Default)]
pub struct Removals {
    videos: Mutex<Vec<(TenantId, VideoId)>>,
    notify: Notify,
}

impl Removals {
    /// Asks for the blobs of a deleted video to be removed soon.
    pub fn ask(&self, tenant: TenantId, video: VideoId) {
        const MOST: usize = 10_000;
        let mut videos = self.videos.lock().unwrap_or_else(PoisonError::into_inner);
        if videos.len() < MOST {
            videos.push((tenant, video));
        }
        self.notify.notify_one();
    }

    /// Waits until it is asked for one.
    pub async fn asked(&self) {
        self.notify.notified().await;
    }

    /// Takes what was asked for.
    pub fn take(&self) -> Vec<(TenantId, VideoId)> {
        std::mem::take(&mut *self.videos.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
