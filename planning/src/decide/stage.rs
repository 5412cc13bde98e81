//! One stage: what is known of it, and how many workers that asks for.

use super::bounds::{Bounds, most_in_work, pin_of, quota_of};
use super::coming::{Coming, Feeds, Output};
use super::reason::{What, explain};
use super::steering::Steering;
use crate::decision::{InLane, Inputs};
use crate::measure::InWork;
use crate::memory::{StageMemory, Totals};
use crate::mix::{self, LaneTotals, LaneWork};
use crate::observation::{self, Breaker, Observation, Stage};
use crate::policy::Policy;
use crate::rollforward::{Outlook, Pool};
use crate::trust::Trust;

/// Nothing takes longer than this to start, in seconds: what is seen may say anything.
const LONGEST_START_S: f64 = 86_400.0;
/// Looks ahead at most so many ticks: more than a day of those that are usual.
const MOST_STEPS: usize = 20_000;

/// What one stage is to have, and what it will pass on.
pub(super) struct Verdict {
    pub replicas: u32,
    pub reason: String,
    pub inputs: Option<Inputs>,
    /// Fewest workers that it may be left with.
    pub least: u32,
    pub output: Output,
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
    let service_s = own.service.mean_s();
    let down = what_is_down(seen, stage);
    // A quota may be what it waits for: it is no reason to let workers go that are needed once there is more.
    let quota = quota_of(stage, service_s).filter(|_| down.is_none());
    let bounds = Bounds::new(stage, pin_of(seen, stage), quota);
    match trust {
        Trust::Full => good(policy, own, seen, index, feeds, &bounds, down),
        Trust::Hold(why) | Trust::Floor(why) if let Some(words) = down => {
            own.totals = None;
            let held = own.hold(stage.replicas, &bounds);
            let reason = format!("held at {held}, more or fewer would change nothing: {words}; {why}");
            Verdict::without_data(held, reason, &bounds)
        }
        Trust::Hold(why) => {
            own.totals = None;
            let held = own.decided.unwrap_or(stage.replicas).clamp(bounds.least, bounds.most);
            Verdict::without_data(held, format!("held at {held}: {why}"), &bounds)
        }
        Trust::Floor(why) => {
            own.totals = None;
            let lags = stage.lanes.iter().map(|lane| lane.lag_records().max(0.0));
            let (lag, slots) = (lags.clone().sum::<f64>(), f64::from(stage.slots_per_worker.max(1)));
            let needs = lag * service_s / (service_s + stage.wait_slo_s / 2.0);
            let needs = (needs.min(most_in_work(stage, lags)) / slots).ceil() as u32;
            let held = own.decided.unwrap_or(stage.replicas).max(stage.replicas);
            let floor = needs.max(held).clamp(bounds.least, bounds.most);
            let reason = format!("only up, {held} -> {floor} for a lag of {lag:.0}: {why}");
            Verdict::without_data(floor, reason, &bounds)
        }
    }
}

/// Says what `stage` waits for, if its workers are paused.
fn what_is_down<'a>(seen: &'a Observation, stage: &Stage) -> Option<&'a str> {
    let concerns = |breaker: &&Breaker| breaker.stage.is_empty() || breaker.stage == stage.stage;
    seen.breakers.iter().find(concerns).map(|breaker| breaker.reason.as_str())
}

impl Verdict {
    fn without_data(replicas: u32, reason: String, bounds: &Bounds) -> Self {
        Self { replicas, reason, inputs: None, least: bounds.least, output: Output::default() }
    }
}

