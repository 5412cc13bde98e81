//! How long a video still takes, from what the store knows: the timings in the logs of videos finished lately, and
//! what is unfinished now. Reading is cached for moments; the arithmetic is pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pipeline::event::{Happened, UnitDone};
use pipeline::id::TenantId;
use pipeline::store::{self, Page, SharedStore, State, Video, VideoFilter};

use crate::cached::Cached;
use crate::unfinished::{Queue, Unfinished};

/// How long what is known of finished videos is used again.
const COSTS_FRESH: Duration = Duration::from_secs(30);
/// How many finished videos tell what work costs.
const SAMPLE: usize = 5;
/// How many finished videos of a tenant, the newest, tell how fast videos end.
const ENDED: usize = 50;
/// How many entries of a finished video's log are looked at.
const LOG_ENTRIES: usize = 4_000;

/// What is ahead of a video.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Ahead {
    /// Its place among the queued videos of its lane, from 1.
    pub position: Option<u32>,
    /// Seconds until it ends.
    pub seconds: Option<f64>,
}

/// What is known of the cost of videos for now.
#[derive(Default)]
pub struct Forecasts {
    costs: Cached<Option<Costs>>,
}

/// What videos cost lately.
#[derive(Clone, Debug, PartialEq)]
struct Costs {
    /// Seconds a stage works for a second of media.
    busy_per_media: BTreeMap<String, f64>,
    /// How many units were worked on at once while any was.
    units_at_once: f64,
    /// How many seconds of media ended in a second.
    media_per_second: Option<f64>,
    mean_duration_s: f64,
}

impl Forecasts {
    /// Says what is ahead of `video`, one of `tenants`, given all that is unfinished.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn ahead_of(
        &self,
        store: &SharedStore,
        tenants: &[TenantId],
        queue: &Queue,
        video: &Video,
    ) -> store::Result<Ahead> {
        let costs = self.costs.get(COSTS_FRESH, || read_costs(store, tenants)).await?;
        Ok(ahead(queue, (*costs).as_ref(), &Unfinished::of(video)))
    }

    /// Says how long it takes until the next video of `tenant` ends, if anything tells.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn next_end(
        &self,
        store: &SharedStore,
        tenants: &[TenantId],
        queue: &Queue,
        tenant: &TenantId,
    ) -> store::Result<Option<Duration>> {
        let costs = self.costs.get(COSTS_FRESH, || read_costs(store, tenants)).await?;
        let own = queue.videos().filter(|video| video.tenant == *tenant);
        // What is ahead of one lane's first is less than what is ahead of its others: few need to be judged.
        let mut first: BTreeMap<_, &Unfinished> = BTreeMap::new();
        for video in own {
            let known = first.entry((video.lane, video.is_queued)).or_insert(video);
            if video.place < known.place {
                *known = video;
            }
        }
        let ends = first.values().filter_map(|video| ahead(queue, (*costs).as_ref(), video).seconds);
        Ok(ends.min_by(f64::total_cmp).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
    }
}

async fn read_costs(store: &SharedStore, tenants: &[TenantId]) -> store::Result<Option<Costs>> {
    let filter = VideoFilter::in_state(State::Done);
    let mut finished = Vec::new();
    for tenant in tenants {
        finished.extend(store.videos(tenant, &filter, &Page { after: None, limit: ENDED }).await?.items);
    }
    finished.sort_by_key(|video| std::cmp::Reverse(video.state.ended_at));
    finished.truncate(ENDED);
    let mut sample = Vec::new();
    for video in finished.iter().take(SAMPLE) {
        let Some(duration_s) = video.state.duration_s else { continue };
        let log = store.log_after(&video.new.job.tenant(), video.new.job.video(), None, LOG_ENTRIES).await?;
        if log.len() == LOG_ENTRIES {
            continue; // a part of a log would make the video look cheap
        }
        let done = |entry: store::LogEntry| match entry.event.happened {
            Some(Happened::UnitDone(unit)) => Some(unit),
            _ => None,
        };
        sample.push((duration_s, log.into_iter().filter_map(done).collect()));
    }
    let ended = finished.iter().filter_map(|video| Some((video.state.ended_at?, video.state.duration_s?)));
    Ok(Costs::of(&sample, media_per_second(ended.collect())))
}

