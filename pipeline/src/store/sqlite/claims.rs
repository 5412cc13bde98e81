//! Claims; see [`crate::store::Claim`] for what follows from which state of a row.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::timestamp;
use crate::id::UnitId;
use crate::store::{Claim, Lease, Release, Result};

const FREE: &str = "free";
const RUNNING: &str = "running";
const FINISHED: &str = "finished";

/// How long a row is kept: longer than any topic keeps a record that could ask for it.
const LIFE_DAYS: i64 = 30;

const MICROS_A_DAY: i64 = 24 * 3_600_000_000;

struct Claimed {
    state: String,
    attempt: u32,
    failures: u32,
    lone_deaths: u32,
    suspect: bool,
    alone: bool,
    owner: String,
    lease_end_us: i64,
}

impl Claimed {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            state: row.get(0)?,
            attempt: row.get(1)?,
            failures: row.get(2)?,
            lone_deaths: row.get(3)?,
            suspect: row.get(4)?,
            alone: row.get(5)?,
            owner: row.get(6)?,
            lease_end_us: row.get(7)?,
        })
    }
}

pub(super) fn claim(
    connection: &Connection,
    unit: UnitId,
    owner: &str,
    now_us: i64,
    lease_end_us: i64,
) -> Result<Claim> {
    let found = read(connection, unit)?;
    let (failures, lone_deaths, suspect, attempt) = match found {
        None => (0, 0, false, 1),
        Some(row) if row.state == FINISHED => return Ok(Claim::Finished),
        Some(row) if row.state == RUNNING && row.lease_end_us > now_us => {
            return Ok(Claim::Held { until: timestamp(row.lease_end_us)? });
        }
        Some(row) => {
            let died = row.state == RUNNING && row.owner != owner;
            let lone_deaths = row.lone_deaths + u32::from(died && row.alone);
            (row.failures, lone_deaths, row.suspect || died, row.attempt + 1)
        }
    };
    connection
        .prepare_cached(
            "INSERT INTO claims (unit, state, attempt, lone_deaths, suspect, owner, lease_end_us, born_day)
             VALUES (:unit, 'running', :attempt, :lone_deaths, :suspect, :owner, :lease_end_us, :born_day)
             ON CONFLICT DO UPDATE SET state = 'running', attempt = :attempt, lone_deaths = :lone_deaths,
                 suspect = :suspect, alone = 0, owner = :owner, lease_end_us = :lease_end_us",
        )?
        .execute(named_params! {
            ":unit": unit.to_string(),
            ":attempt": attempt,
            ":lone_deaths": lone_deaths,
            ":suspect": suspect,
            ":owner": owner,
            ":lease_end_us": lease_end_us,
            ":born_day": now_us.div_euclid(MICROS_A_DAY),
        })?;
    Ok(Claim::Granted { lease: Lease { unit, attempt }, failures, suspect, lone_deaths })
}

pub(super) fn run_alone(connection: &Connection, lease: &Lease) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE claims SET alone = 1 WHERE unit = ? AND attempt = ? AND state = 'running'")?
        .execute(params![lease.unit.to_string(), lease.attempt])?;
    Ok(changed == 1)
}

/// A lease that ended is renewed all the same while nobody else has claimed the unit.
pub(super) fn renew(connection: &Connection, lease: &Lease, lease_end_us: i64) -> Result<bool> {
    let changed = connection
        .prepare_cached("UPDATE claims SET lease_end_us = ? WHERE unit = ? AND attempt = ? AND state = 'running'")?
        .execute(params![lease_end_us, lease.unit.to_string(), lease.attempt])?;
    Ok(changed == 1)
}

pub(super) fn finish(connection: &Connection, lease: &Lease) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE claims SET state = 'finished' WHERE unit = ? AND attempt = ? AND state IN ('running', 'finished')",
        )?
        .execute(params![lease.unit.to_string(), lease.attempt])?;
    Ok(changed == 1)
}

pub(super) fn release(connection: &Connection, lease: &Lease, how: Release) -> Result<bool> {
    match read(connection, lease.unit)? {
        Some(row) if row.attempt == lease.attempt && row.state == RUNNING => {}
        Some(row) => return Ok(row.attempt == lease.attempt && row.state == FREE),
        None => return Ok(false),
    }
    connection
        .prepare_cached("UPDATE claims SET state = 'free', alone = 0, failures = failures + ? WHERE unit = ?")?
        .execute(params![u32::from(how == Release::Failed), lease.unit.to_string()])?;
    Ok(true)
}

/// Resets the row instead of removing it: its attempts go on counting, so that no lease from before fits it.
pub(super) fn forget(connection: &Connection, unit: UnitId) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE claims SET state = 'free', attempt = attempt + 1, failures = 0, lone_deaths = 0, suspect = 0,
                 alone = 0 WHERE unit = ?",
        )?
        .execute([unit.to_string()])?;
    Ok(())
}

/// Removes rows that nothing can ask for any more.
pub(super) fn remove_old(connection: &Connection, now_us: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM claims WHERE born_day < ?")?
        .execute([now_us.div_euclid(MICROS_A_DAY) - LIFE_DAYS])?;
    Ok(())
}

fn read(connection: &Connection, unit: UnitId) -> Result<Option<Claimed>> {
    let found = connection
        .prepare_cached(
            "SELECT state, attempt, failures, lone_deaths, suspect, alone, owner, lease_end_us FROM claims WHERE unit = ?",
        )?
        .query_row([unit.to_string()], Claimed::read)
        .optional()?;
    Ok(found)
}