fn good(
    policy: &Policy,
    own: &mut StageMemory,
    seen: &Observation,
    index: usize,
    feeds: Option<Feeds>,
    bounds: &Bounds,
    down: Option<&str>,
) -> Verdict {
    let stage = &seen.stages[index];
    let change = learn(own, (seen.at, policy.tick_s), stage, feeds.as_ref());
    match down {
        None => own.learn_work(stage, &change),
        Some(_) => own.in_work = InWork::default(),
    }
    let startup_s = stage.startup_p90_s.or_else(|| own.startup.p90_s()).unwrap_or(policy.startup_s);
    let startup_s = startup_s.min(LONGEST_START_S);
    let level = own.arrivals.level(policy.tick_s);
    let steering = Steering::new(stage, startup_s, feeds.is_none(), &level);
    let steps = ((steering.down.horizon_s + stage.wait_slo_s) / policy.tick_s).ceil() as usize;
    let steps = steps.min(MOST_STEPS) + 2;
    let coming = match feeds {
        Some(feeds) => Coming::from_upstream(feeds, own.fan_out.ratio(), steps),
        None => Coming::forecast(policy, own, (seen, stage), &change, (level, steering.patience), startup_s, steps),
    };

    let slots_per_worker = f64::from(stage.slots_per_worker.max(1));
    let lanes = own.mix.lanes(stage, coming.most(), &own.service);
    let mut outlook = outlook(policy, own, stage, steps, &lanes);
    let there = stage.workers.ready.saturating_add(stage.workers.starting.len() as u32);
    let pool = Pool { there, ready_from: (startup_s / policy.tick_s).ceil() as usize, slots_per_worker };
    let waiting = outlook.waiting.iter().map(|group| group.1).fold(0.0, |sum, count| sum + count);
    // More than can have work at once are not asked for; those that are there go when fewer are enough.
    let upper = bounds.narrowed((outlook.most_in_work / slots_per_worker).ceil() as u32);

    outlook.arrivals.clone_from(&coming.expected);
    let load = coming.rate * mix::mean_s(&lanes, |lane| lane.comes, outlook.service_s) / slots_per_worker;
    let spare = steering.spare(stage, &outlook, load * slots_per_worker) / slots_per_worker;
    let least_load = ((load * steering.load_floor + spare).round() as u32).min(there);
    let enough = outlook.fewest(&steering.down, &pool, bounds.least.min(there), there).max(least_load);
    outlook.arrivals.clone_from(&coming.upper);
    let begun = outlook.begun(there, &pool);
    let wait_s = outlook.longest_wait_s(&begun);
    let needed = outlook.fewest_from_there(&steering.up, &pool, &begun, upper.most);

    let short = (load * steering.load_floor + 0.5 * spare).floor() as u32;
    let needed = if there < short { needed.max(((load + spare).round() as u32).min(upper.most)) } else { needed };
    let (replicas, what) = match down {
        None => own.scale(policy, seen.at, startup_s, there, needed, enough, bounds),
        Some(words) => (own.hold(there, bounds), What::Held(words)),
    };
    let bound = if replicas > there { &upper } else { bounds };
    let reason = explain(stage, bound, &coming, &outlook, (waiting, wait_s), (there, replicas), what);
    let known = inputs(policy, own, stage, startup_s, &coming, outlook.service_s, &lanes);
    let inputs = Inputs { waiting, wait_s, enough, ..known };
    outlook.arrivals.clone_from(&coming.onward);
    // Nobody knows when it goes on: what is stuck in it is no reason to start workers behind it.
    let finishes = if down.is_none() { outlook.finishes(replicas, &pool) } else { Vec::new() };
    let output = Output { finishes, finished: (change.at > 0.0).then_some(change.done) };
    Verdict { replicas, reason, inputs: Some(inputs), least: bounds.least, output }
}

/// Writes down what was measured and what is expected.
fn inputs(
    policy: &Policy,
    own: &StageMemory,
    stage: &Stage,
    startup_s: f64,
    coming: &Coming,
    service_s: f64,
    lanes: &[LaneWork],
) -> Inputs {
    let horizon = ((startup_s + policy.tick_s) / policy.tick_s) as usize;
    let in_lane =
        |(lane, work): (&observation::Lane, &LaneWork)| work.cost.map(|cost| InLane { lane: lane.lane.clone(), cost });
    Inputs {
        service_s,
        record_variation: own.service.record_variation(),
        startup_s,
        horizon_s: horizon as f64 * policy.tick_s,
        expected: coming.expected.iter().take(horizon).sum(),
        expected_upper: coming.upper.iter().take(horizon).sum(),
        led_by: coming.led_by.to_owned(),
        coverage: coming.coverage,
        lanes: stage.lanes.iter().zip(lanes).filter_map(in_lane).collect(),
        ..Inputs::default()
    }
}

