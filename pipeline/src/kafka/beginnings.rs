//! From where a member of a group reads the partitions it is given.
//!
//! Left to itself, librdkafka asks for the first record of each partition that has no stored position, and these questions
//! go the same way as those for records: whichever comes after the first of those waits out `fetch.wait.max.ms` at the
//! broker, and until then the partition brings nothing. Who is told where to begin does not ask.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};
use tracing::debug;

/// From which `fetch.wait.max.ms` on a question of one's own is worth it.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// How long the stored positions are waited for; without them librdkafka finds out itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says in `partitions`, which are about to be assigned, where each is read from: where its group is, or its very first
/// record. When that is gone the broker says so at once, and `auto.offset.reset` finds the first one left. Blocks for the
/// coordinator's answer. With a short `fetch_wait` nothing is asked or said.
pub(super) fn settle<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &TopicPartitionList,
    fetch_wait: Duration,
) {
    if fetch_wait < LONG_WAIT || partitions.count() == 0 {
        return;
    }
    let stored = match consumer.committed_offsets(partitions.clone(), PATIENCE) {
        Ok(stored) => stored,
        Err(error) => return debug!(%error, "stored positions not heard"),
    };
    for mut partition in partitions.elements() {
        let Some(found) = stored.find_partition(partition.topic(), partition.partition()) else { continue };
        let begin = match (found.error(), found.offset()) {
            (Ok(()), Offset::Invalid) => Offset::Offset(0),
            (Ok(()), stored @ Offset::Offset(_)) => stored,
            _ => continue,
        };
        if let Err(error) = partition.set_offset(begin) {
            debug!(%error, "beginning not set");
        }
    }
}