/// Returns how many seconds of media ended in a second, over all that `ended`; nothing where that tells nothing.
fn media_per_second(mut ended: Vec<(Timestamp, f64)>) -> Option<f64> {
    ended.sort_by_key(|(at, _)| *at);
    let (first, last) = (ended.first()?.0, ended.last()?.0);
    let seconds = last.duration_since(first).as_secs_f64();
    let media_s: f64 = ended.iter().skip(1).map(|(_, duration_s)| duration_s).sum();
    (seconds > 0.0).then(|| media_s / seconds)
}

impl Costs {
    /// Learns from finished videos: their durations and units, and how fast videos ended. Nothing when they tell
    /// nothing.
    fn of(sample: &[(f64, Vec<UnitDone>)], media_per_second: Option<f64>) -> Option<Self> {
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
        let mean_duration_s = media_s / sample.len() as f64;
        Some(Self { busy_per_media, units_at_once, media_per_second, mean_duration_s })
    }

    /// Adds up what `videos` have before them.
    fn work_of<'a>(&self, videos: impl Iterator<Item = &'a Unfinished>) -> Work<'_> {
        let stages: Vec<(&str, f64)> =
            self.busy_per_media.iter().map(|(stage, busy)| (stage.as_str(), *busy)).collect();
        let (mut untouched_s, mut media_s) = (0.0, vec![0.0; stages.len()]);
        for video in videos {
            let duration_s = video.duration_s.unwrap_or(self.mean_duration_s);
            if video.done.is_empty() {
                untouched_s += duration_s; // most of many
                continue;
            }
            for (sum, (stage, _)) in media_s.iter_mut().zip(&stages) {
                *sum += duration_s * (1.0 - video.done.get(*stage).copied().unwrap_or(0.0));
            }
        }
        media_s.iter_mut().for_each(|sum| *sum += untouched_s);
        Work { stages, media_s }
    }

    /// Returns in how many seconds `work` of many videos is done. Both ways to tell take too long: the sample's units
    /// shared the workers with those of other videos, and videos end more slowly than they could while few come.
    fn until_done(&self, work: &Work<'_>) -> f64 {
        let by_units = work.busy_s() / self.units_at_once;
        // What ends in a second, the stage that has the most before it lets through.
        let most = work.media_s.iter().copied().fold(0.0, f64::max);
        self.media_per_second.map_or(by_units, |rate| by_units.min(most / rate))
    }
}

/// What videos have before them.
struct Work<'a> {
    /// Each stage, and how many seconds it works for a second of media.
    stages: Vec<(&'a str, f64)>,
    /// How much media each has to work on, in seconds.
    media_s: Vec<f64>,
}

