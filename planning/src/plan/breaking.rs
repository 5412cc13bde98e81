//! What gives way first when the load grows, and when.

use serde::Serialize;

use super::carrying::{self, Allowed, Carried, Carries};
use super::runs::{self, Effort, Run};
use super::scenario::{EVENT_BYTES_PER_UNIT, GATHERED_BYTES_PER_S, Limits, MONTH_DAYS, SOUND_BYTES_PER_S, Scenario};
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
    /// What is used today; of what work waits for, the most that would be asked for at once if nothing were limited.
    pub used: f64,
    /// What there is; nothing where no limit was given.
    pub limit: Option<f64>,
    /// In what both are counted.
    pub unit: &'static str,
    /// How much load this limit alone carries before waits miss their target; nothing where there is no limit, or no work
    /// waits for it.
    pub carries: Option<Carries>,
    /// Days until it breaks at the stated growth; 0 if it does already, nothing if that is further than ten years off or
    /// than was tried.
    pub days: Option<f64>,
    /// What happens then, and what to do.
    pub then: String,
}

/// What work waits for when there is too little of it.
struct Held {
    what: &'static str,
    used: f64,
    limit: Option<f64>,
    unit: &'static str,
    /// It alone.
    limits: Limits,
    /// What happens, where waits grow most at the stage that is named.
    then: fn(&str) -> String,
}

