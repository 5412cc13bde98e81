//! How long a video still takes, from what the store knows: the timings in the logs of videos finished lately, and
//! what is unfinished now. Reading is cached for moments; the arithmetic is pure.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline::event::{Happened, UnitDone};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{self, Page, SharedStore, State, Video, VideoFilter};

/// How long what is known of unfinished videos is used again.
const QUEUE_FRESH: Duration = Duration::from_secs(2);
/// How long what is known of finished videos is used again.
const COSTS_FRESH: Duration = Duration::from_secs(30);
/// How many finished videos are looked at.
const SAMPLE: usize = 5;
/// How many entries of a finished video's log are looked at.
const LOG_ENTRIES: usize = 4_000;
/// How many unfinished videos are looked at; a video beyond them has no estimate.
const QUEUE_VIDEOS: usize = 5_000;

/// What is ahead of a video.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Ahead {
    /// Its place among the queued videos of its lane, from 1.
    pub position: Option<u32>,
    /// Seconds until it ends.
    pub seconds: Option<f64>,
}

/// What is known for now, by tenant.
#[derive(Default)]
pub struct Forecasts {
    queues: Cache<Vec<Unfinished>>,
    costs: Cache<Option<Costs>>,
}

type Cache<T> = Mutex<HashMap<TenantId, (Instant, Arc<T>)>>;

/// A video that has not ended.
#[derive(Clone, Debug)]
struct Unfinished {
    place: (Timestamp, VideoId),
    lane: Lane,
    is_queued: bool,
    duration_s: Option<f64>,
    /// The share done of each stage that has units.
    done: BTreeMap<String, f64>,
}

/// What videos cost lately.
#[derive(Clone, Debug, PartialEq)]
struct Costs {
    /// Seconds a stage works for a second of media.
    busy_per_media: BTreeMap<String, f64>,
    /// How many units were worked on at once while any was.
    units_at_once: f64,
    mean_duration_s: f64,
}

impl Forecasts {
    /// Says what is ahead of `video`.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn ahead_of(&self, store: &SharedStore, video: &Video) -> store::Result<Ahead> {
        let tenant = video.new.job.tenant();
        let queue = fresh(&self.queues, &tenant, QUEUE_FRESH, || read_queue(store, &tenant)).await?;
        let costs = fresh(&self.costs, &tenant, COSTS_FRESH, || read_costs(store, &tenant)).await?;
        Ok(ahead(&queue, (*costs).as_ref(), &Unfinished::of(video)))
    }
}

/// Returns what is cached, or reads it anew. While one caller reads, others go on with what there was.
async fn fresh<T, F>(
    cache: &Cache<T>,
    tenant: &TenantId,
    for_how_long: Duration,
    read: impl FnOnce() -> F,
) -> store::Result<Arc<T>>
where
    F: Future<Output = store::Result<T>>,
{
    {
        let mut known = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read_at, value)) = known.get_mut(tenant) {
            let value = value.clone();
            if read_at.elapsed() < for_how_long {
                return Ok(value);
            }
            *read_at = Instant::now();
        }
    }
    let value = Arc::new(read().await?);
    cache.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), (Instant::now(), value.clone()));
    Ok(value)
}

async fn read_queue(store: &SharedStore, tenant: &TenantId) -> store::Result<Vec<Unfinished>> {
    let mut queue = Vec::new();
    for state in [State::Queued, State::Processing] {
        let filter = VideoFilter { state: Some(state), lane: None };
        let mut page = Page { after: None, limit: 500 };
        loop {
            let found = store.videos(tenant, &filter, &page).await?;
            queue.extend(found.items.iter().filter(|v| !v.state().is_final()).map(Unfinished::of));
            page.after = found.next;
            if page.after.is_none() || queue.len() >= QUEUE_VIDEOS {
                break;
            }
        }
    }
    Ok(queue)
}

async fn read_costs(store: &SharedStore, tenant: &TenantId) -> store::Result<Option<Costs>> {
    let filter = VideoFilter { state: Some(State::Done), lane: None };
    let finished = store.videos(tenant, &filter, &Page { after: None, limit: SAMPLE }).await?;
    let mut sample = Vec::new();
    for video in &finished.items {
        let Some(duration_s) = video.state.duration_s else { continue };
        let log = store.log_after(tenant, video.new.job.video(), None, LOG_ENTRIES).await?;
        if log.len() == LOG_ENTRIES {
            continue; // a part of a log would make the video look cheap
        }
        let done = |entry: store::LogEntry| match entry.event.happened {
            Some(Happened::UnitDone(unit)) => Some(unit),
            _ => None,
        };
        sample.push((duration_s, log.into_iter().filter_map(done).collect()));
    }
    Ok(Costs::of(&sample))
}

