//! Whether anything is in the keyspace, and whether it is being made anew.

use super::connection::{Connection, Query};
use crate::store::{Contents, Result};

/// The least token there is: the question goes on from there and ends with the first row.
const FIRST_TOKEN: i64 = i64::MIN;

static ANY_VIDEO: Query = Query::read("SELECT video FROM videos WHERE token(tenant, video) >= ? LIMIT 1");
static ANY_CLAIM: Query = Query::read("SELECT unit FROM claims WHERE token(unit) >= ? LIMIT 1");
static REBUILD: Query = Query::read("SELECT version FROM schema_state WHERE id = 'rebuild'");
pub(super) static BEGIN: Query = Query::write("UPDATE schema_state SET version = 1 WHERE id = 'rebuild'");
pub(super) static END: Query = Query::write("UPDATE schema_state SET version = 0 WHERE id = 'rebuild'");

pub(super) static STATEMENTS: &[&Query] = &[&ANY_VIDEO, &ANY_CLAIM, &REBUILD, &BEGIN, &END];

pub(super) async fn read(connection: &Connection) -> Result<Contents> {
    let rebuild: Option<(Option<i32>,)> = connection.first(&REBUILD, ()).await?;
    if rebuild.is_some_and(|(version,)| version == Some(1)) {
        return Ok(Contents::Unfinished);
    }
    // Everything else hangs on one of these.
    for query in [&ANY_VIDEO, &ANY_CLAIM] {
        if connection.first::<(String,)>(query, (FIRST_TOKEN,)).await?.is_some() {
            return Ok(Contents::Used);
        }
    }
    Ok(Contents::Nothing)
}
