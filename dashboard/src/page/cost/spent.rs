//! What was spent: time of slots at their price.

use pipeline::lane::Lane;
use pipeline::stage::StageName;
use serde::Serialize;

use crate::say;
use crate::seen::traffic::Ended;
use crate::seen::{HOUR_MS, State};

const HOUR_S: f64 = 3600.0;
/// The hours that are told.
const HOURS: i64 = 24;

/// A clock hour.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Hour {
    /// In milliseconds since the Unix epoch.
    pub begins_ms: i64,
    /// Videos that ended in it, however they did.
    pub videos: usize,
    /// Time that slots worked on them, at the price of a slot, in dollars a video.
    pub work_per_video: Option<f64>,
    /// Slots that were ready in it, busy or not, in dollars a video; nothing for an hour of which that is not known.
    pub paid_per_video: Option<f64>,
    /// By lane, the most urgent first.
    pub lanes: [OfLane; Lane::ALL.len()],
}

/// What an hour's videos of one lane cost.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct OfLane {
    pub videos: usize,
    /// In dollars a video.
    pub work_per_video: Option<f64>,
    /// The lane's share of the slots that were ready, by the time for which slots worked for each lane, in dollars a video.
    pub paid_per_video: Option<f64>,
}

/// A stage's share of what was spent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Share {
    pub stage: &'static str,
    /// Units that were finished.
    pub units: usize,
    /// Time that slots worked on them, in seconds.
    pub busy_s: f64,
    /// That at the price of a slot, in dollars.
    pub cost: f64,
    /// Of what all stages cost, 0 to 1.
    pub share: Option<f64>,
}

/// Returns the hours of the last day, the oldest first; the last one is still going on at `now_ms`.
pub fn hours(state: &State, slot_price: f64, now_ms: i64) -> Vec<Hour> {
    let this_hour = now_ms.div_euclid(HOUR_MS);
    let hour = |number: i64| {
        let begins_ms = number * HOUR_MS;
        let of = |ended: &&Ended| ended.at_ms < begins_ms + HOUR_MS;
        let ended: Vec<&Ended> = state.traffic.ended_since(begins_ms).filter(of).collect();
        let (videos, work_per_video) = a_video(&ended, slot_price);
        let paid_s = state.slots.paid_s(begins_ms, (begins_ms + HOUR_MS).min(now_ms));
        let busy_s = state.traffic.busy_s(begins_ms);
        let all_busy_s: f64 = busy_s.iter().sum();
        let each = |paid_s: f64, videos: usize| (videos > 0).then(|| paid_s / HOUR_S * slot_price / videos as f64);
        let lane = |lane: Lane| {
            let own: Vec<&Ended> = ended.iter().copied().filter(|ended| ended.lane == lane).collect();
            let (videos, work_per_video) = a_video(&own, slot_price);
            let share = (all_busy_s > 0.0).then(|| busy_s[lane.index()] / all_busy_s);
            let paid_per_video = paid_s.zip(share).and_then(|(paid_s, share)| each(paid_s * share, videos));
            OfLane { videos, work_per_video, paid_per_video }
        };
        let paid_per_video = paid_s.and_then(|paid_s| each(paid_s, videos));
        Hour { begins_ms, videos, work_per_video, paid_per_video, lanes: Lane::ALL.map(lane) }
    };
    (this_hour - HOURS + 1..=this_hour).map(hour).collect()
}

/// Returns how many videos ended in the hour before `now_ms`, and what the work on one of them cost.
pub fn work(state: &State, slot_price: f64, now_ms: i64) -> (usize, Option<f64>) {
    let ended: Vec<&Ended> = state.traffic.ended_since(now_ms - HOUR_MS).collect();
    a_video(&ended, slot_price)
}

/// Returns what each stage's work of the hour before `now_ms` cost.
pub fn stages(state: &State, slot_price: f64, now_ms: i64) -> Vec<Share> {
    let share = |stage: StageName| {
        let units: Vec<f64> = state.traffic.units_since(stage, now_ms - HOUR_MS).map(|unit| unit.busy_s).collect();
        let busy_s: f64 = units.iter().sum();
        Share { stage: stage.as_str(), units: units.len(), busy_s, cost: busy_s / HOUR_S * slot_price, share: None }
    };
    let mut stages = StageName::ALL.map(share).to_vec();
    stages.retain(|stage| stage.units > 0);
    let all: f64 = stages.iter().map(|stage| stage.busy_s).sum();
    stages.iter_mut().for_each(|stage| stage.share = (all > 0.0).then(|| stage.busy_s / all));
    stages
}

