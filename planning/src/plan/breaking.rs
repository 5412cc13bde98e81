//! What gives way first when the load grows, and when.

use serde::Serialize;

use super::runs::Run;
use super::scenario::{EVENT_BYTES_PER_UNIT, GATHERED_BYTES_PER_S, MONTH_DAYS, SOUND_BYTES_PER_S, Scenario};
use super::system;
use crate::simulate::outcome::{StageOutcome, quantile};

/// No plan looks further ahead, in days.
const FAR_DAYS: f64 = 3653.0;
const HOUR_S: f64 = 3600.0;

/// A limit, and how far it is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Breaking {
    /// What is limited.
    pub what: String,
    /// What would be used today if nothing were limited.
    pub used: f64,
    /// What there is; nothing where no limit was given.
    pub limit: Option<f64>,
    /// In what both are counted.
    pub unit: &'static str,
    /// Days until it is used up at the stated growth; 0 if it is already, nothing if that is further than ten years off.
    pub days: Option<f64>,
    /// What happens then, and what to do.
    pub then: String,
}

/// Finds what each limit allows, the first to break first. `unlimited` are peaks where nothing was limited.
pub fn find(scenario: &Scenario, unlimited: &[&Run], cost_per_month: f64) -> Vec<Breaking> {
    let limits = &scenario.limits;
    let mut found = vec![
        workers(scenario, unlimited),
        partitions(scenario, unlimited),
        disk(scenario, unlimited),
        quota(scenario, unlimited),
        Breaking {
            what: "budget".to_owned(),
            used: cost_per_month,
            limit: limits.budget_per_month,
            unit: "a month",
            days: limits.budget_per_month.and_then(|limit| days(cost_per_month, limit, limits.growth_per_month)),
            then: "nothing stops by itself: set the autoscaler's --budget-per-hour, and waits grow instead".to_owned(),
        },
    ];
    let order = |breaking: &Breaking| breaking.days.unwrap_or(f64::INFINITY);
    found.sort_by(|a, b| order(a).total_cmp(&order(b)));
    found
}

