//! How much waits in the brokers for each stage, asked in few calls however many partitions there are.

use std::collections::{BTreeMap, HashMap};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::reach::{Known, known};
use super::remind::remind;
use super::{BrokerArgs, reader};
use crate::stage::StageName;
use crate::topic::Topic;

/// How long one question may take, put to all groups at once.
const LIMIT: Duration = Duration::from_secs(4);
/// How long the places of a group that had finished everything are taken to stand while nothing comes. Only a person moves
/// them then, and each question costs an idle broker.
const STANDS: Duration = Duration::from_secs(30);
/// How precisely the oldest record's time is looked for, in milliseconds.
const PRECISE_MS: i64 = 500;

/// What lies in one partition of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionLag {
    /// Its number.
    pub partition: i32,
    /// The place after the last record.
    pub end: i64,
    /// The place that its group has acknowledged up to.
    pub committed: i64,
    /// When the first record was published that is not acknowledged, in milliseconds since the Unix epoch, where that was
    /// asked for.
    pub oldest_ms: Option<i64>,
}

/// What lies in one lane of a stage.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LaneLag {
    /// Partitions of its topic.
    pub partitions: u32,
    /// Sum of the partitions' ends.
    pub end_total: i64,
    /// Sum of the positions that its group has acknowledged.
    pub committed_total: i64,
    /// When the oldest record was published that is not acknowledged, in milliseconds since the Unix epoch, where that
    /// was asked for.
    pub oldest_ms: Option<i64>,
    /// Its partitions, by number.
    pub by_partition: Vec<PartitionLag>,
}

/// Asks for the lag of stages that have lanes. Cheap to clone.
#[derive(Clone)]
pub struct Lags {
    inner: Arc<Inner>,
}

struct Inner {
    brokers: BrokerArgs,
    ends: BaseConsumer,
    groups: Vec<Group>,
    topics: BTreeMap<String, u32>,
}

struct Group {
    stage: StageName,
    client: BaseConsumer,
    /// When it had finished everything, and its places then.
    finished: Mutex<Option<(Instant, Places)>>,
}

/// What was read, stage by stage.
pub type Read = BTreeMap<StageName, Result<Vec<LaneLag>>>;

/// Places in partitions, by topic and number.
type Places = HashMap<(String, i32), i64>;

/// The topics' ends, and each group's places or why they are not known.
type Look = (Places, Vec<(StageName, Result<Places>)>);

impl Lags {
    /// Connects for `stages`, one client each and one for the ends.
    ///
    /// # Errors
    /// When the brokers cannot be reached.
    pub async fn connect(brokers: &BrokerArgs, stages: &[StageName]) -> Result<Self> {
        let Known { topics, .. } = known(brokers).await?;
        let client = |group: &str| -> Result<BaseConsumer> {
            let mut config = brokers.client()?;
            // Nothing is subscribed to, so no group is joined.
            config.set("group.id", group).set("enable.auto.commit", "false");
            config.create().context("make a Kafka client")
        };
        let groups = stages.iter().map(|stage| {
            let client = client(&brokers.group(*stage))?;
            Ok(Group { stage: *stage, client, finished: Mutex::default() })
        });
        let inner = Inner {
            brokers: brokers.clone(),
            ends: client(&format!("{}lag", brokers.topic_prefix))?,
            groups: groups.collect::<Result<_>>()?,
            topics: topics.into_iter().map(|(name, partitions)| (name, partitions.len() as u32)).collect(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns what lies in each stage's lanes, most urgent first, or why a stage's group did not say.
    ///
    /// # Errors
    /// When the brokers do not tell the ends of the topics.
    pub async fn read(&self) -> Result<Read> {
        self.ask(Inner::read).await
    }

    /// Does the same, and looks for the oldest record of each lane: some twenty calls more.
    ///
    /// # Errors
    /// As [`Lags::read`].
    pub async fn read_with_ages(&self) -> Result<Read> {
        self.ask(Inner::read_with_ages).await
    }

    async fn ask<T: Send + 'static>(&self, question: fn(&Inner) -> Result<T>) -> Result<T> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || question(&inner)).await?
    }
}

impl Group {
    /// Returns its places if it had finished everything and nothing has come since.
    fn stands(&self, ends: &Places) -> Option<Places> {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, places) = finished.as_ref()?;
        (asked.elapsed() < STANDS && are_all(places, ends)).then(|| places.clone())
    }

    /// Notes whether it has finished everything.
    fn note(&self, places: &Places, ends: &Places) {
        let finished = are_all(places, ends).then(|| (Instant::now(), places.clone()));
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = finished;
    }
}

fn are_all(places: &Places, ends: &Places) -> bool {
    places.iter().all(|(place, at)| ends.get(place) == Some(at))
}

impl Inner {
    fn read(&self) -> Result<Read> {
        let (ends, committed) = self.look()?;
        let lanes = |(stage, committed): (StageName, Result<Places>)| {
            (stage, committed.map(|committed| self.lanes(stage, &ends, &committed)))
        };
        Ok(committed.into_iter().map(lanes).collect())
    }

    fn read_with_ages(&self) -> Result<Read> {
        let (ends, committed) = self.look()?;
        let lanes = |(stage, committed): (StageName, Result<Places>)| {
            (stage, committed.and_then(|committed| self.lanes_with_ages(stage, &ends, committed)))
        };
        Ok(committed.into_iter().map(lanes).collect())
    }

