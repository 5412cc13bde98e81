//! Creates the topics that are missing and checks those that are there.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use super::BrokerArgs;
use crate::topic::{MAX_RECORD_BYTES, Topic};

/// How long the broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Creates every topic that is missing, with `partitions` partitions, and checks the others.
///
/// # Errors
/// When the broker cannot be reached, or a topic that is there differs in what matters.
pub async fn ensure(brokers: &BrokerArgs, partitions: i32) -> Result<()> {
    let there = partition_counts(brokers).await?;
    let wanted = wanted(brokers, partitions);
    let missing: Vec<&Wanted> = wanted.iter().filter(|topic| !there.contains_key(&topic.name)).collect();
    for topic in &wanted {
        if let Some(&count) = there.get(&topic.name)
            && count < topic.partitions
        {
            bail!(
                "topic {} has {count} partitions, {} are wanted; see `spillway topics`",
                topic.name,
                topic.partitions
            );
        }
    }
    if !missing.is_empty() {
        create(brokers, &missing).await?;
        wait_until_known(brokers, &missing).await?;
    }
    check(brokers).await
}

/// Checks that every topic is there and takes records as large and keeps them as long as they need.
///
/// # Errors
/// One line that names the first topic that does not fit, or that the broker cannot be reached.
pub async fn check(brokers: &BrokerArgs) -> Result<()> {
    let there = partition_counts(brokers).await?;
    let wanted = wanted(brokers, 1);
    if let Some(missing) = wanted.iter().find(|topic| !there.contains_key(&topic.name)) {
        bail!("topic {} is missing; create the topics with `spillway topics`", missing.name);
    }
    for topic in Topic::all() {
        let counts: Vec<i32> = brokers.topic_names(topic).iter().map(|name| there[name]).collect();
        if counts.iter().any(|count| *count != counts[0]) {
            bail!("the lanes of topic {} have different numbers of partitions: {counts:?}", topic.base());
        }
    }
    let admin = admin(brokers)?;
    let resources: Vec<ResourceSpecifier<'_>> =
        wanted.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let described = admin.describe_configs(&resources, &options()).await.context("ask for the topics' settings")?;
    for (topic, described) in wanted.iter().zip(described) {
        let described = described.map_err(|code| anyhow::anyhow!("topic {}: {code}", topic.name))?;
        let number = |key: &str| described.get(key)?.value.as_deref()?.parse::<i64>().ok();
        topic.fits(number("max.message.bytes"), number("retention.ms"))?;
    }
    Ok(())
}

/// A topic as it should be.
struct Wanted {
    name: String,
    partitions: i32,
    retention_ms: i64,
}

impl Wanted {
    fn fits(&self, max_bytes: Option<i64>, retention_ms: Option<i64>) -> Result<()> {
        let max_bytes = max_bytes.unwrap_or(i64::MAX);
        if max_bytes < MAX_RECORD_BYTES as i64 {
            bail!("topic {} takes records of {max_bytes} bytes, {MAX_RECORD_BYTES} are needed", self.name);
        }
        let kept_ms = retention_ms.filter(|ms| *ms >= 0).unwrap_or(i64::MAX);
        let needed_ms = if self.retention_ms < 0 { i64::MAX } else { self.retention_ms };
        if kept_ms < needed_ms {
            bail!("topic {} keeps records for {kept_ms} ms, retention.ms={} is needed", self.name, self.retention_ms);
        }
        Ok(())
    }
}

fn wanted(brokers: &BrokerArgs, partitions: i32) -> Vec<Wanted> {
    let of = |topic: Topic| {
        // Reports and dead letters are few and read as a whole.
        let partitions = if matches!(topic, Topic::WorkerReport | Topic::DeadLetter(_)) { 1 } else { partitions };
        let retention_ms = topic.spec().retention.map_or(-1, |kept| kept.as_millis() as i64);
        brokers.topic_names(topic).into_iter().map(move |name| Wanted { name, partitions, retention_ms })
    };
    Topic::all().flat_map(of).collect()
}

async fn create(brokers: &BrokerArgs, missing: &[&Wanted]) -> Result<()> {
    let max_bytes = MAX_RECORD_BYTES.to_string();
    let retentions: Vec<String> = missing.iter().map(|topic| topic.retention_ms.to_string()).collect();
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&retentions)
        .map(|(topic, retention_ms)| {
            NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1))
                .set("max.message.bytes", &max_bytes)
                .set("retention.ms", retention_ms)
        })
        .collect();
    let created = admin(brokers)?.create_topics(&topics, &options()).await.context("create topics")?;
    for result in created {
        match result {
            // Somebody else was faster.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => bail!("create topic {name}: {code}"),
        }
    }
    Ok(())
}

/// Waits until the broker that answers knows the new topics: it hears of them a little after the controller.
async fn wait_until_known(brokers: &BrokerArgs, new: &[&Wanted]) -> Result<()> {
    let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
    loop {
        let there = partition_counts(brokers).await?;
        let unknown = new.iter().find(|topic| there.get(&topic.name) != Some(&topic.partitions));
        let Some(unknown) = unknown else { return Ok(()) };
        if tokio::time::Instant::now() >= deadline {
            bail!("topic {} was created but is not known after {ANSWER_TIMEOUT:?}", unknown.name);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns how many partitions each topic has.
pub(super) async fn partition_counts(brokers: &BrokerArgs) -> Result<HashMap<String, i32>> {
    let admin = admin(brokers)?;
    let address = brokers.brokers.clone();
    let asked = tokio::task::spawn_blocking(move || admin.inner().fetch_metadata(None, ANSWER_TIMEOUT)).await?;
    let metadata = asked.with_context(|| format!("reach Kafka at {address}"))?;
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32)).collect())
}

pub(super) fn admin(brokers: &BrokerArgs) -> Result<AdminClient<DefaultClientContext>> {
    brokers.client().create().context("make a Kafka client")
}

pub(super) fn options() -> AdminOptions {
    // The operation ends when the topic is known everywhere, so that it can be used at once.
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_fits_when_it_takes_and_keeps_enough() {
        let topic = |retention_ms| Wanted { name: "t".to_owned(), partitions: 1, retention_ms };
        let enough = Some(MAX_RECORD_BYTES as i64);
        assert!(topic(1000).fits(enough, Some(1000)).is_ok());
        assert!(topic(1000).fits(enough, Some(-1)).is_ok());
        assert!(topic(1000).fits(Some(1 << 20), Some(1000)).is_err());
        assert!(topic(1000).fits(enough, Some(999)).is_err());
        assert!(topic(-1).fits(enough, Some(999)).is_err());
    }
}
