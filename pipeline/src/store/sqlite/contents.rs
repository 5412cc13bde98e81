//! Whether anything is in the file. That it is being made anew is noted in its header, as SQLite's id of what a file is
//! for: that needs no table.

use rusqlite::Connection;

use crate::store::{Contents, Result};

/// The id of a file that is being made anew.
const UNFINISHED: i32 = 0x7370_7277;

const ANYTHING: &str =
    "SELECT EXISTS (SELECT 1 FROM videos) OR EXISTS (SELECT 1 FROM log) OR EXISTS (SELECT 1 FROM claims)
    OR EXISTS (SELECT 1 FROM gathers)";

pub(super) fn read(connection: &Connection) -> Result<Contents> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id == UNFINISHED {
        return Ok(Contents::Unfinished);
    }
    let anything: bool = connection.query_row(ANYTHING, [], |row| row.get(0))?;
    Ok(if anything { Contents::Used } else { Contents::Nothing })
}

pub(super) fn begin_rebuild(connection: &Connection) -> Result<()> {
    Ok(connection.pragma_update(None, "application_id", UNFINISHED)?)
}

pub(super) fn end_rebuild(connection: &Connection) -> Result<()> {
    Ok(connection.pragma_update(None, "application_id", 0)?)
}