/// Returns the median over runs of a stage's peak, for the stage where it is largest, with the stage's name.
fn largest(scenario: &Scenario, runs: &[&Run], of: impl Fn(usize, &StageOutcome) -> f64) -> (String, f64) {
    let median = |place: usize| quantile(runs.iter().map(|run| of(place, &run.outcome.stages[place])).collect(), 0.5);
    let stages = scenario.costs.stages.iter().enumerate();
    let stages = stages.map(|(place, cost)| (cost.stage.to_owned(), median(place)));
    stages.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

fn workers(scenario: &Scenario, runs: &[&Run]) -> Breaking {
    let (stage, used) = largest(scenario, runs, |_, stage| f64::from(stage.peak_replicas));
    let limit = f64::from(scenario.limits.max_workers);
    Breaking {
        then: format!(
            "waits at {stage} grow in the peak; raise --max-workers of the autoscaler and the machines behind it"
        ),
        what: format!("workers of {stage}"),
        used,
        limit: Some(limit),
        unit: "workers",
        days: days(used, limit, scenario.limits.growth_per_month),
    }
}

fn partitions(scenario: &Scenario, runs: &[&Run]) -> Breaking {
    let slots = |place: usize| f64::from(system::flow(scenario).stages[place].slots_per_worker.max(1));
    let (stage, used) = largest(scenario, runs, |place, stage| (f64::from(stage.peak_in_work) / slots(place)).ceil());
    let limit = f64::from(scenario.limits.partitions);
    Breaking {
        then: format!(
            "more workers of {stage} find nothing to do while one lane is that long; more slots a worker (--slots), or a \
             new cluster with more partitions"
        ),
        what: format!("partitions of a lane of {stage}"),
        used,
        limit: Some(limit),
        unit: "partitions",
        days: days(used, limit, scenario.limits.growth_per_month),
    }
}

/// What waits in the peak, what gatherers' topics keep for a week, and the log of events, which is kept for ever.
fn disk(scenario: &Scenario, runs: &[&Run]) -> Breaking {
    let mix = &scenario.mix;
    // Pieces of sound and of picture wait in messages; everything else that waits is small.
    let piece_bytes = [mix.sound_piece_s * SOUND_BYTES_PER_S, mix.picture_piece_s * scenario.bytes.source_per_s];
    let peak_bytes = |run: &&Run| -> f64 {
        let peak = |place: usize| run.outcome.stages[place].backlog.iter().map(|(_, units)| *units).max().unwrap_or(0);
        let bytes = system::SEGMENTS.iter().zip(piece_bytes).map(|(place, bytes)| f64::from(peak(*place)) * bytes);
        bytes.sum::<f64>() * f64::from(run.grain)
    };
    let waiting = quantile(runs.iter().map(peak_bytes).collect(), 0.5);
    let weights: f64 = mix.lengths.iter().map(|(_, weight)| weight).sum();
    let units = mix
        .lengths
        .iter()
        .map(|(length_s, weight)| system::units(scenario, *length_s).iter().sum::<f64>() * weight / weights);
    let videos = scenario.arrivals.videos_per_day();
    let events_a_day = units.sum::<f64>() * EVENT_BYTES_PER_UNIT * videos;
    let (gathered_per_s, gathered_days) = GATHERED_BYTES_PER_S;
    let gathered = mix.mean_s() * gathered_per_s * gathered_days * videos;
    let used = (waiting + gathered) / 1e9;
    let limit = scenario.limits.broker_disk_gb;
    let daily = (1.0 + scenario.limits.growth_per_month).powf(1.0 / MONTH_DAYS);
    let mut day = 0.0;
    let (mut growth, mut log_gb) = (1.0, 0.0);
    while day < FAR_DAYS && used * growth + log_gb < limit {
        log_gb += events_a_day / 1e9 * growth;
        growth *= daily;
        day += 1.0;
    }
    Breaking {
        what: "brokers' disk".to_owned(),
        used,
        limit: Some(limit),
        unit: "GB, one copy",
        days: (day < FAR_DAYS).then_some(day),
        then: format!(
            "brokers refuse records, stages pause, uploads get 503; of it {:.1} GB wait in the peak, {:.1} GB are kept a week \
             for gatherers, and {:.2} GB of events a day stay for ever",
            waiting / 1e9,
            gathered / 1e9,
            events_a_day / 1e9
        ),
    }
}

fn quota(scenario: &Scenario, runs: &[&Run]) -> Breaking {
    let busiest = |run: &&Run| {
        let videos = run.outcome.videos.iter();
        let hour = run.busiest_s..run.busiest_s + HOUR_S;
        videos.filter(|video| hour.contains(&video.arrived_at)).count() as f64
    };
    let videos = quantile(runs.iter().map(busiest).collect(), 0.5);
    let used = videos * scenario.mix.mean_s() / scenario.mix.sound_piece_s;
    let limit = scenario.limits.quota_per_hour;
    Breaking {
        what: "outside quota of transcribe".to_owned(),
        used,
        limit,
        unit: "pieces an hour",
        days: limit.and_then(|limit| days(used, limit, scenario.limits.growth_per_month)),
        then: "pieces of sound wait for the next hour; only with --transcriber api, ask for more or use a transcriber of your own"
            .to_owned(),
    }
}

/// Returns the days until `used` has grown to `limit`.
fn days(used: f64, limit: f64, growth_per_month: f64) -> Option<f64> {
    if used >= limit {
        return Some(0.0);
    }
    if used <= 0.0 || growth_per_month <= 0.0 {
        return None;
    }
    let days = (limit / used).ln() / (1.0 + growth_per_month).ln() * MONTH_DAYS;
    Some(days).filter(|days| *days < FAR_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_the_growth() {
        assert_eq!(days(100.0, 100.0, 0.2), Some(0.0));
        assert_eq!(days(50.0, 100.0, 1.0).map(f64::round), Some(30.0));
        assert_eq!(days(50.0, 100.0, 0.0), None);
        assert_eq!(days(0.0, 100.0, 0.2), None);
    }
}