impl Costs {
    /// Learns from finished videos: their durations and units. Nothing when they tell nothing.
    fn of(sample: &[(f64, Vec<UnitDone>)]) -> Option<Self> {
        let media_s: f64 = sample.iter().map(|(duration_s, _)| duration_s).sum();
        let units = || sample.iter().flat_map(|(_, units)| units).filter(|u| u.finished_ms > u.started_ms);
        let mut spans: Vec<(i64, i64)> = units().map(|u| (u.started_ms, u.finished_ms)).collect();
        let (busy_ms, covered_ms) = (spans.iter().map(|(a, b)| b - a).sum::<i64>(), covered(&mut spans));
        if media_s <= 0.0 || covered_ms == 0 {
            return None;
        }
        let mut busy_per_media = BTreeMap::new();
        for unit in units() {
            let share = (unit.finished_ms - unit.started_ms) as f64 / 1000.0 / media_s;
            *busy_per_media.entry(unit.stage().to_string()).or_default() += share;
        }
        let units_at_once = busy_ms as f64 / covered_ms as f64;
        Some(Self { busy_per_media, units_at_once, mean_duration_s: media_s / sample.len() as f64 })
    }

    /// Returns how long a video still keeps workers busy, in seconds.
    fn left(&self, video: &Unfinished) -> f64 {
        let duration_s = video.duration_s.unwrap_or(self.mean_duration_s);
        let left = |stage: &String| 1.0 - video.done.get(stage).copied().unwrap_or(0.0);
        self.busy_per_media.iter().map(|(stage, busy)| busy * duration_s * left(stage)).sum()
    }
}

/// Returns the time covered by at least one of `spans`.
fn covered(spans: &mut [(i64, i64)]) -> i64 {
    spans.sort_unstable();
    let (mut total, mut end) = (0, i64::MIN);
    for &mut (from, to) in spans {
        total += (to - from.max(end)).max(0);
        end = end.max(to);
    }
    total
}

impl Unfinished {
    fn of(video: &Video) -> Self {
        let job = &video.new.job;
        let share = |p: &store::StageProgress| {
            let total = p.totals.iter().sum::<u32>().max(p.done).max(1);
            (p.stage.clone(), f64::from(p.done) / f64::from(total))
        };
        Self {
            place: (video.new.created_at, job.video()),
            lane: video.state.lane.as_deref().and_then(Lane::from_name).unwrap_or(job.lane()),
            is_queued: video.state() == State::Queued,
            duration_s: video.state.duration_s,
            done: video.state.stages.iter().map(share).collect(),
        }
    }
}

/// Judges what is ahead of `video`: whatever came earlier in its lane or a more urgent one is worked on first.
fn ahead(queue: &[Unfinished], costs: Option<&Costs>, video: &Unfinished) -> Ahead {
    let earlier = || queue.iter().filter(|other| other.place < video.place);
    let queued_before = earlier().filter(|o| o.is_queued && o.lane == video.lane).count() as u32;
    let seconds = costs.map(|costs| {
        let before: f64 = earlier().filter(|o| o.lane <= video.lane).map(|o| costs.left(o)).sum();
        (before + costs.left(video)) / costs.units_at_once
    });
    Ahead { position: video.is_queued.then_some(queued_before + 1), seconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::stage::StageName;

    fn unit(stage: StageName, started_ms: i64, finished_ms: i64) -> UnitDone {
        UnitDone { stage: stage as i32, started_ms, finished_ms, ..UnitDone::default() }
    }

    fn waiting(second: i64, lane: Lane) -> Unfinished {
        let place = (Timestamp::from_second(second).expect("a time"), VideoId::random());
        Unfinished { place, lane, is_queued: true, duration_s: Some(60.0), done: BTreeMap::new() }
    }

    fn costs() -> Costs {
        // One minute: 10 s of analysis and 20 s of transcription side by side from second 0, on two workers.
        let units = vec![unit(StageName::Analyze, 0, 10_000), unit(StageName::Transcribe, 0, 20_000)];
        Costs::of(&[(60.0, units)]).expect("costs")
    }

    #[test]
    fn a_video_alone_takes_what_the_last_one_took() {
        let video = waiting(1, Lane::Express);
        let found = ahead(std::slice::from_ref(&video), Some(&costs()), &video);
        assert_eq!(found.position, Some(1));
        assert!((found.seconds.expect("seconds") - 20.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_done_and_what_is_ahead_counts() {
        let mut video = waiting(9, Lane::Express);
        let queue = [waiting(1, Lane::Express), waiting(2, Lane::Batch), waiting(3, Lane::Priority), video.clone()];
        let found = ahead(&queue, Some(&costs()), &video);
        assert_eq!(found.position, Some(2));
        assert!((found.seconds.expect("seconds") - 60.0).abs() < 1e-9);

        video.is_queued = false;
        video.done = [("transcribe".to_owned(), 0.5), ("analyze".to_owned(), 1.0)].into();
        let found = ahead(&[], Some(&costs()), &video);
        assert_eq!(found.position, None);
        assert!((found.seconds.expect("seconds") - 10.0 / 1.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_claimed_when_nothing_is_known() {
        assert_eq!(Costs::of(&[]), None);
        assert_eq!(Costs::of(&[(60.0, Vec::new())]), None);
        assert_eq!(ahead(&[], None, &waiting(1, Lane::Batch)).seconds, None);
    }
}
