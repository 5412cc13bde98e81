//! Dead letters: units that were given up, and what became of them. Their messages stay in the brokers; whoever wants one
//! reads it there.

use std::collections::BTreeMap;

use pipeline::dead_letter::{Letter, LetterId, Record, Settled};
use pipeline::kafka::Header;

/// The most letters that are known at once; the oldest are forgotten first, and that is told.
const MOST: usize = 50_000;
/// The most that is kept of what was seen, in characters.
const MOST_DETAIL: usize = 400;

/// What is known of a letter without its message.
#[derive(Clone, PartialEq, Debug)]
pub struct Brief {
    /// When the unit was given up, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Why: the name of a code.
    pub code: String,
    /// What was seen; hostile text, cut to some length.
    pub detail: String,
    /// Whose it is; empty if the message could not be read.
    pub tenant: String,
    /// The video; empty likewise.
    pub video: String,
    /// Which unit of it.
    pub unit: String,
    /// How often it was tried.
    pub attempts: String,
    /// What became of it; nothing while it is open.
    pub settled: Option<Settled>,
}

/// The letters that there are.
#[derive(Debug, Default)]
pub struct Letters {
    known: BTreeMap<LetterId, Brief>,
    /// What became of letters that were not heard of yet: topics of one stage have several partitions.
    early: BTreeMap<LetterId, Settled>,
    /// How many were forgotten because there are too many.
    pub forgotten: usize,
}

impl Letters {
    /// Hears a record of a topic of dead letters.
    pub fn hear(&mut self, record: Record) {
        match record {
            Record::Letter(letter) => {
                let settled = self.early.remove(&letter.id);
                self.known.insert(letter.id, Brief { settled, ..Brief::of(&letter) });
            }
            Record::Settles(id, how) => match self.known.get_mut(&id) {
                Some(brief) => brief.settled = Some(how),
                None => drop(self.early.insert(id, how)),
            },
        }
        while self.known.len() > MOST {
            let oldest = self.known.iter().min_by_key(|(_, brief)| brief.at_ms).map(|(id, _)| *id);
            let Some(oldest) = oldest else { return };
            self.known.remove(&oldest);
            self.forgotten += 1;
        }
    }

    /// Forgets everything, to hear it again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns what is known, by stage and place.
    pub fn all(&self) -> impl Iterator<Item = (&LetterId, &Brief)> {
        self.known.iter()
    }

    /// Returns the letters that nobody has settled.
    pub fn open(&self) -> impl Iterator<Item = (&LetterId, &Brief)> {
        self.all().filter(|(_, brief)| brief.settled.is_none())
    }

    /// Returns what is known of one letter.
    pub fn one(&self, id: LetterId) -> Option<&Brief> {
        self.known.get(&id)
    }
}

impl Brief {
    fn of(letter: &Letter) -> Self {
        let header = |name| letter.header(name).to_owned();
        Self {
            at_ms: letter.at.as_millisecond(),
            code: header(Header::Code),
            detail: letter.header(Header::Detail).chars().take(MOST_DETAIL).collect(),
            tenant: header(Header::Tenant),
            video: header(Header::Video),
            unit: header(Header::Unit),
            attempts: header(Header::Attempts),
            settled: None,
        }
    }
}
