//! Keeps what is known up to date: hears the topics, looks at the queues, and adds a point to the history at each tick.

use std::future::pending;
use std::time::Duration;

use anyhow::{Result, anyhow};
use jiff::{SignedDuration, Timestamp};
use pipeline::dead_letter::Record;
use pipeline::event::{Event, SystemState, VideoEvent, WorkerReport};
use pipeline::kafka::BrokerArgs;
use pipeline::kafka::lag::Lags;
use pipeline::kafka::reader::Stored;
use pipeline::kafka::tail::{Heard, Since, follow_all};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::record::Recorded;
use prost::Message;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::history::Point;
use super::recall::recall;
use super::traffic::{self, quantile};
use super::{Seen, State, scaling};

/// How often the queues are looked at while somebody watches.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// So many of those looks are left out while nobody does: what is shown first must still be fresh.
const REST: u32 = 2;
/// How long to wait before brokers that are away are asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// Waits are told of the videos begun within this time, in milliseconds.
pub const WAITS_MS: i64 = 15 * 60_000;

/// Hears and looks until `stop`. Brokers that are away are waited for, and what is known grows stale meanwhile.
///
/// # Errors
/// None so far: a dashboard that cannot see says so and goes on.
pub async fn run(seen: &Seen, brokers: &BrokerArgs, stop: CancellationToken) -> Result<()> {
    tokio::select! {
        () = stop.cancelled() => {}
        () = hear(seen, brokers) => {}
        () = look(seen, brokers) => {}
        () = async { recall(seen, brokers).await; pending().await } => {}
    }
    Ok(())
}

async fn hear(seen: &Seen, brokers: &BrokerArgs) {
    loop {
        let ago = |ms: i64| {
            let now = Timestamp::now();
            Since::Time(now.checked_sub(SignedDuration::from_millis(ms)).unwrap_or(now))
        };
        let mut topics = vec![
            (Topic::WorkerReport, ago(60_000)),
            (Topic::SystemState, ago(60_000)),
            (Topic::VideoEvent, ago(traffic::KEPT_MS)),
            (Topic::AutoscalerDecision, ago(scaling::KEPT_MS)),
            (Topic::AutoscalerPin, Since::Beginning),
        ];
        topics.extend(StageName::ALL.map(|stage| (Topic::DeadLetter(stage), Since::Beginning)));
        match follow_all(brokers, &topics).await {
            Ok(mut records) => {
                seen.write().begin_hearing();
                let error = loop {
                    match records.recv().await {
                        Some(Ok(Heard::Record(topic, record))) => take(&mut seen.write(), topic, record),
                        Some(Ok(Heard::UpToDate)) => seen.write().hearing.up_to_date(),
                        Some(Err(error)) => break error,
                        None => break anyhow!("the client ended"),
                    }
                };
                broke_off(seen, &error);
            }
            Err(error) => broke_off(seen, &error),
        }
        sleep(AGAIN).await;
    }
}

fn broke_off(seen: &Seen, error: &anyhow::Error) {
    warn!(error = format!("{error:#}"), "topics cannot be followed; trying again");
    seen.write().hearing.broke_off(format!("{error:#}"));
}

/// Takes a record in; one that cannot be read is of a version that is not known, and is left out.
fn take(state: &mut State, topic: Topic, record: Stored) {
    if matches!(topic, Topic::WorkerReport | Topic::SystemState) {
        state.hearing.word(Timestamp::now().as_millisecond());
    }
    match topic {
        Topic::WorkerReport => match WorkerReport::decode(&*record.body) {
            Ok(report) => {
                for unit in &report.units {
                    let since_ms = report.at_ms.saturating_sub_unsigned(unit.age_ms);
                    state.traffic.in_hand(&unit.video, report.stage(), since_ms);
                }
                state.workers.hear(report);
            }
            Err(error) => debug!(%error, "a worker's report that cannot be read"),
        },
        Topic::SystemState => match SystemState::decode(&*record.body) {
            Ok(service) => state.service.hear(service),
            Err(error) => debug!(%error, "a state of the service that cannot be read"),
        },
        Topic::VideoEvent => match VideoEvent::read(&record.body) {
            Ok(event) => state.traffic.hear(&event),
            Err(error) => debug!(%error, "an event that cannot be read"),
        },
        Topic::AutoscalerDecision => match serde_json::from_slice::<Recorded>(&record.body) {
            Ok(recorded) => {
                state.slots.told(record.published_ms, &recorded);
                state.scaling.hear(record.published_ms, recorded);
            }
            Err(error) => debug!(%error, "a decision that cannot be read"),
        },
        Topic::AutoscalerPin => {
            let stage = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default());
            state.scaling.hear_pin(record.published_ms, &stage, &record.body);
        }
        Topic::DeadLetter(stage) => state.letters.hear(Record::of(stage, record)),
        _ => {}
    }
}

async fn look(seen: &Seen, brokers: &BrokerArgs) {
    let mut lags: Option<Lags> = None;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rested = REST;
    loop {
        looks.tick().await;
        if seen.followers() == 0 && rested < REST {
            rested += 1;
            continue;
        }
        rested = 0;
        if let Err(error) = look_once(seen, brokers, &mut lags).await {
            debug!(error = format!("{error:#}"), "queues not seen");
            seen.write().queues.trouble = Some(format!("{error:#}"));
        }
        let at_ms = Timestamp::now().as_millisecond();
        let mut state = seen.write();
        state.workers.forget(at_ms);
        state.service.forget(at_ms);
        state.traffic.forget(at_ms);
        state.scaling.forget(at_ms);
        state.slots.forget(at_ms);
        // What is not known to be so now is no point of a plot.
        if state.stale(Timestamp::now()).is_none() {
            let point = point(&state, at_ms);
            state.slots.watched(at_ms, point.ready);
            state.history.add(point);
        }
        drop(state);
        // Told though nothing could be seen: pages show that they are stale.
        seen.tick(at_ms);
    }
}

async fn look_once(seen: &Seen, brokers: &BrokerArgs, lags: &mut Option<Lags>) -> Result<()> {
    let connected = match lags.take() {
        Some(lags) => lags,
        None => Lags::connect(brokers, &StageName::ALL).await?,
    };
    // A client that failed is made anew: topics may have other partitions now.
    let read = connected.read_with_ages().await?;
    *lags = Some(connected);
    seen.write().queues.take(read, Timestamp::now().as_millisecond());
    Ok(())
}

fn point(state: &State, at_ms: i64) -> Point {
    let mut open = [0; Lane::ALL.len()];
    for video in state.traffic.open() {
        open[video.lane.index()] += 1;
    }
    let waits = state.traffic.waits_since(at_ms - WAITS_MS);
    let crew = state.workers.whole();
    let now = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    Point {
        at_ms,
        open,
        waiting: state.waiting_by_lane(),
        wait_p50_s: quantile(&waits, 0.5),
        wait_p95_s: quantile(&waits, 0.95),
        ready: crew.ready,
        target: state.scaling.target(now),
        busy: crew.busy,
        outside_used: state.workers.outside_used(),
        used_percent: (crew.ready > 0).then(|| 100.0 * f64::from(crew.busy) / f64::from(crew.ready)),
        lag: StageName::ALL.map(|stage| state.queues.is_seen(stage).then(|| state.queues.records(stage))),
    }
}
