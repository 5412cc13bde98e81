//! One stage: what is known of it, and how many workers that asks for.

use super::bounds::{Bounds, pin_of};
use crate::decision::Inputs;
use crate::forecast::{Forecast, Seen};
use crate::memory::{StageMemory, Totals};
use crate::observation::{Observation, Stage};
use crate::policy::Policy;
use crate::rollforward::{Outlook, Pool, Target};
use crate::trust::Trust;

/// Added to the start-up time for what cannot be helped sooner, in seconds.
const GRACE_S: f64 = 15.0;
/// The share of records that chance alone may make late is e to the minus this.
const LATE_EXPONENT: f64 = 7.0;
/// Share of the wait target that stages after the first plan with: waits add up along the flow.
const LATER_SHARE: f64 = 0.2;
/// What a season's change is measured from, in seconds.
const RECENT_S: f64 = 600.0;
/// Looks ahead at least this long after a new worker would be ready, in seconds.
const AFTER_START_S: f64 = 120.0;

/// What one stage is to have, and what it will pass on.
pub(super) struct Verdict {
    pub replicas: u32,
    pub reason: String,
    pub inputs: Option<Inputs>,
    /// Records it will finish in each step; none if that is not known.
    pub finishes: Vec<f64>,
    /// Records it finished since the last look.
    pub finished: f64,
}

/// What comes from upstream: expected in each step, and finished there since the last look.
pub(super) struct Feeds {
    expected: Vec<f64>,
    finished: f64,
}

/// How a stage with this target and start-up time is steered.
///
/// Where a worker is there well before those who wait must have begun, the queue itself is the buffer: it may stand,
/// and workers may go as soon as it is short. Where it is not, a queue is too late a sign: workers must be enough for
/// what is expected, and stay.
struct Steering {
    up: Target,
    down: Target,
    /// Share of the expected load below which workers never go.
    load_floor: f64,
    /// From 0, where the queue is the buffer, to 1, where it cannot be.
    patience_lack: f64,
}

impl Steering {
    fn new(stage: &Stage, startup_s: f64, is_first: bool) -> Self {
        let slo_s = stage.wait_slo_s;
        let patience = (2.0 * (0.9 * slo_s - startup_s) / slo_s.max(1e-9)).clamp(0.0, 1.0);
        let (up_share, down_share) =
            if is_first { (0.8 + 0.1 * patience, 1.0 - 0.3 * patience) } else { (LATER_SHARE, 0.6 * LATER_SHARE) };
        let up_wait_s = slo_s * up_share;
        let up = Target {
            wait_s: up_wait_s,
            earliest_s: startup_s + GRACE_S,
            horizon_s: (startup_s - up_wait_s).max(0.0) + 60.0 - 30.0 * patience,
        };
        let down = Target { wait_s: slo_s * down_share, earliest_s: 0.0, horizon_s: startup_s + AFTER_START_S };
        Self { up, down, load_floor: 1.0 - 0.5 * patience, patience_lack: 1.0 - patience }
    }
}

impl Steering {
    /// Returns the slots beyond the load that keep chance from making a queue that nobody can be sent to in time.
    ///
    /// With `s` slots to spare those who wait in an M/G/c queue have waits of mean `service (1 + cv^2) / (2 s)`,
    /// exponentially distributed: the share that waits for longer than the target falls by e for each such mean. The
    /// number of slots does not matter, so a small stage needs as many to spare as a large one, but no more than its load
    /// and the deviation of that (`load` slots): where hardly anything comes, hardly anything meets.
    fn spare(&self, stage: &Stage, outlook: &Outlook, load: f64) -> f64 {
        let variation = 1.0 / outlook.phases as f64;
        let mean_s = outlook.service_s * (1.0 + variation) / 2.0;
        let spare = self.patience_lack * LATE_EXPONENT * mean_s / stage.wait_slo_s.max(1e-9);
        spare.min(load + load.sqrt())
    }
}

