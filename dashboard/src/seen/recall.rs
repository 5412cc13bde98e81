//! Slots of the day before the dashboard began, by what the autoscaler told then. They are read aside from what is followed,
//! for they are much, and one record a minute is enough of them.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use pipeline::kafka::BrokerArgs;
use pipeline::kafka::reader::{self, Stored};
use pipeline::topic::Topic;
use planning::record::Recorded;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::Seen;
use super::slots::{KEPT_MS, Slots};

/// How long to wait before brokers that are away are asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// Partitions that are read at once: nobody waits for it.
const AT_ONCE: usize = 1;

/// Takes in what was told of the minutes that are not known, once; brokers that are away are waited for.
pub async fn recall(seen: &Seen, brokers: &BrokerArgs) {
    while let Err(error) = read(seen, brokers).await {
        warn!(error = format!("{error:#}"), "the slots of the last day are not known yet; trying again");
        sleep(AGAIN).await;
    }
    info!("the slots of the last day are known as far as an autoscaler told of them");
}

async fn read(seen: &Seen, brokers: &BrokerArgs) -> Result<()> {
    let now = Timestamp::now();
    let since = now.checked_sub(SignedDuration::from_millis(KEPT_MS)).unwrap_or(now);
    let spans = reader::spans_since(brokers, Topic::AutoscalerDecision, since).await?;
    let take = async |record| {
        take(&mut seen.write().slots, &record);
        Ok(())
    };
    reader::for_each(brokers, spans, AT_ONCE, take).await
}

/// Takes a record of a minute of which nothing is known; the others are not even decoded, which would be most of the work.
fn take(slots: &mut Slots, record: &Stored) {
    if slots.is_known(record.published_ms) {
        return;
    }
    match serde_json::from_slice::<Recorded>(&record.body) {
        Ok(recorded) => slots.told(record.published_ms, &recorded),
        Err(error) => debug!(%error, "a decision that cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use planning::observation::{Stage, Workers};

    use super::*;
    use crate::seen::scaling::made;

    #[test]
    fn one_record_of_each_minute_that_is_not_known_is_taken() {
        let mut slots = Slots::default();
        slots.watched(0, 7);
        for second in (0..180).step_by(5) {
            let workers = Workers { ready: if second % 60 == 0 { 2 } else { 5 }, ..Workers::default() };
            let tick = made::tick([Stage { workers, ..made::stage("cut") }], []);
            let body = serde_json::to_vec(&tick).unwrap();
            let (published_ms, headers) = (second * 1000, Default::default());
            take(&mut slots, &Stored { partition: 0, offset: second, published_ms, headers, key: None, body });
        }
        assert_eq!([slots.paid_s(0, 60_000), slots.paid_s(60_000, 180_000)], [Some(420.0), Some(240.0)]);
    }
}