fn a_video(ended: &[&Ended], slot_price: f64) -> (usize, Option<f64>) {
    let busy_s: f64 = ended.iter().map(|ended| ended.busy_s).sum();
    let videos = ended.len();
    (videos, (videos > 0).then(|| busy_s / HOUR_S * slot_price / videos as f64))
}

impl Hour {
    pub fn at(&self) -> String {
        say::moment(say::at(self.begins_ms))
    }

    pub fn dollars(&self, dollars: &Option<f64>) -> String {
        say::price(*dollars)
    }
}

impl Share {
    pub fn busy(&self) -> String {
        say::span(self.busy_s)
    }

    pub fn price(&self) -> String {
        say::price(Some(self.cost))
    }

    pub fn percent(&self) -> String {
        say::percent(self.share)
    }
}

#[cfg(test)]
mod tests {
    use pipeline::event::{Ended as EndedEvent, Happened, Job, Options, UnitDone, VideoEvent};
    use pipeline::id::{TenantId, VideoId};

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;
    const HOUR_BEGAN_MS: i64 = NOW_MS / HOUR_MS * HOUR_MS;

    /// A video that a slot worked on for `busy_s`, ended `ago_ms` ago.
    fn hear(state: &mut State, number: u128, lane: Lane, busy_s: i64, ago_ms: i64) {
        let video: VideoId = format!("{number:032x}").parse().unwrap();
        let job = Job::new(&TenantId::default_tenant(), video, lane, Options::default());
        let ended_ms = NOW_MS - ago_ms;
        let unit = UnitDone {
            stage: StageName::Cut as i32,
            unit: "clip/0".to_owned(),
            started_ms: ended_ms - busy_s * 1000,
            finished_ms: ended_ms,
            ..UnitDone::default()
        };
        for what in [Happened::UnitDone(unit), Happened::Ended(EndedEvent::default())] {
            state.traffic.hear(&VideoEvent::new(&job, say::at(ended_ms), what));
        }
    }

    #[test]
    fn work_is_shared_by_the_videos_of_its_hour_and_lane() {
        let mut state = State::default();
        hear(&mut state, 1, Lane::Express, 3600, 1000);
        hear(&mut state, 2, Lane::Express, 1800, 2000);
        hear(&mut state, 3, Lane::Batch, 7200, 3 * HOUR_MS);
        let hours = hours(&state, 0.04, NOW_MS);
        assert_eq!((hours.len(), hours[23].begins_ms), (24, HOUR_BEGAN_MS));
        assert_eq!((hours[23].videos, hours[23].work_per_video), (2, Some(0.03)));
        assert_eq!(hours[23].lanes[Lane::Express.index()].work_per_video, Some(0.03));
        assert_eq!(hours[23].lanes[Lane::Batch.index()], OfLane::default());
        assert_eq!((hours[20].videos, hours[20].work_per_video, hours[20].paid_per_video), (1, Some(0.08), None));
        assert_eq!(work(&state, 0.04, NOW_MS), (2, Some(0.03)));
        let stages = stages(&state, 0.04, NOW_MS);
        assert_eq!((stages.len(), stages[0].units, stages[0].cost, stages[0].share), (1, 2, 0.06, Some(1.0)));
    }

    #[test]
    fn slots_are_paid_for_an_hour_that_is_known_and_lanes_share_the_idle_ones_by_their_work() {
        let mut state = State::default();
        let hour_before_ms = NOW_MS - HOUR_BEGAN_MS;
        hear(&mut state, 1, Lane::Express, 60, hour_before_ms + 1000);
        hear(&mut state, 2, Lane::Express, 60, hour_before_ms + 2000);
        hear(&mut state, 3, Lane::Batch, 360, hour_before_ms + 3000);
        for second in (0..3600).step_by(2) {
            state.slots.watched(HOUR_BEGAN_MS - HOUR_MS + second * 1000, 3);
        }
        let hours = hours(&state, 0.04, NOW_MS);
        let near = |paid: Option<f64>, expected: f64| {
            let paid = paid.unwrap();
            assert!((paid - expected).abs() < 1e-9, "{paid} instead of {expected}");
        };
        near(hours[22].paid_per_video, 0.12 / 3.0);
        // Of eight minutes of work six were for the lane of one video and two for that of two.
        near(hours[22].lanes[Lane::Batch.index()].paid_per_video, 0.12 * 0.75);
        near(hours[22].lanes[Lane::Express.index()].paid_per_video, 0.12 * 0.25 / 2.0);
        assert_eq!(hours[22].lanes[Lane::Standard.index()].paid_per_video, None);
        assert_eq!((hours[23].paid_per_video, hours[21].paid_per_video), (None, None));
    }
}