/// Returns what the stages before `index` will finish, if there are any.
pub(super) fn feeds(seen: &Observation, index: usize, verdicts: &[Verdict]) -> Option<Feeds> {
    let stage = &seen.stages[index];
    let feeding: Vec<usize> = match &stage.fed_by {
        Some(names) => (0..index).filter(|before| names.contains(&seen.stages[*before].stage)).collect(),
        None => index.checked_sub(1).into_iter().collect(),
    };
    if feeding.is_empty() {
        return None;
    }
    let steps = feeding.iter().map(|before| verdicts[*before].finishes.len()).max().unwrap_or(0);
    let expected = (0..steps).map(|step| {
        let each = feeding.iter().map(|before| verdicts[*before].finishes.get(step).copied().unwrap_or(0.0));
        each.sum()
    });
    let finished = feeding.iter().map(|before| verdicts[*before].finished).sum();
    Some(Feeds { expected: expected.collect(), finished })
}

/// Judges stage `index` of what is `seen`.
pub(super) fn judge(
    policy: &Policy,
    own: &mut StageMemory,
    seen: &Observation,
    index: usize,
    feeds: Option<Feeds>,
) -> Verdict {
    let stage = &seen.stages[index];
    let trust = own.judge.judge(seen.at, stage, policy.tick_s, policy.hold_s);
    let service_s = own.service.mean_s(policy.service_s);
    let bounds = Bounds::new(stage, pin_of(seen, stage), service_s);
    match trust {
        Trust::Full => good(policy, own, seen, index, feeds, &bounds),
        Trust::Hold(why) => {
            own.totals = None;
            let held = own.decided.unwrap_or(stage.replicas).clamp(bounds.least, bounds.most);
            Verdict::without_data(held, format!("held at {held}: {why}"))
        }
        Trust::Floor(why) => {
            own.totals = None;
            let lag: f64 = stage.lanes.iter().map(|lane| lane.lag_records()).filter(|lag| *lag > 0.0).sum();
            let slots = f64::from(stage.slots_per_worker.max(1));
            let needs = (lag * service_s / (service_s + stage.wait_slo_s / 2.0) / slots).ceil() as u32;
            let held = own.decided.unwrap_or(stage.replicas).max(stage.replicas);
            let floor = needs.max(held).clamp(bounds.least, bounds.most);
            Verdict::without_data(floor, format!("only up, {held} -> {floor} for a lag of {lag:.0}: {why}"))
        }
    }
}

impl Verdict {
    fn without_data(replicas: u32, reason: String) -> Self {
        Self { replicas, reason, inputs: None, finishes: Vec::new(), finished: 0.0 }
    }
}

