//! Claims; see [`crate::store::Claim`] for what follows from which state of a row. Each change is one conditional
//! write on what was seen. One whose outcome is unknown is settled by a serial read: what the row then says is final,
//! and a late arrival of the lost write finds its condition gone or writes the same.

use uuid::Uuid;

use super::connection::{Connection, Query, Swap};
use super::fault::contended;
use super::timestamp;
use crate::id::UnitId;
use crate::store::{Claim, Error, Lease, Release, Result};

const FREE: &str = "free";
const RUNNING: &str = "running";
const FINISHED: &str = "finished";

/// How often a change is tried while others change the same row.
const TRIES: usize = 16;

static READ: Query = Query::read(
    "SELECT state, attempt, failures, lone_deaths, suspect, alone, owner, lease_end_us, made_by
     FROM claims WHERE unit = ?",
);
static SETTLE: Query = Query::serial_read(
    "SELECT state, attempt, failures, lone_deaths, suspect, alone, owner, lease_end_us, made_by
     FROM claims WHERE unit = ? LIMIT 1",
);
static BEGIN: Query = Query::swap(
    "INSERT INTO claims (unit, state, attempt, failures, lone_deaths, suspect, alone, owner, lease_end_us, made_by)
     VALUES (?, 'running', 1, 0, 0, false, false, ?, ?, ?) IF NOT EXISTS",
);
static TAKE: Query = Query::swap(
    "UPDATE claims SET state = 'running', attempt = ?, failures = ?, lone_deaths = ?, suspect = ?, alone = false,
         owner = ?, lease_end_us = ?, made_by = ?
     WHERE unit = ? IF state = ? AND attempt = ? AND alone = ? AND lease_end_us = ?",
);
static RUN_ALONE: Query =
    Query::swap("UPDATE claims SET alone = true WHERE unit = ? IF attempt = ? AND state = 'running'");
static RENEW: Query =
    Query::swap("UPDATE claims SET lease_end_us = ? WHERE unit = ? IF attempt = ? AND state = 'running'");
static FINISH: Query = Query::swap(
    "UPDATE claims SET state = 'finished' WHERE unit = ? IF attempt = ? AND state IN ('running', 'finished')",
);
static RELEASE: Query = Query::swap(
    "UPDATE claims SET state = 'free', alone = false, failures = ? WHERE unit = ? IF attempt = ? AND state = 'running'",
);
static FORGET: Query = Query::swap(
    "UPDATE claims SET state = 'free', attempt = ?, failures = 0, lone_deaths = 0, suspect = false, alone = false,
         made_by = ?
     WHERE unit = ? IF attempt = ? AND state = ?",
);

pub(super) static STATEMENTS: &[&Query] =
    &[&READ, &SETTLE, &BEGIN, &TAKE, &RUN_ALONE, &RENEW, &FINISH, &RELEASE, &FORGET];

#[derive(Clone, Debug, scylla::DeserializeRow)]
struct Claimed {
    state: String,
    attempt: i32,
    failures: i32,
    lone_deaths: i32,
    suspect: bool,
    alone: bool,
    owner: String,
    lease_end_us: i64,
    /// Who wrote the attempt: tells a call whose answer was lost that the row is its own.
    made_by: Uuid,
}

impl Claimed {
    /// Says whether it is the caller's to work on.
    fn is_held_by(&self, lease: &Lease) -> bool {
        self.is_of(lease) && self.state == RUNNING
    }

    fn is_of(&self, lease: &Lease) -> bool {
        self.attempt.cast_unsigned() == lease.attempt
    }

    /// Returns what follows from the row for `owner`, who asks at `now_us`: an answer, or the row to try to write.
    fn next(&self, owner: &str, now_us: i64) -> Result<Next> {
        if self.state == FINISHED {
            return Ok(Next::Answer(Claim::Finished));
        }
        let running = self.state == RUNNING;
        if running && self.lease_end_us > now_us {
            return Ok(Next::Answer(Claim::Held { until: timestamp(self.lease_end_us)? }));
        }
        let died = running && self.owner != owner;
        Ok(Next::Take {
            attempt: self.attempt + 1,
            lone_deaths: self.lone_deaths + i32::from(died && self.alone),
            suspect: self.suspect || died,
        })
    }

    fn granted(&self, unit: UnitId) -> Claim {
        Claim::Granted {
            lease: Lease { unit, attempt: self.attempt.cast_unsigned() },
            failures: self.failures.cast_unsigned(),
            suspect: self.suspect,
            lone_deaths: self.lone_deaths.cast_unsigned(),
        }
    }
}

enum Next {
    Answer(Claim),
    Take { attempt: i32, lone_deaths: i32, suspect: bool },
}

pub(super) async fn claim(
    connection: &Connection,
    unit: UnitId,
    owner: &str,
    now_us: i64,
    lease_end_us: i64,
) -> Result<Claim> {
    let (key, me) = (unit.to_string(), Uuid::new_v4());
    let first = Lease { unit, attempt: 1 };
    let mut seen: Option<Claimed> = None;
    for _ in 0..TRIES {
        // Most units are new, so that is tried before anything is read.
        let (swap, granted) = match &seen {
            None => {
                let granted = Claim::Granted { lease: first.clone(), failures: 0, suspect: false, lone_deaths: 0 };
                (connection.swap(&BEGIN, (&key, owner, lease_end_us, me)).await?, granted)
            }
            Some(row) => match row.next(owner, now_us)? {
                Next::Answer(answer) => return Ok(answer),
                Next::Take { attempt, lone_deaths, suspect } => {
                    let set = (attempt, row.failures, lone_deaths, suspect, owner, lease_end_us, me);
                    let mine = Claimed { attempt, lone_deaths, suspect, ..row.clone() };
                    (take(connection, &key, set, row).await?, mine.granted(unit))
                }
            },
        };
        seen = match swap {
            Swap::Applied => return Ok(granted),
            Swap::Refused => read(connection, &key).await?,
            Swap::Unknown(error) => settle(connection, &key, error).await?,
        };
        if let Some(row) = seen.as_ref().filter(|row| row.made_by == me) {
            return Ok(row.granted(unit));
        }
    }
    Err(contended("claim a unit"))
}