/// Finds what each limit allows, the first to break first. `unlimited` are peaks where nothing was limited. Returns nothing if
/// it was stopped.
pub fn find(scenario: &Scenario, unlimited: &[Run], cost_per_month: f64, effort: &Effort<'_>) -> Option<Vec<Breaking>> {
    let allowed = Allowed::of(scenario, unlimited)?;
    let held = [
        workers(scenario, unlimited),
        partitions(scenario, unlimited),
        quota(scenario, unlimited),
        hourly(scenario, unlimited),
    ];
    // A limit is broken when it is in the way by itself: what a plan would ask for at most says little, it can do with less.
    let mut found = runs::each(&held, effort.threads, |held| {
        let Some(_) = held.limit else { return Some(held.breaking(scenario, None)) };
        let carried = carrying::carried(scenario, held.limits.clone(), &allowed, effort)?;
        Some(held.breaking(scenario, Some(carried)))
    })?;
    found.push(disk(scenario, unlimited));
    found.push(monthly(&scenario.limits, cost_per_month));
    let order = |breaking: &Breaking| {
        let times = match breaking.carries {
            Some(Carries::UpTo(times) | Carries::AtLeast(times)) => times,
            None if breaking.limit.is_none() => f64::INFINITY,
            None => 0.0,
        };
        (breaking.days.unwrap_or(f64::INFINITY), times)
    };
    found.sort_by(|a, b| {
        let (a, b) = (order(a), order(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    Some(found)
}

impl Held {
    fn breaking(&self, scenario: &Scenario, carried: Option<Carried>) -> Breaking {
        let carries = carried.as_ref().map(|carried| carried.carries);
        let days = carries.and_then(|carries| match carries {
            Carries::UpTo(times) => days(1.0, times, scenario.limits.growth_per_month),
            Carries::AtLeast(_) => None,
        });
        Breaking {
            what: self.what.to_owned(),
            used: self.used,
            limit: self.limit,
            unit: self.unit,
            carries,
            days,
            then: (self.then)(carried.as_ref().map_or("its stage", |carried| &carried.slowest)),
        }
    }
}

/// Returns the median over runs of a stage's peak, for the stage where it is largest.
fn largest(runs: &[Run], of: impl Fn(&StageOutcome) -> f64) -> f64 {
    let largest = |run: &Run| run.outcome.stages.iter().map(&of).fold(0.0, f64::max);
    quantile(runs.iter().map(largest).collect(), 0.5)
}

fn workers(scenario: &Scenario, unlimited: &[Run]) -> Held {
    let limits = &scenario.limits;
    Held {
        what: "workers of a stage",
        used: largest(unlimited, |stage| f64::from(stage.peak_replicas)),
        limit: Some(f64::from(limits.max_workers)),
        unit: "workers",
        limits: Limits { max_workers: limits.max_workers, ..limits.open() },
        then: |stage| {
            format!(
                "waits at {stage} grow in the peak; raise --max-workers of the autoscaler and the machines behind it"
            )
        },
    }
}

fn partitions(scenario: &Scenario, unlimited: &[Run]) -> Held {
    let limits = &scenario.limits;
    Held {
        what: "partitions of a lane",
        used: largest(unlimited, |stage| {
            (f64::from(stage.peak_in_work) / f64::from(stage.slots_per_worker.max(1))).ceil()
        }),
        limit: Some(f64::from(limits.partitions)),
        unit: "partitions",
        limits: Limits { partitions: limits.partitions, ..limits.open() },
        then: |stage| {
            format!(
                "more workers of {stage} find nothing to do while one lane is that long; more slots a worker (--slots), or a \
                 new cluster with more partitions"
            )
        },
    }
}

fn quota(scenario: &Scenario, unlimited: &[Run]) -> Held {
    let busiest = |run: &Run| {
        let videos = run.outcome.videos.iter();
        let hour = run.busiest_s..run.busiest_s + HOUR_S;
        videos.filter(|video| hour.contains(&video.arrived_at)).count() as f64
    };
    let videos = quantile(unlimited.iter().map(busiest).collect(), 0.5);
    let limits = &scenario.limits;
    Held {
        what: "outside quota of transcribe",
        used: videos * scenario.mix.mean_s() / scenario.mix.sound_piece_s,
        limit: limits.quota_per_hour,
        unit: "pieces an hour",
        limits: Limits { quota_per_hour: limits.quota_per_hour, ..limits.open() },
        then: |_| {
            "pieces of sound wait for the next hour; only with --transcriber api, ask for more or use a transcriber of your own"
                .to_owned()
        },
    }
}

/// What all workers together may cost in an hour: the policy keeps to it.
fn hourly(scenario: &Scenario, unlimited: &[Run]) -> Held {
    let most = |run: &Run| run.workers().iter().map(|(_, workers)| *workers).fold(0.0, f64::max);
    let limits = &scenario.limits;
    Held {
        what: "budget for an hour",
        used: scenario.prices.worker_hour * quantile(unlimited.iter().map(most).collect(), 0.5),
        limit: limits.budget_per_hour,
        unit: "dollars an hour",
        limits: Limits { budget_per_hour: limits.budget_per_hour, ..limits.open() },
        then: |stage| format!("waits at {stage} grow in the peak; raise --budget-per-hour of the autoscaler"),
    }
}

/// What a month may cost: nothing keeps to it.
fn monthly(limits: &Limits, cost_per_month: f64) -> Breaking {
    Breaking {
        what: "budget for a month".to_owned(),
        used: cost_per_month,
        limit: limits.budget_per_month,
        unit: "dollars a month",
        carries: None,
        days: limits.budget_per_month.and_then(|limit| days(cost_per_month, limit, limits.growth_per_month)),
        then: "nothing stops by itself: set the autoscaler's --budget-per-hour, and waits grow instead".to_owned(),
    }
}

/// What waits in the peak, what gatherers' topics keep for a week, and the log of events, which is kept for ever.
fn disk(scenario: &Scenario, unlimited: &[Run]) -> Breaking {
    let mix = &scenario.mix;
    // Pieces of sound and of picture wait in messages; everything else that waits is small.
    let piece_bytes = [mix.sound_piece_s * SOUND_BYTES_PER_S, mix.picture_piece_s * scenario.bytes.source_per_s];
    let peak_bytes = |run: &Run| -> f64 {
        let peak = |place: usize| run.outcome.stages[place].backlog.iter().map(|(_, units)| *units).max().unwrap_or(0);
        let bytes = system::SEGMENTS.iter().zip(piece_bytes).map(|(place, bytes)| f64::from(peak(*place)) * bytes);
        bytes.sum::<f64>() * f64::from(run.grain)
    };
    let waiting = quantile(unlimited.iter().map(peak_bytes).collect(), 0.5);
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
        carries: None,
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
