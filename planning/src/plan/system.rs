//! The stages and their work as the simulator wants them: this product's, and the system's that it replaces.

use pipeline::lane::Lane;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::time::Duration;

use super::scenario::Scenario;
use crate::cost::StageCost;
use crate::simulate::flow::{Flow, Spread, StageSpec};
use crate::simulate::load::{Kind, Load, Video, Work};

/// Stages that a video passes before its segments are there, by place.
pub const BEFORE: [usize; 2] = [0, 1];
/// Stages that take segments, by place.
pub const SEGMENTS: [usize; 2] = [2, 3];
/// What each stage waits for, by place: `transcribe` and `analyze` run side by side.
pub(super) const AFTER: [&[usize]; 6] = [&[], &[0], &[1], &[1], &[2, 3], &[4]];
/// Units of a worker at once: `fetch` mostly waits for the network.
const SLOTS: [u32; 6] = [4, 1, 1, 1, 1, 1];
/// The place of the stage that asks an outside transcriber.
const TRANSCRIBE: usize = 2;
/// More units than this are simulated as fewer, longer ones.
const MOST_UNITS: f64 = 600_000.0;

/// Workers of the system that this one replaces.
pub const OLD_WORKERS: u32 = 20;
/// What a video takes in it, in seconds: 180 videos an hour with 20 workers.
const OLD_VIDEO_S: f64 = 400.0;
/// Standard deviation over mean of that: six steps whose times are even within their ranges.
const OLD_VARIATION: f64 = 0.194;

/// Returns the stages of this product.
pub fn flow(scenario: &Scenario) -> Flow {
    let (machines, limits) = (&scenario.machines, &scenario.limits);
    let stage = |(place, cost): (usize, &StageCost)| StageSpec {
        name: cost.stage.to_owned(),
        after: AFTER[place].to_vec(),
        partitions: limits.partitions,
        slots_per_worker: SLOTS[place],
        startup: machines.startup(),
        min_replicas: machines.min_workers.min(limits.max_workers),
        max_replicas: limits.max_workers,
        wait_slo_s: machines.wait_target_s,
        cost_per_worker_hour: scenario.prices.worker_hour,
        quota_per_hour: limits.quota_per_hour.filter(|_| place == TRANSCRIBE),
    };
    let stages = scenario.costs.stages.iter().enumerate().map(stage).collect();
    Flow { stages, tick_s: machines.tick_s, budget_per_hour: limits.budget_per_hour }
}

/// Returns the videos that come within `span_s`, drawn from `seed`, with `grain` pieces simulated as one.
pub fn load(scenario: &Scenario, span_s: (f64, f64), seed: u64, grain: u32) -> Load {
    let kinds = scenario.mix.lengths.iter().map(|(length_s, _)| kind(scenario, *length_s, grain)).collect();
    let mut rng = Pcg64Mcg::seed_from_u64(seed ^ 0x1e47);
    let weights: f64 = scenario.mix.lengths.iter().map(|(_, weight)| weight).sum();
    let video = |arrives_at: f64| {
        let mut left = rng.random_range(0.0..1.0) * weights;
        let heavier = |(_, weight): &(f64, f64)| {
            left -= weight;
            left < 0.0
        };
        let kind = scenario.mix.lengths.iter().position(heavier).unwrap_or(0);
        let is_urgent = rng.random_range(0.0..1.0) < scenario.mix.priority_share;
        let length = Duration::from_secs_f64(scenario.mix.lengths[kind].0);
        Video { arrives_at, lane: if is_urgent { Lane::Priority } else { Lane::for_duration(length) }, kind }
    };
    let videos = scenario.arrivals.draw(span_s, seed).into_iter().map(video).collect();
    Load { videos, kinds, seed }
}