    /// Asks for the ends of all partitions, and what each group has acknowledged.
    fn look(&self) -> Result<Look> {
        let asked = self.partitions(self.groups.iter().map(|group| group.stage))?;
        let (starts, ends) = (self.places(&asked, Offset::Beginning)?, self.places(&asked, Offset::End)?);
        // All at once: each waits for its own coordinator, and one that is away is waited for long.
        let ask = |group| self.committed(group, &starts, &ends);
        let committed = thread::scope(|scope| {
            let asked = self.groups.iter().map(|group| (group.stage, scope.spawn(move || ask(group))));
            let asked: Vec<_> = asked.collect();
            let answer = |asked: ScopedJoinHandle<_>| asked.join().unwrap_or_else(|panic| resume_unwind(panic));
            asked.into_iter().map(|(stage, asked)| (stage, answer(asked))).collect()
        });
        Ok((ends, committed))
    }

    fn partitions(&self, stages: impl Iterator<Item = StageName>) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for name in stages.flat_map(|stage| self.brokers.topic_names(Topic::read_by(stage))) {
            let count = *self.topics.get(&name).with_context(|| format!("topic {name} is missing"))?;
            for partition in 0..count as i32 {
                list.add_partition(&name, partition);
            }
        }
        Ok(list)
    }

    fn places(&self, asked: &TopicPartitionList, of: Offset) -> Result<Places> {
        let mut asked = asked.clone();
        asked.set_all_offsets(of)?;
        let answered = reader::places(&self.ends, &asked, LIMIT);
        places(&answered.inspect_err(|_| remind(self.ends.client(), &self.brokers))?)
    }

    fn committed(&self, group: &Group, starts: &Places, ends: &Places) -> Result<Places> {
        if let Some(places) = group.stands(ends) {
            return Ok(places);
        }
        let Group { stage, client, .. } = group;
        let asked = self.partitions(std::iter::once(*stage))?;
        let answered = client.committed_offsets(asked, LIMIT);
        let answered = answered.inspect_err(|_| remind(client.client(), &self.brokers));
        let mut committed = places(&answered.with_context(|| format!("ask for the positions of {stage}"))?)?;
        // What nobody has read yet is read from the start, and so is what retention has taken from under a position.
        for (place, at) in &mut committed {
            *at = (*at).max(starts.get(place).copied().unwrap_or(0));
        }
        group.note(&committed, ends);
        Ok(committed)
    }

    fn lanes(&self, stage: StageName, ends: &Places, committed: &Places) -> Vec<LaneLag> {
        let lane = |name: String| {
            let partitions = self.topics.get(&name).copied().unwrap_or(0);
            let at = |places: &Places, partition: i32| places.get(&(name.clone(), partition)).copied().unwrap_or(0);
            let one = |partition: i32| PartitionLag {
                partition,
                end: at(ends, partition),
                committed: at(committed, partition),
                oldest_ms: None,
            };
            let by_partition: Vec<PartitionLag> = (0..partitions as i32).map(one).collect();
            LaneLag {
                partitions,
                end_total: by_partition.iter().map(|partition| partition.end).sum(),
                committed_total: by_partition.iter().map(|partition| partition.committed).sum(),
                oldest_ms: None,
                by_partition,
            }
        };
        self.brokers.topic_names(Topic::read_by(stage)).into_iter().map(lane).collect()
    }

    fn lanes_with_ages(&self, stage: StageName, ends: &Places, committed: Places) -> Result<Vec<LaneLag>> {
        let mut lanes = self.lanes(stage, ends, &committed);
        let waiting = committed.into_iter().filter(|(place, at)| ends.get(place).is_some_and(|end| end > at));
        let published = self.published(waiting.collect())?;
        for (lane, name) in lanes.iter_mut().zip(self.brokers.topic_names(Topic::read_by(stage))) {
            for partition in &mut lane.by_partition {
                partition.oldest_ms = published.get(&(name.clone(), partition.partition)).copied();
            }
            lane.oldest_ms = lane.by_partition.iter().filter_map(|partition| partition.oldest_ms).min();
        }
        Ok(lanes)
    }

    /// Finds when the record at each place was published. Brokers tell the first record since a time, so the time is
    /// halved in on, for all partitions at once; nothing is fetched.
    fn published(&self, waiting: Places) -> Result<HashMap<(String, i32), i64>> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let oldest_ms = Topic::read_by(StageName::Fetch).spec().retention.map_or(0, |kept| kept.as_millis() as i64);
        let mut spans: HashMap<(String, i32), (i64, i64)> =
            waiting.keys().map(|place| (place.clone(), (now_ms - 2 * oldest_ms, now_ms + 1))).collect();
        while spans.values().any(|(from, to)| to - from > PRECISE_MS) {
            let mut asked = TopicPartitionList::new();
            for ((topic, partition), (from, to)) in &spans {
                asked.add_partition_offset(topic, *partition, Offset::Offset(from + (to - from) / 2))?;
            }
            let answered = reader::places(&self.ends, &asked, LIMIT)?;
            for element in answered.elements() {
                let place = (element.topic().to_owned(), element.partition());
                let (Some(at), Some(span)) = (waiting.get(&place), spans.get_mut(&place)) else { continue };
                let middle = span.0 + (span.1 - span.0) / 2;
                // No record is that young, or a later one is the first.
                let is_older = element.offset().to_raw().is_none_or(|first| first < 0 || first > *at);
                *span = if is_older { (span.0, middle) } else { (middle, span.1) };
            }
        }
        Ok(spans.into_iter().map(|(place, (from, _))| (place, from)).collect())
    }
}

fn places(list: &TopicPartitionList) -> Result<Places> {
    let mut places = Places::new();
    for element in list.elements() {
        element.error().with_context(|| format!("partition {} of {}", element.partition(), element.topic()))?;
        let at = match element.offset() {
            Offset::Offset(at) => at,
            _ => 0,
        };
        places.insert((element.topic().to_owned(), element.partition()), at);
    }
    Ok(places)
}
