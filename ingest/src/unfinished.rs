//! Which videos have not ended, of all tenants: read now and then, and what this process accepted since is added. Quotas,
//! shares, estimates and overload are judged by it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{self, Page, SharedStore, StageProgress, State, Video, VideoFilter};

use crate::cached::Cached;

/// How long what was read is used again.
const FRESH: Duration = Duration::from_secs(2);
/// How many unfinished videos of a tenant are looked at in each state; beyond them nothing is counted.
const MOST: usize = 5_000;
/// How long it is remembered that a video was accepted; the next reading is not that far away.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A video that has not ended.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was accepted, and which it is: what is worked on in turn.
    pub place: (Timestamp, VideoId),
    /// Its lane, a guess until it is measured.
    pub lane: Lane,
    /// Whether nothing of it was done.
    pub is_queued: bool,
    /// Its length, once it is measured.
    pub duration_s: Option<f64>,
    /// The share done of each stage that has units.
    pub done: BTreeMap<String, f64>,
}

/// The videos that have not ended. Cheap to clone.
#[derive(Clone, Default)]
pub struct Queue {
    read: Arc<Reading>,
    /// Those accepted since.
    accepted: Vec<Arc<Unfinished>>,
}

#[derive(Default)]
struct Reading {
    begun: Option<Instant>,
    videos: Vec<Unfinished>,
    ids: HashSet<VideoId>,
}

/// Keeps what is known of them.
#[derive(Default)]
pub struct Queues {
    reading: Cached<Reading>,
    accepted: Mutex<VecDeque<(Instant, Arc<Unfinished>)>>,
}

impl Unfinished {
    /// Looks at `video`.
    pub fn of(video: &Video) -> Self {
        let job = &video.new.job;
        let share = |p: &StageProgress| {
            let total = p.totals.iter().sum::<u32>().max(p.done).max(1);
            (p.stage.clone(), f64::from(p.done) / f64::from(total))
        };
        Self {
            tenant: job.tenant(),
            place: video.place(),
            lane: video.state.lane.as_deref().and_then(Lane::from_name).unwrap_or(job.lane()),
            is_queued: video.state() == State::Queued,
            duration_s: video.state.duration_s,
            done: video.state.stages.iter().map(share).collect(),
        }
    }
}

impl Queue {
    /// Goes through all of them.
    pub fn videos(&self) -> impl Iterator<Item = &Unfinished> + Clone {
        self.read.videos.iter().chain(self.accepted.iter().map(Arc::as_ref))
    }

    /// Makes a queue of `videos`.
    #[cfg(test)]
    pub fn of(videos: impl IntoIterator<Item = Unfinished>) -> Self {
        Self { read: Arc::default(), accepted: videos.into_iter().map(Arc::new).collect() }
    }

    /// Returns which videos of `tenant` they are.
    pub fn ids_of(&self, tenant: &TenantId) -> HashSet<VideoId> {
        self.videos().filter(|video| video.tenant == *tenant).map(|video| video.place.1).collect()
    }
}

impl Queues {
    /// Returns the unfinished videos of `tenants`.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn look(&self, store: &SharedStore, tenants: &[TenantId]) -> store::Result<Queue> {
        self.reading.get(FRESH, || read(store, tenants)).await?;
        Ok(self.now())
    }

    /// Returns them as they were last read, with what this process accepted since.
    pub fn now(&self) -> Queue {
        let read = self.reading.last().unwrap_or_default();
        let is_new = |at: &Instant, video: &Unfinished| {
            read.begun.is_none_or(|begun| *at >= begun) && !read.ids.contains(&video.place.1)
        };
        let since = self.lock();
        let accepted = since.iter().filter(|(at, video)| is_new(at, video)).map(|(_, video)| video.clone()).collect();
        drop(since);
        Queue { read, accepted }
    }

    /// Notes that `video` was accepted.
    pub fn accepted(&self, video: &Video) {
        let mut accepted = self.lock();
        while accepted.front().is_some_and(|(at, _)| at.elapsed() > REMEMBERED) {
            accepted.pop_front();
        }
        accepted.push_back((Instant::now(), Arc::new(Unfinished::of(video))));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Arc<Unfinished>)>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(store: &SharedStore, tenants: &[TenantId]) -> store::Result<Reading> {
    let begun = Some(Instant::now());
    let mut videos = Vec::new();
    for tenant in tenants {
        for state in [State::Queued, State::Processing] {
            read_state(store, tenant, state, &mut videos).await?;
        }
    }
    let mut ids = HashSet::new();
    // One that went on between the two states was read twice.
    videos.retain(|video| ids.insert(video.place.1));
    Ok(Reading { begun, videos, ids })
}

async fn read_state(
    store: &SharedStore,
    tenant: &TenantId,
    state: State,
    videos: &mut Vec<Unfinished>,
) -> store::Result<()> {
    let filter = VideoFilter::in_state(state);
    let mut page = Page { after: None, limit: 500 };
    let mut left = MOST;
    loop {
        let found = store.videos(tenant, &filter, &page).await?;
        left = left.saturating_sub(found.items.len());
        videos.extend(found.items.iter().filter(|v| !v.state().is_final()).map(Unfinished::of));
        page.after = found.next;
        if page.after.is_none() || left == 0 {
            return Ok(());
        }
    }
}