impl Work<'_> {
    /// Returns how long it keeps workers busy, in seconds.
    fn busy_s(&self) -> f64 {
        self.stages.iter().zip(&self.media_s).map(|((_, busy), media_s)| busy * media_s).sum()
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

/// Judges what is ahead of `video`: whatever came earlier in its lane or a more urgent one is worked on first.
fn ahead(queue: &Queue, costs: Option<&Costs>, video: &Unfinished) -> Ahead {
    let earlier = || queue.videos().filter(|other| other.place < video.place);
    let queued_before = earlier().filter(|o| o.is_queued && o.lane == video.lane).count() as u32;
    let seconds = costs.map(|costs| {
        let before = costs.work_of(earlier().filter(|o| o.lane <= video.lane));
        costs.until_done(&before) + costs.work_of(std::iter::once(video)).busy_s() / costs.units_at_once
    });
    Ahead { position: video.is_queued.then_some(queued_before + 1), seconds }
}

#[cfg(test)]
mod tests {
    use pipeline::id::VideoId;
    use pipeline::lane::Lane;
    use pipeline::stage::StageName;

    use super::*;

    fn unit(stage: StageName, started_ms: i64, finished_ms: i64) -> UnitDone {
        UnitDone { stage: stage as i32, started_ms, finished_ms, ..UnitDone::default() }
    }

    fn waiting(second: i64, lane: Lane) -> Unfinished {
        let place = (Timestamp::from_second(second).expect("a time"), VideoId::random());
        let tenant = TenantId::default_tenant();
        Unfinished { tenant, place, lane, is_queued: true, duration_s: Some(60.0), done: BTreeMap::new() }
    }

    fn costs() -> Costs {
        // One minute: 10 s of analysis and 20 s of transcription side by side from second 0, on two workers.
        let units = vec![unit(StageName::Analyze, 0, 10_000), unit(StageName::Transcribe, 0, 20_000)];
        Costs::of(&[(60.0, units)], None).expect("costs")
    }

    #[test]
    fn a_video_alone_takes_what_the_last_one_took() {
        let video = waiting(1, Lane::Express);
        let found = ahead(&Queue::of([video.clone()]), Some(&costs()), &video);
        assert_eq!(found.position, Some(1));
        assert!((found.seconds.expect("seconds") - 20.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_done_and_what_is_ahead_counts() {
        let mut video = waiting(9, Lane::Express);
        let queue = [waiting(1, Lane::Express), waiting(2, Lane::Batch), waiting(3, Lane::Priority), video.clone()];
        let found = ahead(&Queue::of(queue), Some(&costs()), &video);
        assert_eq!(found.position, Some(2));
        assert!((found.seconds.expect("seconds") - 60.0).abs() < 1e-9);

        video.is_queued = false;
        video.done = [("transcribe".to_owned(), 0.5), ("analyze".to_owned(), 1.0)].into();
        let found = ahead(&Queue::default(), Some(&costs()), &video);
        assert_eq!(found.position, None);
        assert!((found.seconds.expect("seconds") - 10.0 / 1.5).abs() < 1e-9);
    }

    /// Works 500 one-minute videos off on `slots` workers a stage, and asks at the end of the first 40 how long the one
    /// at `place` still takes. Returns that and the truth.
    fn in_a_crowd(slots: usize, place: usize) -> (f64, f64) {
        let stages = [(StageName::Analyze, 10, 1500), (StageName::Transcribe, 2, 6000), (StageName::Cut, 3, 12_000)];
        let mut free: Vec<Vec<i64>> = stages.iter().map(|_| vec![0; slots]).collect();
        let mut videos: Vec<(i64, Vec<UnitDone>)> = Vec::new();
        for _ in 0..500 {
            let (mut units, mut analysed) = (Vec::new(), 0);
            for (index, (stage, count, busy_ms)) in stages.iter().enumerate() {
                for _ in 0..*count {
                    let slot = free[index].iter_mut().min().expect("slots");
                    let started_ms = if *stage == StageName::Cut { analysed.max(*slot) } else { *slot };
                    *slot = started_ms + busy_ms;
                    units.push(unit(*stage, started_ms, *slot));
                }
                let ended = units.iter().map(|unit| unit.finished_ms).max().expect("units");
                analysed = if *stage == StageName::Cut { analysed } else { ended };
            }
            videos.push((units.iter().map(|unit| unit.finished_ms).max().expect("units"), units));
        }
        let now_ms = videos[39].0;
        let at = |ms: i64| Timestamp::from_millisecond(ms).expect("a time");
        let ended = videos[..40].iter().map(|(end_ms, _)| (at(*end_ms), 60.0)).collect();
        let sample: Vec<(f64, Vec<UnitDone>)> = videos[35..40].iter().map(|(_, units)| (60.0, units.clone())).collect();
        let costs = Costs::of(&sample, media_per_second(ended)).expect("costs");
        let left = |(number, (_, units)): (usize, &(i64, Vec<UnitDone>))| {
            let of = |stage: StageName| units.iter().filter(move |unit| unit.stage == stage as i32);
            let share = |stage| of(stage).filter(|u| u.finished_ms <= now_ms).count() as f64 / of(stage).count() as f64;
            let done = stages.iter().map(|(stage, ..)| (stage.to_string(), share(*stage))).collect();
            Unfinished { done, ..waiting(number as i64, Lane::Express) }
        };
        let queue: Vec<Unfinished> = videos.iter().enumerate().skip(40).map(left).collect();
        let told = ahead(&Queue::of(queue.clone()), Some(&costs), &queue[place - 40]);
        (told.seconds.expect("seconds"), (videos[place].0 - now_ms) as f64 / 1000.0)
    }

    #[test]
    fn the_estimate_holds_among_five_hundred() {
        for (slots, place) in [(2, 60), (2, 250), (2, 499), (20, 250), (20, 499)] {
            let (told, truth) = in_a_crowd(slots, place);
            assert!((told / truth - 1.0).abs() < 0.25, "{slots} slots, place {place}: {told:.0} s told, {truth:.0} s");
        }
    }

    #[test]
    fn nothing_is_claimed_when_nothing_is_known() {
        assert_eq!(Costs::of(&[], None), None);
        assert_eq!(Costs::of(&[(60.0, Vec::new())], None), None);
        assert_eq!(ahead(&Queue::default(), None, &waiting(1, Lane::Batch)).seconds, None);
    }
}
