//! Gives units up: the dead letter, what the gatherer must hear, and the event.

use jiff::Timestamp;
use tracing::error;

use super::input::Unit;
use crate::event::{Envelope, Event, Happened, Outgoing, UnitFailed, VideoEvent};
use crate::failure::{Code, Failure};
use crate::kafka::{Batch, Header, Headers, Post, Producer};
use crate::lane::Lane;
use crate::metrics;
use crate::outbox::Sink;
use crate::stage::Stage;
use crate::topic::Topic;

/// The longest text that says what was seen, in bytes: it travels in a header and an event.
const DETAIL_BYTES: usize = 2000;

/// Why a unit is given up.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) code: Code,
    pub(super) detail: String,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// When the last of these attempts began, in milliseconds since the Unix epoch, and who made it; nothing where none was
    /// made this time.
    last: Option<(i64, String)>,
}

impl Verdict {
    pub(super) fn new(code: Code, detail: String, attempts: u32) -> Self {
        Self { code, detail: bounded(detail), attempts, last: None }
    }

    /// Says that it follows from an attempt that `worker` began at `started_ms`.
    pub(super) fn after(self, started_ms: i64, worker: &str) -> Self {
        Self { last: Some((started_ms, worker.to_owned())), ..self }
    }
}

/// Cuts a text that says what was seen to what an event and a header may carry.
pub(super) fn bounded(mut detail: String) -> String {
    detail.truncate(detail.floor_char_boundary(DETAIL_BYTES));
    detail
}

/// Gives `unit` up for all to know. May be repeated. The letter comes last: who finds it can rely on it that all others
/// have heard, and a replay's word comes after theirs.
///
/// # Errors
/// When the broker cannot be reached; nothing may be acknowledged then.
pub(super) async fn bury<S: Stage>(producer: &Producer, unit: &Unit, verdict: &Verdict) -> Result<(), Failure> {
    let Verdict { code, detail, attempts, last } = verdict;
    error!(%code, detail, attempts, "unit given up");
    let mut headers = unit.headers.clone();
    headers.set(Header::Tenant, unit.job.tenant().as_str());
    headers.set(Header::Video, unit.job.video().to_string());
    headers.set(Header::Unit, &*unit.key);
    let input = S::In::take(unit.body.clone()).map_err(|error| Failure::Retry(error.into()))?;
    for output in S::failed(&input, *code, detail) {
        producer.publish(output.envelope()).await?;
    }
    // A failure to record an event must not become an event to record.
    if S::In::TOPIC != Topic::VideoEvent {
        let (started_ms, worker) = last.clone().unwrap_or_default();
        let failed = UnitFailed {
            stage: S::NAME as i32,
            unit: unit.key.to_string(),
            code: code.as_str().to_owned(),
            detail: detail.clone(),
            letter: unit.letter().to_owned(),
            started_ms,
            worker,
            attempts: *attempts,
        };
        let event = VideoEvent::new(&unit.job, Timestamp::now(), Happened::UnitFailed(failed));
        producer.publish(Envelope::of(&event)).await?;
    }
    write::<S>(producer, headers, verdict, S::In::TOPIC, unit.lane, &unit.body).await?;
    metrics::dead_letter(S::NAME, verdict.code);
    Ok(())
}

/// Sets bytes aside that are no message of the stage.
///
/// # Errors
/// As [`bury`].
pub(super) async fn bury_unreadable<S: Stage>(
    producer: &Producer,
    headers: Headers,
    lane: Lane,
    body: &[u8],
    why: String,
) -> Result<(), Failure> {
    error!(why, bytes = body.len(), "message unreadable");
    let verdict = Verdict::new(Code::MessageUnreadable, why, 1);
    write::<S>(producer, headers, &verdict, S::In::TOPIC, lane, body).await?;
    metrics::dead_letter(S::NAME, verdict.code);
    Ok(())
}

async fn write<S: Stage>(
    producer: &Producer,
    mut headers: Headers,
    verdict: &Verdict,
    read_from: Topic,
    lane: Lane,
    body: &[u8],
) -> Result<(), Failure> {
    headers.set(Header::Stage, S::NAME.as_str());
    headers.set(Header::Code, verdict.code.as_str());
    headers.set(Header::Detail, &verdict.detail);
    headers.set(Header::Attempts, verdict.attempts.to_string());
    headers.set(Header::Topic, read_from.name(lane));
    headers.set(Header::Lane, lane.as_str());
    let topic = Topic::DeadLetter(S::NAME);
    let batch = Batch::default();
    producer.post(Post { topic, lane, key: None, video: None, headers: &headers, body }, &batch).await?;
    batch.acknowledged().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_cut_between_letters() {
        let verdict = Verdict::new(Code::Damaged, "é".repeat(DETAIL_BYTES), 1);
        assert_eq!(verdict.detail.len(), DETAIL_BYTES);
        assert_eq!(
            Verdict::new(Code::Damaged, format!("a{}", "é".repeat(DETAIL_BYTES)), 1).detail.len(),
            DETAIL_BYTES - 1
        );
    }
}
