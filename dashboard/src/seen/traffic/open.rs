//! A video that has not ended.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use pipeline::event::{UnitDone, VideoEvent};
use pipeline::lane::Lane;
use pipeline::stage::StageName;

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

/// A video that has not ended, as far as its events tell.
#[derive(Debug)]
pub struct Open {
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
    /// When `fetch` was done, and how long the video lay until then without being worked on.
    fetched: Option<(i64, f64)>,
    /// How long it lay until `split` began.
    split_wait_s: Option<f64>,
    first_segment: bool,
}

impl Open {
    /// Begins with the first event that is heard of a video.
    pub fn new(event: &VideoEvent) -> Self {
        Self {
            created_ms: event.at_ms,
            begun_ms: None,
            lane: event.job.lane(),
            busy_s: 0.0,
            heard: Heard::default(),
            fetched: None,
            split_wait_s: None,
            first_segment: false,
        }
    }

    /// Says whether work on its first segment has begun.
    pub const fn has_first_segment(&self) -> bool {
        self.first_segment
    }

    /// Notes a finished unit. With the first segment it returns how long the video lay in queues until then, in seconds:
    /// before `fetch`, before `split`, and that segment itself. The work of `fetch` and `split` is not waiting.
    pub fn note(&mut self, stage: StageName, done: &UnitDone, busy_s: f64) -> Option<f64> {
        let span_s = |from_ms: i64, to_ms: i64| (to_ms - from_ms).max(0) as f64 / 1e3;
        self.busy_s += busy_s;
        self.begun_ms = Some(self.begun_ms.map_or(done.started_ms, |begun_ms| begun_ms.min(done.started_ms)));
        match stage {
            StageName::Fetch => {
                self.fetched = Some((done.finished_ms, span_s(self.created_ms, done.started_ms)));
            }
            StageName::Split => {
                let (fetched_ms, waited_s) = self.fetched.unwrap_or((done.queued_ms, 0.0));
                self.split_wait_s = Some(waited_s + span_s(fetched_ms, done.started_ms));
            }
            StageName::Transcribe | StageName::Analyze if !self.first_segment => {
                self.first_segment = true;
                // A segment may be done before `split` is: what it waited is known then, all but for `split` itself.
                let before_s = self.split_wait_s.or(self.fetched.map(|(_, waited_s)| waited_s)).unwrap_or(0.0);
                return Some(before_s + span_s(done.queued_ms, done.started_ms));
            }
            _ => {}
        }
        None
    }
}