/// Returns how many pieces are to be simulated as one, so that `videos` make no more units than can be simulated soon.
pub fn grain(scenario: &Scenario, videos: f64) -> u32 {
    let mix = &scenario.mix;
    let pieces = videos * mix.mean_s() * (1.0 / mix.picture_piece_s + 1.0 / mix.sound_piece_s);
    // A limit on units needs units as they are.
    if scenario.limits.quota_per_hour.is_some() { 1 } else { (pieces / MOST_UNITS).ceil().max(1.0) as u32 }
}

/// Returns how many units one simulated unit of each stage stands for: only pieces are simulated several as one.
pub(super) fn stands_for(grain: u32) -> Vec<u32> {
    (0..AFTER.len()).map(|place| if SEGMENTS.contains(&place) { grain } else { 1 }).collect()
}

/// Returns how many units each stage has for a video of `length_s` seconds.
pub fn units(scenario: &Scenario, length_s: f64) -> [f64; 6] {
    let mix = &scenario.mix;
    let pieces = |piece_s: f64| (length_s / piece_s).ceil().max(1.0);
    [1.0, 1.0, pieces(mix.sound_piece_s), pieces(mix.picture_piece_s), 1.0, f64::from(mix.clips(length_s).0)]
}

fn kind(scenario: &Scenario, length_s: f64, grain: u32) -> Kind {
    let clips_s = scenario.mix.clips(length_s).1 * f64::from(scenario.mix.clips(length_s).0);
    let work = |(cost, (units, stands_for)): (&StageCost, (f64, u32))| {
        let media_s = if cost.stage == "cut" { clips_s } else { length_s };
        let units = (units / f64::from(stands_for)).ceil();
        let mean_s = cost.busy_s_per_media_s * media_s / units;
        // Of longer pieces each varies less.
        let cv = scenario.costs.variation / f64::from(stands_for).sqrt();
        Work { units: units as u32, service: Spread { mean_s, cv } }
    };
    let units = units(scenario, length_s).into_iter().zip(stands_for(grain));
    Kind { media_s: length_s, work: scenario.costs.stages.iter().zip(units).map(work).collect() }
}

/// Returns the system that this one replaces: twenty workers, each takes a video through all steps, first come, first
/// served.
pub fn old_flow(tick_s: f64) -> Flow {
    let worker = StageSpec {
        name: "everything".to_owned(),
        partitions: OLD_WORKERS,
        slots_per_worker: 1,
        min_replicas: OLD_WORKERS,
        max_replicas: OLD_WORKERS,
        wait_slo_s: 120.0,
        ..StageSpec::default()
    };
    Flow { stages: vec![worker], tick_s, budget_per_hour: None }
}

/// Returns the same videos as [`load`] for it; what is long takes it no longer, as far as is known.
pub fn old_load(scenario: &Scenario, span_s: (f64, f64), seed: u64) -> Load {
    let service = Spread { mean_s: OLD_VIDEO_S, cv: OLD_VARIATION };
    let kinds = vec![Kind { media_s: scenario.mix.mean_s(), work: vec![Work { units: 1, service }] }];
    let video = |arrives_at: f64| Video { arrives_at, lane: Lane::Standard, kind: 0 };
    Load { videos: scenario.arrivals.draw(span_s, seed).into_iter().map(video).collect(), kinds, seed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pieces_are_simulated_several_as_one_and_the_work_stays_the_same() {
        assert_eq!(stands_for(7), [1, 1, 7, 7, 1, 1]);
        let scenario = Scenario::of_users(1, 8);
        let (fine, coarse) = (kind(&scenario, 600.0, 1), kind(&scenario, 600.0, 7));
        let units = |kind: &Kind| kind.work.iter().map(|work| work.units).collect::<Vec<_>>();
        assert_eq!(units(&fine), [1, 1, 20, 100, 1, 3]);
        assert_eq!(units(&coarse), [1, 1, 3, 15, 1, 3]);
        for (fine, coarse) in fine.work.iter().zip(&coarse.work) {
            let busy_s = |work: &Work| f64::from(work.units) * work.service.mean_s;
            assert!((busy_s(coarse) / busy_s(fine) - 1.0).abs() < 1e-9, "{coarse:?} {fine:?}");
        }
    }
}