/// Takes in what changed since the last look.
fn learn(own: &mut StageMemory, (at, tick_s): (f64, f64), stage: &Stage, feeds: Option<&Feeds>) -> Totals {
    let now = Totals {
        at,
        arrived: stage.lanes.iter().map(|lane| lane.end_offset_total).sum(),
        done: stage.done_total,
        busy_s: stage.busy_seconds_total,
        media_s: stage.work_done_media_s_total,
        slots_busy: stage.slots_busy,
        lanes: LaneTotals::of(stage),
    };
    let last = own.totals.replace(now.clone()).unwrap_or_else(|| now.clone());
    let change = Totals {
        at: now.at - last.at,
        arrived: now.arrived - last.arrived,
        done: now.done - last.done,
        busy_s: now.busy_s - last.busy_s,
        media_s: now.media_s - last.media_s,
        slots_busy: now.slots_busy - last.slots_busy,
        lanes: now.lanes.iter().zip(&last.lanes).map(|(now, last)| now.since(last)).collect(),
    };
    own.mix.arrive(change.at, stage, &change.lanes);
    own.startup.look(stage.workers.starting.iter().map(|starting| starting.ready_in_s));
    // A late look is no burst: what came meanwhile counts for as many ticks as have passed.
    let ticks = (change.at / tick_s).round().max(1.0);
    (0..ticks as usize).for_each(|_| own.arrivals.push(change.arrived / ticks));
    // What arrived while it is not known what was finished, or the other way round, tells of no ratio.
    if let Some(finished) = feeds.and_then(|feeds| feeds.finished)
        && change.at > 0.0
    {
        own.fan_out.record(change.at, finished, change.arrived);
    }
    change
}

/// Describes the stage as it is, with no arrivals yet.
fn outlook(policy: &Policy, own: &StageMemory, stage: &Stage, steps: usize, lanes: &[LaneWork]) -> Outlook {
    let slots_per_worker = f64::from(stage.slots_per_worker.max(1));
    let lag: f64 = stage.lanes.iter().map(|lane| lane.lag_records()).sum();
    let in_draining = f64::from(stage.workers.draining) * slots_per_worker;
    let mut slots = vec![f64::from(stage.workers.ready) * slots_per_worker; steps];
    for starting in &stage.workers.starting {
        let from = (starting.ready_in_s / policy.tick_s).ceil().max(0.0) as usize;
        slots.iter_mut().skip(from).for_each(|slots| *slots += slots_per_worker);
    }
    let service_s = mix::mean_s(lanes, |lane| lane.here + lane.comes, own.service.mean_s());
    // A phase shorter than a step would be stretched to one.
    let phases = own.service.phases().min((service_s / policy.tick_s) as usize).max(1);
    Outlook {
        step_s: policy.tick_s,
        service_s,
        phases,
        in_work: own.in_work.scaled_to((stage.slots_busy - in_draining).max(0.0), phases),
        waiting: own.waiting(policy.tick_s, stage, (lag - stage.slots_busy).max(0.0)),
        arrivals: Vec::new(),
        slots,
        most_in_work: most_in_work(stage, lanes.iter().map(|lane| lane.here + lane.comes)),
    }
}

impl StageMemory {
    /// Takes in the work that was done since the last look. What was done while something was down says nothing of what
    /// work costs, and what was in hand begins anew.
    fn learn_work(&mut self, stage: &Stage, change: &Totals) {
        self.service.record(change.at, change.done, change.busy_s, change.media_s);
        self.mix.work(change.at, stage, &change.lanes);
        let begun = (change.slots_busy + change.done).max(0.0);
        self.in_work.advance(change.at, begun, self.service.phases(), self.service.mean_s());
    }

    /// Keeps the scale that is `there`, as far as `bounds` let it. How few were enough before is forgotten: workers go only
    /// when fewer were enough for a whole window of work.
    fn hold(&mut self, there: u32, bounds: &Bounds) -> u32 {
        self.enough.clear();
        there.clamp(bounds.least, bounds.most)
    }

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
    ) -> (u32, What<'static>) {
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
