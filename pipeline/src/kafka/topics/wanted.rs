//! Topics as they should be, and whether what was found fits.

use rdkafka::admin::ConfigResource;

use crate::kafka::BrokerArgs;
use crate::topic::{MAX_RECORD_BYTES, Topic};

/// A topic as it should be.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) partitions: i32,
    /// Whether it is read as a whole, so that it has one partition whatever is asked for.
    pub(super) is_whole: bool,
    pub(super) retention_ms: i64,
    /// What becomes of older records: `delete` or `compact`.
    pub(super) cleanup: &'static str,
}

/// A topic as it was found. What the brokers do not tell is taken to be right.
#[derive(Default)]
pub(super) struct Found {
    partitions: usize,
    copies: usize,
    max_bytes: Option<i64>,
    retention_ms: Option<i64>,
    in_sync: Option<usize>,
    cleanup: Option<String>,
}

impl Found {
    pub(super) fn new(partitions: usize, copies: usize, settings: &ConfigResource) -> Self {
        let number = |key: &str| text(settings, key)?.parse::<i64>().ok();
        Self {
            partitions,
            copies,
            max_bytes: number("max.message.bytes"),
            retention_ms: number("retention.ms"),
            in_sync: number("min.insync.replicas").and_then(|number| usize::try_from(number).ok()),
            cleanup: text(settings, "cleanup.policy"),
        }
    }
}

impl Wanted {
    /// Returns what does not fit, if something does not.
    pub(super) fn misfit(&self, found: &Found) -> Option<String> {
        let name = &self.name;
        let max_bytes = found.max_bytes.unwrap_or(i64::MAX);
        if max_bytes < MAX_RECORD_BYTES as i64 {
            return Some(format!("topic {name} has max.message.bytes={max_bytes}, {MAX_RECORD_BYTES} is needed"));
        }
        let kept_ms = found.retention_ms.filter(|ms| *ms >= 0).unwrap_or(i64::MAX);
        let needed_ms = if self.retention_ms < 0 { i64::MAX } else { self.retention_ms };
        if kept_ms < needed_ms {
            return Some(format!("topic {name} has retention.ms={kept_ms}, {} is needed", self.retention_ms));
        }
        if let Some(cleanup) = found.cleanup.as_ref().filter(|cleanup| *cleanup != self.cleanup) {
            return Some(format!("topic {name} has cleanup.policy={cleanup}, {} is needed", self.cleanup));
        }
        if self.is_whole && found.partitions > 1 {
            let count = found.partitions;
            return Some(format!(
                "topic {name} has {count} partitions, 1 is needed: what it says is read in one order"
            ));
        }
        let (copies, least) = (found.copies, least_in_sync(found.copies));
        match found.in_sync {
            Some(in_sync) if in_sync < least => Some(format!(
                "topic {name} has min.insync.replicas={in_sync} and {copies} copies, {least} is needed, or records that \
                 count can be lost"
            )),
            Some(in_sync) if copies > 1 && in_sync >= copies => Some(format!(
                "topic {name} has min.insync.replicas={in_sync} and {copies} copies, {least} is needed, or nothing is \
                 written while one broker is away"
            )),
            _ => None,
        }
    }
}

/// Returns how many of a topic's `copies` must have a record before it counts: most of them, if that leaves one to lose.
pub(super) fn least_in_sync(copies: usize) -> usize {
    if copies < 3 { 1 } else { copies / 2 + 1 }
}

/// Returns a setting as the brokers tell it.
pub(super) fn text(settings: &ConfigResource, key: &str) -> Option<String> {
    settings.get(key)?.value.clone()
}

/// Lists every topic.
pub(super) fn wanted(brokers: &BrokerArgs, partitions: i32) -> Vec<Wanted> {
    let of = |topic: Topic| {
        // What is no work is little and read as a whole.
        let is_whole = matches!(
            topic,
            Topic::WorkerReport
                | Topic::WorkerCommand
                | Topic::AutoscalerDecision
                | Topic::AutoscalerPin
                | Topic::DeadLetter(_)
        );
        let partitions = if is_whole { 1 } else { partitions };
        let retention_ms = topic.spec().retention.map_or(-1, |kept| kept.as_millis() as i64);
        let cleanup = if topic.spec().compacted { "compact" } else { "delete" };
        let wanted = move |name| Wanted { name, partitions, is_whole, retention_ms, cleanup };
        brokers.topic_names(topic).into_iter().map(wanted)
    };
    Topic::all().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Wanted {
        Wanted { name: "t".to_owned(), partitions: 1, is_whole: true, retention_ms: -1, cleanup: "delete" }
    }

    #[test]
    fn a_topic_fits_when_it_takes_and_keeps_enough() {
        let enough = || Found { max_bytes: Some(MAX_RECORD_BYTES as i64), ..Found::default() };
        let keeps = |retention_ms| Found { retention_ms: Some(retention_ms), ..enough() };
        let check = |wanted_ms, found: Found, misfit: Option<&str>| {
            let topic = Wanted { retention_ms: wanted_ms, ..topic() };
            let told = topic.misfit(&found);
            assert_eq!(told.is_some(), misfit.is_some(), "{told:?}");
            assert!(misfit.is_none_or(|words| told.unwrap().contains(words)));
        };
        check(1000, keeps(1000), None);
        check(1000, keeps(-1), None);
        check(
            1000,
            Found { max_bytes: Some(1 << 20), ..enough() },
            Some("max.message.bytes=1048576, 8388608 is needed"),
        );
        check(1000, keeps(999), Some("retention.ms=999, 1000 is needed"));
        check(-1, keeps(999), Some("retention.ms=999, -1 is needed"));
        check(-1, Found { partitions: 2, ..enough() }, Some("has 2 partitions, 1 is needed"));
        check(-1, Found { cleanup: Some("compact".to_owned()), ..enough() }, Some("cleanup.policy=compact"));
    }

    #[test]
    fn enough_copies_have_a_record_and_one_may_be_away() {
        for (copies, in_sync, fits) in [
            (1, 1, true),
            (2, 1, true),
            (2, 2, false),
            (3, 1, false),
            (3, 2, true),
            (3, 3, false),
            (5, 2, false),
            (5, 3, true),
            (5, 4, true),
        ] {
            let topic = topic();
            let found = Found { copies, in_sync: Some(in_sync), ..Found::default() };
            let told = topic.misfit(&found);
            assert_eq!(told.is_none(), fits, "{copies} copies, {in_sync}: {told:?}");
        }
    }
}