fn good(
    policy: &Policy,
    own: &mut StageMemory,
    seen: &Observation,
    index: usize,
    feeds: Option<Feeds>,
    bounds: &Bounds,
) -> Verdict {
    let stage = &seen.stages[index];
    let change = learn(policy, own, seen.at, stage, feeds.as_ref());
    let startup_s = stage.startup_p90_s.unwrap_or_else(|| own.startup.p90_s().unwrap_or(policy.startup_s));
    let steering = Steering::new(stage, startup_s, feeds.is_none());
    let steps = ((steering.down.horizon_s + stage.wait_slo_s) / policy.tick_s).ceil() as usize + 2;
    let coming = match feeds {
        Some(feeds) => Coming::from_upstream(feeds, own.fan_out.ratio(), steps),
        None => Coming::forecast(policy, own, seen, stage, &change, startup_s, steps),
    };

    let slots_per_worker = f64::from(stage.slots_per_worker.max(1));
    let mut outlook = outlook(policy, own, stage, steps);
    let there = stage.workers.ready + stage.workers.starting.len() as u32;
    let pool = Pool { there, ready_from: (startup_s / policy.tick_s).ceil() as usize, slots_per_worker };
    let waiting = outlook.waiting.iter().map(|group| group.1).fold(0.0, |sum, count| sum + count);

    outlook.arrivals.clone_from(&coming.expected);
    let load = coming.rate * outlook.service_s / slots_per_worker;
    let spare = steering.spare(stage, &outlook, load * slots_per_worker) / slots_per_worker;
    let least_load = ((load * steering.load_floor + spare).round() as u32).min(there);
    let enough = outlook.fewest(&steering.down, &pool, bounds.least.min(there), there).max(least_load);
    outlook.arrivals.clone_from(&coming.upper);
    let wait_s = outlook.longest_wait_s(there, &pool);
    let needed = outlook.fewest(&steering.up, &pool, there.min(bounds.most), bounds.most);

    let short = (load * steering.load_floor + 0.5 * spare).floor() as u32;
    let needed = if there < short { needed.max(((load + spare).round() as u32).min(bounds.most)) } else { needed };
    let (replicas, what) = own.scale(policy, seen.at, startup_s, there, needed, enough, bounds);
    let reason = explain(stage, bounds, &coming, &outlook, (waiting, wait_s), (there, replicas), what);
    let horizon = ((startup_s + policy.tick_s) / policy.tick_s) as usize;
    let inputs = Inputs {
        waiting,
        service_s: outlook.service_s,
        startup_s,
        horizon_s: horizon as f64 * policy.tick_s,
        expected: coming.expected.iter().take(horizon).sum(),
        expected_upper: coming.upper.iter().take(horizon).sum(),
        led_by: coming.led_by.to_owned(),
        coverage: coming.coverage,
        wait_s,
        enough,
    };
    let finishes = outlook.finishes(replicas, &pool);
    Verdict { replicas, reason, inputs: Some(inputs), finishes, finished: change.done }
}

/// Takes in what changed since the last look.
fn learn(policy: &Policy, own: &mut StageMemory, at: f64, stage: &Stage, feeds: Option<&Feeds>) -> Totals {
    let now = Totals {
        at,
        arrived: stage.lanes.iter().map(|lane| lane.end_offset_total).sum(),
        done: stage.done_total,
        busy_s: stage.busy_seconds_total,
        media_s: stage.work_done_media_s_total,
        slots_busy: stage.slots_busy,
    };
    let last = own.totals.replace(now).unwrap_or(now);
    let change = Totals {
        at: now.at - last.at,
        arrived: now.arrived - last.arrived,
        done: now.done - last.done,
        busy_s: now.busy_s - last.busy_s,
        media_s: now.media_s - last.media_s,
        slots_busy: now.slots_busy - last.slots_busy,
    };
    own.service.record(change.at, change.done, change.busy_s, change.media_s);
    let begun = (change.slots_busy + change.done).max(0.0);
    own.in_work.advance(change.at, begun, own.service.phases(), own.service.mean_s(policy.service_s));
    own.startup.look(stage.workers.starting.iter().map(|starting| starting.ready_in_s));
    own.arrivals.push(change.arrived);
    if let Some(feeds) = feeds {
        own.fan_out.record(change.at, feeds.finished, change.arrived);
    }
    change
}

/// What will arrive, step by step.
struct Coming {
    expected: Vec<f64>,
    upper: Vec<f64>,
    /// Mean rate that workers must be kept for, in records a second.
    rate: f64,
    led_by: &'static str,
    coverage: f64,
}

impl Coming {
    fn from_upstream(feeds: Feeds, fan_out: f64, steps: usize) -> Self {
        let last = feeds.expected.last().copied().unwrap_or(0.0);
        let step = |step: usize| feeds.expected.get(step).copied().unwrap_or(last) * fan_out;
        let expected: Vec<f64> = (0..steps).map(step).collect();
        Self { upper: expected.clone(), expected, rate: 0.0, led_by: "upstream", coverage: 1.0 }
    }

