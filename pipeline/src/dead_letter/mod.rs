//! Dead letters: units that were given up, in `dead-letter.STAGE` as they came, with headers that say why. What becomes
//! of one is a further record in the same topic: nothing is changed or removed there but by age.

mod many;
mod message;
mod replay;

pub use many::{Selection, discard_all, replay_all};
pub use message::{Described, advice, describe};
pub use replay::{Outcome, replay};

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::failure::{Code, Failure};
use crate::id::{TenantId, VideoId};
use crate::kafka::reader::{self, Span, Stored};
use crate::kafka::{Batch, BrokerArgs, Header, Headers, Post, Producer};
use crate::lane::Lane;
use crate::stage::StageName;
use crate::topic::Topic;

/// Names a letter: `STAGE/PARTITION/OFFSET`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LetterId {
    /// The stage that gave the unit up.
    pub stage: StageName,
    /// The partition of the stage's topic of dead letters.
    pub partition: i32,
    /// The place in it.
    pub offset: i64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stage, self.partition, self.offset)
    }
}

impl FromStr for LetterId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "give STAGE/PARTITION/OFFSET, as `spillway dead-letters list` shows it".to_owned();
        let [stage, partition, offset] = text.split('/').collect::<Vec<_>>()[..] else { return Err(expected()) };
        let partition = partition.parse().ok().filter(|number| *number >= 0).ok_or_else(expected)?;
        let offset = offset.parse().ok().filter(|number| *number >= 0).ok_or_else(expected)?;
        Ok(Self { stage: stage.parse()?, partition, offset })
    }
}

/// What became of a letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Its unit was sent to work again.
    Replayed,
    /// There was nothing left to do for it.
    Unneeded,
    /// Somebody decided that it stays undone.
    Discarded,
}

impl Settled {
    const ALL: [Self; 3] = [Self::Replayed, Self::Unneeded, Self::Discarded];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Unneeded => "unneeded",
            Self::Discarded => "discarded",
        }
    }
}

/// A letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Its name.
    pub id: LetterId,
    /// When the unit was given up.
    pub at: Timestamp,
    /// What its headers say.
    pub headers: Headers,
    /// The message as it came.
    pub body: Vec<u8>,
}

impl Letter {
    fn of(stage: StageName, record: Stored) -> Self {
        let id = LetterId { stage, partition: record.partition, offset: record.offset };
        let at = Timestamp::from_millisecond(record.published_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { id, at, headers: record.headers, body: record.body }
    }

    /// Returns a header as it is, empty if it is missing.
    pub fn header(&self, header: Header) -> &str {
        self.headers.get(header).unwrap_or_default()
    }

    /// Returns why the unit was given up, if this version knows the reason.
    pub fn code(&self) -> Option<Code> {
        Code::from_name(self.header(Header::Code))
    }

    /// Returns the owner and the video; nothing if the message could not be read.
    pub fn video(&self) -> Option<(TenantId, VideoId)> {
        Some((self.header(Header::Tenant).parse().ok()?, self.header(Header::Video).parse().ok()?))
    }

    /// Returns the lane it was read from.
    pub fn lane(&self) -> Lane {
        Lane::from_name(self.header(Header::Lane)).unwrap_or(Lane::Standard)
    }
}

/// What a record in a topic of dead letters is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// A letter.
    Letter(Letter),
    /// What became of one.
    Settles(LetterId, Settled),
}

impl Record {
    /// Reads a record of the letters of `stage`.
    pub fn of(stage: StageName, record: Stored) -> Self {
        match settles(&record) {
            Some((id, how)) => Self::Settles(id, how),
            None => Self::Letter(Letter::of(stage, record)),
        }
    }
}

/// What letters have in common; everything that is set must fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Given up for this reason.
    pub code: Option<String>,
    /// Of this video.
    pub video: Option<VideoId>,
    /// Of this owner.
    pub tenant: Option<TenantId>,
}

impl Filter {
    /// Says whether `letter` fits.
    pub fn fits(&self, letter: &Letter) -> bool {
        let is = |header, wanted: Option<String>| wanted.is_none_or(|wanted| letter.header(header) == wanted);
        is(Header::Code, self.code.clone())
            && is(Header::Video, self.video.map(|video| video.to_string()))
            && is(Header::Tenant, self.tenant.as_ref().map(|tenant| tenant.to_string()))
    }
}

/// The letters of one stage, as they lay there when they were opened. Only what became of them is held in memory.
pub struct Letters {
    stage: StageName,
    brokers: BrokerArgs,
    spans: Vec<Span>,
    settled: HashMap<LetterId, Settled>,
}

