//! Creates the topics that are missing and checks those that are there.

mod wanted;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use tokio::time::timeout;

use self::wanted::{Found, Wanted, least_in_sync, text, wanted};
use super::BrokerArgs;
use super::reach::{ANSWER_TIMEOUT, Copies, Known, known};
use crate::topic::{MAX_RECORD_BYTES, Spread, Topic};

/// How long a check may take: both of its questions and as much again.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
/// Partitions of a topic on brokers that are shared, where nothing else is said.
const SHARED_PARTITIONS: i32 = 12;

/// How topics are made that are missing.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Shape {
    /// Partitions of each topic that is created; 60 for a cluster, 400 for spikes [default: 12, and 4 with the private
    /// broker of `spillway dev`].
    #[arg(long, env = "SPILLWAY_PARTITIONS", value_name = "COUNT",
        value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: Option<i32>,
    /// Brokers that each topic that is created is copied to; -1 is what the brokers themselves do by default. With 3 or
    /// more, most of them must have a record before it counts (min.insync.replicas).
    #[arg(long, env = "SPILLWAY_REPLICATION", value_name = "COPIES", default_value_t = -1, allow_negative_numbers = true,
        value_parser = parse_copies)]
    pub replication: i32,
}

impl Shape {
    /// Says how many partitions and leaves the copies to the brokers.
    pub fn with_partitions(partitions: i32) -> Self {
        Self { partitions: Some(partitions), replication: -1 }
    }

    fn partitions(self) -> i32 {
        self.partitions.unwrap_or(SHARED_PARTITIONS)
    }

    fn copies(self) -> Option<usize> {
        usize::try_from(self.replication).ok().filter(|copies| *copies > 0)
    }
}

fn parse_copies(text: &str) -> Result<i32, String> {
    let copies = text.parse().ok().filter(|copies| matches!(copies, -1 | 1..=9));
    copies.ok_or_else(|| "give 1 to 9, or -1 for what the brokers do by default".to_owned())
}

/// What was found at the brokers.
#[derive(Clone, Debug)]
pub struct Survey {
    /// How many brokers there are.
    pub brokers: usize,
    /// The group protocols they know, if they tell: `classic`, `consumer`.
    pub group_protocols: Option<Vec<String>>,
    /// Every topic there should be.
    pub topics: Vec<Finding>,
}

/// What was found of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Its name.
    pub topic: String,
    /// How many partitions it has; none if it is missing.
    pub partitions: usize,
    /// On how many brokers it is.
    pub copies: usize,
    /// Partitions of which a copy is missing or behind.
    pub behind: usize,
    /// What does not fit, in one line.
    pub wrong: Option<String>,
}

/// Creates every topic that is missing, as `shape` says, and checks the others.
///
/// # Errors
/// When the broker cannot be reached, or a topic that is there differs in what matters.
pub async fn ensure(brokers: &BrokerArgs, shape: Shape) -> Result<()> {
    let there = known(brokers).await?.topics;
    let wanted = wanted(brokers, shape.partitions());
    let missing: Vec<&Wanted> = wanted.iter().filter(|topic| !there.contains_key(&topic.name)).collect();
    for topic in &wanted {
        let Some(partitions) = there.get(&topic.name) else { continue };
        let (count, copies) = (partitions.len(), least_copies(partitions));
        if count < topic.partitions as usize {
            bail!(
                "topic {} has {count} partitions, {} are wanted; see `spillway topics`",
                topic.name,
                topic.partitions
            );
        }
        if let Some(wanted) = shape.copies()
            && copies != wanted
        {
            bail!(
                "topic {} is on {copies} brokers, {wanted} are wanted; Kafka's kafka-reassign-partitions.sh moves it",
                topic.name
            );
        }
    }
    if !missing.is_empty() {
        create(brokers, &missing, shape).await?;
        wait_until_known(brokers, &missing).await?;
    }
    check(brokers).await
}

/// Checks that every topic is there, takes records as large and keeps them as long as they need, and that no record
/// counts before enough brokers have it.
///
/// # Errors
/// One line that names the first topic that does not fit, what was found and what is needed, or that the broker cannot
/// be reached.
pub async fn check(brokers: &BrokerArgs) -> Result<()> {
    let asking = brokers.clone();
    // In a task of its own: making a client and ending it are foreign calls that have no limit.
    let asked = tokio::spawn(async move { findings(&asking, &known(&asking).await?).await });
    let findings = timeout(CHECK_LIMIT, asked).await.context("Kafka does not tell of its topics in time")???;
    match findings.into_iter().find_map(|finding| finding.wrong) {
        Some(wrong) => bail!(wrong),
        None => Ok(()),
    }
}

/// Looks at the brokers and every topic.
///
/// # Errors
/// When the brokers cannot be reached, or do not tell of their topics.
pub async fn survey(brokers: &BrokerArgs) -> Result<Survey> {
    let known = known(brokers).await?;
    let topics = findings(brokers, &known).await?;
    let broker = known.brokers.first().copied().unwrap_or_default();
    let asked = admin(brokers)?.describe_configs(&[ResourceSpecifier::Broker(broker)], &options()).await;
    // Not every client may ask for this.
    let settings = asked.ok().and_then(|answers| answers.into_iter().next()?.ok());
    let protocols = settings.and_then(|settings| text(&settings, "group.coordinator.rebalance.protocols"));
    let group_protocols = protocols.map(|list| list.split(',').map(|name| name.trim().to_lowercase()).collect());
    Ok(Survey { brokers: known.brokers.len(), group_protocols, topics })
}