    fn forecast(
        policy: &Policy,
        own: &mut StageMemory,
        seen: &Observation,
        stage: &Stage,
        change: &Totals,
        startup_s: f64,
        steps: usize,
    ) -> Self {
        let tick_s = policy.tick_s;
        let level = own.arrivals.level(tick_s);
        let phase_s = seen.wall_clock.map_or(seen.at, |clock| clock.as_second() as f64);
        let arrived_total = own.totals.map_or(0.0, |totals| totals.arrived);
        let mut forecast = own.forecaster.forecast(&Seen {
            at: seen.at,
            phase_s,
            tick_s,
            arrived: change.arrived,
            arrived_total,
            level,
            recent_rate: own.arrivals.rate(RECENT_S, tick_s),
            horizon_s: startup_s + tick_s,
        });
        forecast.announced = own.announced(seen, stage, level.rate);
        let (expected, upper) = path(&forecast, tick_s, steps);
        // Workers are let go by what is seen alone: a forecast can keep them, not send them away.
        let rate = level.rate + forecast.beyond.max(0.0) + level.excess.min(0.0);
        Self { expected, upper, rate, led_by: forecast.led_by, coverage: forecast.coverage }
    }
}

/// Returns the arrivals of each step, expected and at the upper band.
fn path(forecast: &Forecast, tick_s: f64, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut expected, mut upper) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
    let (mut expected_before, mut upper_before) = (0.0, 0.0);
    for step in 1..=steps {
        let time_s = step as f64 * tick_s;
        let (expected_now, upper_now) = (forecast.within(time_s), forecast.upper_within(time_s));
        expected.push((expected_now - expected_before).max(0.0));
        upper.push((upper_now - upper_before).max(0.0));
        (expected_before, upper_before) = (expected_now, upper_now);
    }
    (expected, upper)
}

/// Describes the stage as it is, with no arrivals yet.
fn outlook(policy: &Policy, own: &StageMemory, stage: &Stage, steps: usize) -> Outlook {
    let slots_per_worker = f64::from(stage.slots_per_worker.max(1));
    let lag: f64 = stage.lanes.iter().map(|lane| lane.lag_records()).sum();
    let in_draining = f64::from(stage.workers.draining) * slots_per_worker;
    let in_work = own.in_work.scaled_to((stage.slots_busy - in_draining).max(0.0));
    let mut slots = vec![f64::from(stage.workers.ready) * slots_per_worker; steps];
    for starting in &stage.workers.starting {
        let from = (starting.ready_in_s / policy.tick_s).ceil().max(0.0) as usize;
        slots.iter_mut().skip(from).for_each(|slots| *slots += slots_per_worker);
    }
    let partitions: f64 = stage.lanes.iter().map(|lane| f64::from(lane.partitions)).sum();
    let service_s = own.service.mean_s(policy.service_s);
    Outlook {
        step_s: policy.tick_s,
        service_s,
        // A phase shorter than a step would be stretched to one.
        phases: own.service.phases().min((service_s / policy.tick_s) as usize).max(1),
        in_work,
        waiting: own.waiting(policy.tick_s, stage, (lag - stage.slots_busy).max(0.0)),
        arrivals: Vec::new(),
        slots,
        most_in_work: if partitions > 0.0 { partitions * slots_per_worker } else { f64::INFINITY },
    }
}

impl StageMemory {
    /// Returns the queue as groups of records with their age, the oldest first: those that wait came last.
    fn waiting(&self, tick_s: f64, stage: &Stage, total: f64) -> Vec<(f64, f64)> {
        let mut left = total;
        let mut groups = Vec::new();
        for (tick, count) in self.arrivals.newest_first().enumerate() {
            if left <= 0.0 {
                break;
            }
            let group = left.min(count);
            if group > 0.0 {
                groups.push(((tick as f64 + 0.5) * tick_s, group));
            }
            left -= group;
        }
        if left > 0.0 {
            let head_age_s = stage.lanes.iter().map(|lane| lane.head_age_s).fold(0.0, f64::max);
            groups.push((head_age_s, left));
        }
        groups.reverse();
        groups
    }

