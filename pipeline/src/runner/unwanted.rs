//! Whether a video's work is still wanted, asked of the store at most every other second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Job;
use crate::id::{TenantId, VideoId};
use crate::store::{Result, SharedStore};

/// How long an answer is good for.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// How many answers are kept before the old ones are dropped.
const KEPT: usize = 4096;

/// Remembers which videos are cancelled or deleted.
pub(super) struct Unwanted {
    store: SharedStore,
    answers: Mutex<HashMap<(TenantId, VideoId), (bool, Instant)>>,
}

impl Unwanted {
    pub(super) fn new(store: SharedStore) -> Self {
        Self { store, answers: Mutex::default() }
    }

    /// Says whether work for `job` is unwanted.
    pub(super) async fn is(&self, job: &Job) -> Result<bool> {
        let key = (job.tenant(), job.video());
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        if let Some((unwanted, asked)) = known
            && asked.elapsed() < GOOD_FOR
        {
            return Ok(unwanted);
        }
        let unwanted = self.store.is_unwanted(&key.0, key.1).await?;
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= KEPT {
            answers.retain(|_, (_, asked)| asked.elapsed() < GOOD_FOR);
        }
        answers.insert(key, (unwanted, Instant::now()));
        Ok(unwanted)
    }
}