/// What [`TAKE`] sets, in its order.
type Taken<'a> = (i32, i32, i32, bool, &'a str, i64, Uuid);

async fn take(connection: &Connection, key: &str, set: Taken<'_>, seen: &Claimed) -> Result<Swap> {
    let (attempt, failures, lone_deaths, suspect, owner, lease_end_us, me) = set;
    let values = (
        attempt,
        failures,
        lone_deaths,
        suspect,
        owner,
        lease_end_us,
        me,
        key,
        &seen.state,
        seen.attempt,
        seen.alone,
        seen.lease_end_us,
    );
    connection.swap(&TAKE, values).await
}

pub(super) async fn run_alone(connection: &Connection, lease: &Lease) -> Result<bool> {
    let key = lease.unit.to_string();
    for _ in 0..TRIES {
        let swap = connection.swap(&RUN_ALONE, (&key, attempt_of(lease))).await?;
        match answered(connection, &key, swap).await? {
            Answer::Said(held) => return Ok(held),
            Answer::Row(Some(row)) if row.is_held_by(lease) && !row.alone => {}
            Answer::Row(row) => return Ok(row.is_some_and(|row| row.is_held_by(lease))),
        }
    }
    Err(contended("say that a unit runs alone"))
}

/// A lease that ended is renewed all the same while nobody else has claimed the unit.
pub(super) async fn renew(connection: &Connection, lease: &Lease, lease_end_us: i64) -> Result<bool> {
    let key = lease.unit.to_string();
    for _ in 0..TRIES {
        let swap = connection.swap(&RENEW, (lease_end_us, &key, attempt_of(lease))).await?;
        match answered(connection, &key, swap).await? {
            Answer::Said(held) => return Ok(held),
            Answer::Row(Some(row)) if row.is_held_by(lease) && row.lease_end_us != lease_end_us => {}
            Answer::Row(row) => return Ok(row.is_some_and(|row| row.is_held_by(lease))),
        }
    }
    Err(contended("renew a lease"))
}

pub(super) async fn finish(connection: &Connection, lease: &Lease) -> Result<bool> {
    let key = lease.unit.to_string();
    for _ in 0..TRIES {
        let swap = connection.swap(&FINISH, (&key, attempt_of(lease))).await?;
        match answered(connection, &key, swap).await? {
            Answer::Said(held) => return Ok(held),
            Answer::Row(Some(row)) if row.is_held_by(lease) => {}
            Answer::Row(row) => return Ok(row.is_some_and(|row| row.is_of(lease) && row.state == FINISHED)),
        }
    }
    Err(contended("finish a unit"))
}

pub(super) async fn release(connection: &Connection, lease: &Lease, how: Release) -> Result<bool> {
    let key = lease.unit.to_string();
    let mut seen = read(connection, &key).await?;
    for _ in 0..TRIES {
        let row = match &seen {
            Some(row) if row.is_held_by(lease) => row,
            Some(row) => return Ok(row.is_of(lease) && row.state == FREE),
            None => return Ok(false),
        };
        // What an attempt counts is fixed while it runs, so a repeat writes the same and counts once.
        let failures = row.failures + i32::from(how == Release::Failed);
        let swap = connection.swap(&RELEASE, (failures, &key, attempt_of(lease))).await?;
        seen = match answered(connection, &key, swap).await? {
            Answer::Said(true) => return Ok(true),
            Answer::Said(false) => read(connection, &key).await?,
            Answer::Row(row) => row,
        };
    }
    Err(contended("release a unit"))
}

/// Resets the row instead of removing it: its attempts go on counting, so that no lease from before fits it.
pub(super) async fn forget(connection: &Connection, unit: UnitId) -> Result<()> {
    let (key, me) = (unit.to_string(), Uuid::new_v4());
    let mut seen = read(connection, &key).await?;
    for _ in 0..TRIES {
        let row = match &seen {
            None => return Ok(()),
            Some(row) if row.made_by == me => return Ok(()),
            Some(row) => row,
        };
        let swap = connection.swap(&FORGET, (row.attempt + 1, me, &key, row.attempt, &row.state)).await?;
        seen = match answered(connection, &key, swap).await? {
            Answer::Said(true) => return Ok(()),
            Answer::Said(false) => read(connection, &key).await?,
            Answer::Row(row) => row,
        };
    }
    Err(contended("forget a unit"))
}

enum Answer {
    /// Whether it was applied.
    Said(bool),
    /// Nobody said; this is the row as it is for good.
    Row(Option<Claimed>),
}

async fn answered(connection: &Connection, key: &str, swap: Swap) -> Result<Answer> {
    match swap {
        Swap::Applied => Ok(Answer::Said(true)),
        Swap::Refused => Ok(Answer::Said(false)),
        Swap::Unknown(error) => Ok(Answer::Row(settle(connection, key, error).await?)),
    }
}

async fn read(connection: &Connection, key: &str) -> Result<Option<Claimed>> {
    connection.first(&READ, (key,)).await
}

async fn settle(connection: &Connection, key: &str, unknown: Error) -> Result<Option<Claimed>> {
    connection.settle(&SETTLE, (key,), unknown).await
}

fn attempt_of(lease: &Lease) -> i32 {
    lease.attempt.cast_signed()
}