    /// Returns the uploads under way that the rate does not explain, and the time within which they end.
    ///
    /// By Little's law an upload takes as long as there are uploads under way for one that ends in a second.
    fn announced(&mut self, seen: &Observation, stage: &Stage, rate: f64) -> (f64, f64) {
        let Some(started) = seen.uploads_started_total else { return (0.0, 1.0) };
        let arrived: f64 = stage.lanes.iter().map(|lane| lane.arrived_total).sum();
        let under_way = (started - arrived).max(0.0);
        self.uploads += (under_way - self.uploads) * 0.02;
        let takes_s = (self.uploads / rate.max(1e-3)).clamp(5.0, 300.0);
        ((under_way - rate * takes_s).max(0.0), takes_s)
    }

    /// Chooses the scale: up as soon as it is needed, down when fewer were enough for a while.
    #[expect(clippy::too_many_arguments, reason = "one private caller; each is a number of the decision")]
    fn scale(
        &mut self,
        policy: &Policy,
        at: f64,
        startup_s: f64,
        there: u32,
        needed: u32,
        enough: u32,
        bounds: &Bounds,
    ) -> (u32, What) {
        let wish = if needed > there { needed } else { enough };
        self.enough.push_back((at, wish));
        let window_s = policy.down_window_s.max(startup_s);
        while self.enough.front().is_some_and(|(looked_at, _)| *looked_at < at - window_s) {
            self.enough.pop_front();
        }
        let (scale, what) = if needed > there {
            (needed, What::Up)
        } else {
            let most = self.enough.iter().map(|(_, enough)| *enough).max().unwrap_or(there).min(there);
            // A window that is not full yet is no evidence: after a restart the scale that is there stays.
            let is_full = self.enough.front().is_some_and(|(looked_at, _)| *looked_at <= at - window_s + policy.tick_s);
            let is_clear = is_full && f64::from(most) <= (1.0 - policy.down_band) * f64::from(there);
            if is_clear { (most, What::Down { window_s }) } else { (there, What::Keep) }
        };
        let bounded = scale.clamp(bounds.least, bounds.most);
        let what = match what {
            _ if bounded == there => What::Keep,
            What::Keep => What::Bounded,
            what => what,
        };
        (bounded, what)
    }
}

/// What is done with the scale.
enum What {
    Up,
    Keep,
    /// Only because the bounds say so.
    Bounded,
    Down {
        window_s: f64,
    },
}

fn explain(
    stage: &Stage,
    bounds: &Bounds,
    coming: &Coming,
    outlook: &Outlook,
    (waiting, wait_s): (f64, f64),
    (there, replicas): (u32, u32),
    what: What,
) -> String {
    let minute = (60.0 / outlook.step_s).round() as usize;
    let a_minute: f64 = coming.upper.iter().take(minute).sum();
    let facts = format!(
        "{waiting:.0} wait, up to {a_minute:.0} come within a minute ({}), {:.1} s each; with {there} the longest wait would be {wait_s:.0} s of {:.0} s",
        coming.led_by, outlook.service_s, stage.wait_slo_s
    );
    let limit = if replicas == bounds.most { format!(", at {}", bounds.most_because) } else { String::new() };
    match what {
        What::Up => format!("up {there} -> {replicas}{limit}: {facts}"),
        What::Keep => format!("keep {replicas}{limit}: {facts}"),
        What::Bounded if limit.is_empty() => format!("{there} -> {replicas}, at the minimum: {facts}"),
        What::Bounded => format!("{there} -> {replicas}{limit}: {facts}"),
        What::Down { window_s } => format!("down {there} -> {replicas}: enough for {window_s:.0} s; {facts}"),
    }
}
