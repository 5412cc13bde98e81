//! Claims: who works on a unit, until when, and how often that ended badly.
//!
//! | the row is | then `claim` |
//! |---|---|
//! | not there, or free | is granted; what was counted before stays |
//! | running, its lease not over | is [`Claim::Held`], whoever asks |
//! | running, its lease over, the same owner asks | is granted: it lives, the store was away |
//! | running, its lease over, another asks | is granted: the owner died. The unit is suspect from now on, and if it ran alone, that is one lone death more |
//! | finished | is [`Claim::Finished`] |
//!
//! A unit stays suspect until it is finished or forgotten: neither handing it back nor a failed attempt shows that
//! it is harmless, and being suspect costs only that it runs alone.

use jiff::Timestamp;

use crate::id::UnitId;

/// What claiming a unit gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The unit is the caller's until the lease ends.
    Granted {
        /// To renew, finish or release it.
        lease: Lease,
        /// Attempts that failed before this one ([`Release::Failed`]).
        failures: u32,
        /// An owner of it died without a word, so it must run alone in its process.
        suspect: bool,
        /// Deaths while it ran alone.
        lone_deaths: u32,
    },
    /// Somebody else has it.
    Held {
        /// When that lease ends unless it is renewed.
        until: Timestamp,
    },
    /// It is done; its outputs were published.
    Finished,
}

/// The right to work on a unit; a later attempt makes it void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The unit.
    pub unit: UnitId,
    /// Counts claims of the unit; finishing compares it.
    pub attempt: u32,
}

/// How a unit is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The attempt failed and counts.
    Failed,
    /// Nothing was wrong with it: draining, or a dependency is down.
    HandedBack,
}