async fn findings(brokers: &BrokerArgs, known: &Known) -> Result<Vec<Finding>> {
    let wanted = wanted(brokers, 1);
    let settings = settings(brokers, known, &wanted).await?;
    let mut findings = Vec::with_capacity(wanted.len());
    for topic in &wanted {
        let partitions = known.topics.get(&topic.name).map(Vec::as_slice).unwrap_or_default();
        let copies = least_copies(partitions);
        let found = settings.get(topic.name.as_str()).map(|settings| Found::new(partitions.len(), copies, settings));
        let wrong = match found {
            None => Some(format!("topic {} is missing; create the topics with `spillway topics`", topic.name)),
            Some(found) => topic.misfit(&found),
        };
        let behind = partitions.iter().filter(|copies| copies.in_sync < copies.assigned).count();
        findings.push(Finding { topic: topic.name.clone(), partitions: partitions.len(), copies, behind, wrong });
    }
    for topic in Topic::all() {
        // A record stays with its partition's number as it goes from lane to lane.
        let what = format!("the lanes of topic {}", topic.base());
        tell_uneven(&brokers.topic_names(topic), &what, &mut findings);
    }
    // A video keeps its partition, or its order is lost and what was gathered of it is not found again.
    let by_video = Topic::all().filter(|topic| topic.spec().spread == Spread::ByVideo);
    let by_video: Vec<String> = by_video.flat_map(|topic| brokers.topic_names(topic)).collect();
    tell_uneven(&by_video, "topics whose records go by their video, made alike,", &mut findings);
    Ok(findings)
}

/// Tells that the topics `names`, which are called `what` together, have not all as many partitions.
fn tell_uneven(names: &[String], what: &str, findings: &mut [Finding]) {
    let is_named = |finding: &&mut Finding| names.contains(&finding.topic) && finding.partitions > 0;
    let named: Vec<&mut Finding> = findings.iter_mut().filter(is_named).collect();
    let counts: Vec<String> = named.iter().map(|finding| format!("{} {}", finding.topic, finding.partitions)).collect();
    if named.iter().any(|finding| finding.partitions != named[0].partitions) {
        let text = format!("{what} have different numbers of partitions: {}", counts.join(", "));
        for finding in named {
            finding.wrong.get_or_insert_with(|| text.clone());
        }
    }
}

/// Asks for the settings of those topics that are there.
async fn settings<'a>(
    brokers: &BrokerArgs,
    known: &Known,
    wanted: &'a [Wanted],
) -> Result<BTreeMap<&'a str, ConfigResource>> {
    let there: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let there: Vec<&str> = there.into_iter().filter(|name| known.topics.contains_key(*name)).collect();
    if there.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resources: Vec<ResourceSpecifier<'_>> = there.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let described = admin(brokers)?.describe_configs(&resources, &options()).await;
    let mut settings = BTreeMap::new();
    for (name, described) in there.iter().zip(described.context("ask for the topics' settings")?) {
        settings.insert(*name, described.map_err(|code| anyhow::anyhow!("topic {name}: {code}"))?);
    }
    Ok(settings)
}

fn least_copies(partitions: &[Copies]) -> usize {
    partitions.iter().map(|copies| copies.assigned).min().unwrap_or(0)
}

async fn create(brokers: &BrokerArgs, missing: &[&Wanted], shape: Shape) -> Result<()> {
    let max_bytes = MAX_RECORD_BYTES.to_string();
    let retentions: Vec<String> = missing.iter().map(|topic| topic.retention_ms.to_string()).collect();
    let in_sync = shape.copies().map(|copies| least_in_sync(copies).to_string());
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .zip(&retentions)
        .map(|(topic, retention_ms)| {
            let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(shape.replication))
                .set("max.message.bytes", &max_bytes)
                .set("retention.ms", retention_ms)
                .set("cleanup.policy", topic.cleanup);
            match &in_sync {
                Some(in_sync) => new.set("min.insync.replicas", in_sync),
                None => new,
            }
        })
        .collect();
    let created = admin(brokers)?.create_topics(&topics, &options()).await.context("create topics")?;
    for result in created {
        match result {
            // Somebody else was faster.
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, RDKafkaErrorCode::InvalidReplicationFactor)) => {
                bail!("create topic {name} on {} brokers: there are not as many", shape.replication)
            }
            Err((name, code)) => bail!("create topic {name}: {code}"),
        }
    }
    Ok(())
}

/// Waits until the broker that answers knows the new topics: it hears of them a little after the controller.
async fn wait_until_known(brokers: &BrokerArgs, new: &[&Wanted]) -> Result<()> {
    let deadline = tokio::time::Instant::now() + ANSWER_TIMEOUT;
    loop {
        let there = known(brokers).await?.topics;
        let unknown = new.iter().find(|topic| there.get(&topic.name).map(Vec::len) != Some(topic.partitions as usize));
        let Some(unknown) = unknown else { return Ok(()) };
        if tokio::time::Instant::now() >= deadline {
            bail!("topic {} was created but is not known after {ANSWER_TIMEOUT:?}", unknown.name);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) fn admin(brokers: &BrokerArgs) -> Result<AdminClient<DefaultClientContext>> {
    brokers.client()?.create().context("make a Kafka client")
}

pub(super) fn options() -> AdminOptions {
    // The operation ends when the topic is known everywhere, so that it can be used at once.
    AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT)).operation_timeout(Some(ANSWER_TIMEOUT))
}
