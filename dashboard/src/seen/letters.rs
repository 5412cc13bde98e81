//! Dead letters: units that were given up, and what became of them. Their messages stay in the brokers; whoever wants one
//! reads it there.

use std::collections::BTreeMap;

use pipeline::dead_letter::{Letter, LetterId, Record, Settled};
use pipeline::kafka::Header;

/// The most letters that are known at once; the oldest are forgotten first, and that is told.
const MOST: usize = 50_000;
/// So many more may be known for a while: all that are too many are looked for at once then.
const SLACK: usize = 1_000;
/// The most that is kept of what was seen, in characters.
const MOST_DETAIL: usize = 400;

/// What is known of a letter without its message.
#[derive(Clone, PartialEq, Debug, Default)]
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
        if self.known.len() > MOST + SLACK {
            self.forget_oldest(SLACK);
        }
    }

    fn forget_oldest(&mut self, count: usize) {
        let mut ages: Vec<(i64, LetterId)> = self.known.iter().map(|(id, brief)| (brief.at_ms, *id)).collect();
        ages.sort_unstable();
        for (_, id) in ages.into_iter().take(count) {
            self.known.remove(&id);
            self.forgotten += 1;
        }
    }

    /// Forgets a letter that the brokers do not keep any more.
    pub fn forget(&mut self, id: LetterId) {
        self.known.remove(&id);
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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pipeline::kafka::Headers;
    use pipeline::stage::StageName;

    use super::*;

    #[test]
    fn the_oldest_give_way_and_are_counted() {
        let mut letters = Letters::default();
        let id = |offset| LetterId { stage: StageName::Cut, partition: 0, offset };
        let all = (MOST + SLACK + 1) as i64;
        for offset in 0..all {
            // Those that are read last are the oldest.
            let at = Timestamp::from_second(all - offset).unwrap();
            letters.hear(Record::Letter(Letter { id: id(offset), at, headers: Headers::default(), body: Vec::new() }));
        }
        assert_eq!((letters.all().count(), letters.forgotten), (MOST + 1, SLACK));
        assert!(letters.one(id(0)).is_some() && letters.one(id(all - 1)).is_none());
    }

    #[test]
    fn what_settles_a_letter_may_be_heard_first_and_again() {
        let mut letters = Letters::default();
        let id = LetterId { stage: StageName::Cut, partition: 0, offset: 7 };
        let settles = Record::Settles(id, Settled::Replayed);
        letters.hear(settles.clone());
        let (at, headers) = (Timestamp::UNIX_EPOCH, Headers::default());
        letters.hear(Record::Letter(Letter { id, at, headers, body: Vec::new() }));
        letters.hear(settles);
        assert_eq!((letters.all().count(), letters.open().count()), (1, 0));
    }
}
