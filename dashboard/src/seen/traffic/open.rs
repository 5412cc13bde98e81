//! A video that has not ended.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use pipeline::event::{UnitDone, VideoEvent};
use pipeline::id::TenantId;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use planning::stages::STAGES;

use crate::say::between_s;

/// Hashes ids of events, so that a video with a thousand of them takes little room.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Which events were heard of a video.
#[derive(Debug, Default)]
pub struct Heard(HashSet<u64>);

impl Heard {
    /// Says whether an event was not heard before.
    pub fn is_new(&mut self, event: &str) -> bool {
        self.0.insert(HASHES.hash_one(event))
    }
}

/// A video that has not ended, as far as its events and those who work on it tell.
#[derive(Debug)]
pub struct Open {
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When its first unit was begun, likewise.
    pub begun_ms: Option<i64>,
    /// Its lane.
    pub lane: Lane,
    /// Time that slots worked on it, in seconds.
    pub busy_s: f64,
    /// Which events were heard of it.
    pub heard: Heard,
    fetch: Step,
    split: Step,
    /// Whether work on a segment of it has begun.
    has_segment_begun: bool,
    /// Whether it was told how long it lay in queues until then.
    is_wait_told: bool,
}

/// A step that a whole video goes through, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    begun_ms: Option<i64>,
    done_ms: Option<i64>,
}

impl Step {
    const fn of(done: &UnitDone) -> Self {
        Self { begun_ms: Some(done.started_ms), done_ms: Some(done.finished_ms) }
    }
}

impl Open {
    /// Begins with the first event that is heard of a video.
    pub fn new(event: &VideoEvent) -> Self {
        Self {
            tenant: event.job.tenant(),
            created_ms: event.at_ms,
            begun_ms: None,
            lane: event.job.lane(),
            busy_s: 0.0,
            heard: Heard::default(),
            fetch: Step::default(),
            split: Step::default(),
            has_segment_begun: false,
            is_wait_told: false,
        }
    }

    /// Goes on with a video that had ended: it was begun before, and waits for no first segment.
    pub fn reopen(&mut self, at_ms: i64) {
        self.begun_ms.get_or_insert(at_ms);
        (self.has_segment_begun, self.is_wait_told) = (true, true);
    }

    /// Notes that a unit of it is in hand since `since_ms`, in milliseconds since the Unix epoch. Gatherers, which only
    /// write down, begin nothing.
    pub fn begin(&mut self, stage: StageName, since_ms: i64) {
        if !STAGES.contains(&stage) {
            return;
        }
        self.begun_ms.get_or_insert(since_ms);
        match stage {
            StageName::Fetch => drop(self.fetch.begun_ms.get_or_insert(since_ms)),
            StageName::Split => drop(self.split.begun_ms.get_or_insert(since_ms)),
            _ => self.has_segment_begun = true,
        }
    }

    /// Returns how long it has lain in queues by `now_ms`, in seconds, if no segment of it was begun: before `fetch`, before
    /// `split`, and after it. The work of the two is not waiting.
    pub fn waits_s(&self, now_ms: i64) -> Option<f64> {
        let after_split_s = self.split.done_ms.map_or(0.0, |done_ms| between_s(done_ms, now_ms));
        (!self.has_segment_begun).then(|| self.before_split_s(now_ms) + after_split_s)
    }

    /// Notes a finished unit. With the first segment it returns how long the video lay in queues until then, in seconds:
    /// before `fetch`, before `split`, and that segment itself.
    pub fn note(&mut self, stage: StageName, done: &UnitDone, busy_s: f64) -> Option<f64> {
        self.busy_s += busy_s;
        self.begun_ms = Some(self.begun_ms.map_or(done.started_ms, |begun_ms| begun_ms.min(done.started_ms)));
        match stage {
            StageName::Fetch => self.fetch = Step::of(done),
            StageName::Split => {
                self.split = Step::of(done);
                // What was before was not heard, and how long it waited is not known.
                self.fetch.begun_ms.get_or_insert(self.created_ms);
                self.fetch.done_ms.get_or_insert(done.queued_ms);
            }
            StageName::Transcribe | StageName::Analyze if !self.is_wait_told => {
                (self.has_segment_begun, self.is_wait_told) = (true, true);
                // A segment may be done before `split` is.
                let before_s = self.fetch.begun_ms.map_or(0.0, |_| self.before_split_s(done.queued_ms));
                return Some(before_s + between_s(done.queued_ms, done.started_ms));
            }
            _ => {}
        }
        None
    }

    fn before_split_s(&self, now_ms: i64) -> f64 {
        let before_fetch_s = between_s(self.created_ms, self.fetch.begun_ms.unwrap_or(now_ms));
        let fetched_ms = self.fetch.done_ms;
        before_fetch_s + fetched_ms.map_or(0.0, |done_ms| between_s(done_ms, self.split.begun_ms.unwrap_or(now_ms)))
    }
}