impl Letters {
    /// Looks which letters of `stage` there are and which of them are settled.
    ///
    /// # Errors
    /// When the broker cannot be reached or the topic is missing.
    pub async fn open(brokers: &BrokerArgs, stage: StageName) -> Result<Self> {
        let spans = reader::spans(brokers, Topic::DeadLetter(stage)).await?;
        let mut letters = Self { stage, brokers: brokers.clone(), spans, settled: HashMap::new() };
        for span in letters.spans.clone() {
            let mut records = reader::read(brokers, span)?;
            while let Some(record) = records.recv().await {
                if let Some((id, how)) = settles(&record?) {
                    letters.settled.insert(id, how);
                }
            }
        }
        Ok(letters)
    }

    /// Says what became of a letter; nothing while it is open.
    pub fn settled(&self, id: LetterId) -> Option<Settled> {
        self.settled.get(&id).copied()
    }

    /// Finds one letter.
    ///
    /// # Errors
    /// When there is none of that name, or it is not there any more.
    pub async fn find(&self, id: LetterId) -> Result<Letter> {
        find_in(&self.brokers, &self.spans, id)
            .await?
            .with_context(|| format!("there is no dead letter {id}, or none any more"))
    }

    /// Reads the letters one after another, settled ones too.
    pub fn read(&self) -> Reading<'_> {
        Reading { letters: self, spans: self.spans.iter(), records: None }
    }
}

/// Reads letters, oldest first within a partition.
pub struct Reading<'a> {
    letters: &'a Letters,
    spans: std::slice::Iter<'a, Span>,
    records: Option<mpsc::Receiver<Result<Stored>>>,
}

impl Reading<'_> {
    /// Returns the next letter, if there is one.
    ///
    /// # Errors
    /// When the broker does not give it.
    pub async fn next(&mut self) -> Result<Option<Letter>> {
        loop {
            while let Some(records) = &mut self.records
                && let Some(record) = records.recv().await
            {
                let record = record?;
                if settles(&record).is_none() {
                    return Ok(Some(Letter::of(self.letters.stage, record)));
                }
            }
            let Some(span) = self.spans.next() else { return Ok(None) };
            self.records = Some(reader::read(&self.letters.brokers, span.clone())?);
        }
    }
}

/// Finds one letter without looking at any other; nothing if there is none of that name, or none any more.
///
/// # Errors
/// As [`Letters::open`].
pub async fn find(brokers: &BrokerArgs, id: LetterId) -> Result<Option<Letter>> {
    find_in(brokers, &reader::spans(brokers, Topic::DeadLetter(id.stage)).await?, id).await
}

async fn find_in(brokers: &BrokerArgs, spans: &[Span], id: LetterId) -> Result<Option<Letter>> {
    let span = spans.iter().find(|span| span.partition == id.partition);
    let Some(only) = span.and_then(|span| span.only(id.offset)) else { return Ok(None) };
    let mut records = reader::read(brokers, only)?;
    let record = records.recv().await.transpose()?;
    let is_it = |record: &Stored| record.offset == id.offset && settles(record).is_none();
    Ok(record.filter(is_it).map(|record| Letter::of(id.stage, record)))
}

/// Notes what became of a letter. May be repeated.
///
/// # Errors
/// When the broker cannot be reached.
pub async fn settle(producer: &Producer, id: LetterId, how: Settled) -> Result<(), Failure> {
    let mut headers = Headers::default();
    headers.set(Header::Settles, id.to_string());
    headers.set(Header::Settled, how.as_str());
    let (topic, batch) = (Topic::DeadLetter(id.stage), Batch::default());
    let post = Post { topic, lane: Lane::Standard, key: None, video: None, headers: &headers, body: &[] };
    producer.post(post, &batch).await?;
    batch.acknowledged().await
}

/// Reads which letter a record settles, if it is no letter itself.
fn settles(record: &Stored) -> Option<(LetterId, Settled)> {
    let id = record.headers.get(Header::Settles)?.parse().ok()?;
    let how = record.headers.get(Header::Settled)?;
    // A newer version may have other words for it: settled it is.
    Some((id, Settled::ALL.into_iter().find(|known| known.as_str() == how).unwrap_or(Settled::Discarded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_letters_are_read_as_they_are_shown() {
        let id = LetterId { stage: StageName::Cut, partition: 2, offset: 17 };
        assert_eq!(id.to_string(), "cut/2/17");
        assert_eq!("cut/2/17".parse(), Ok(id));
        for bad in ["", "cut", "cut/1", "cut/1/2/3", "cut/x/1", "cut/1/-1", "nobody/0/1"] {
            assert!(bad.parse::<LetterId>().is_err(), "{bad}");
        }
    }
}
