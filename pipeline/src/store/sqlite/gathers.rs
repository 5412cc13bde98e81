//! What gatherers gathered.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::fault::corrupt;
use super::{VideoKey, limit_of, timestamp, videos};
use crate::store::gather::DEADLINE_STEP;
use crate::store::{Gatherer, OpenGather, Result};

/// The key of a gathering.
pub(super) struct GatherKey {
    pub(super) gatherer: Gatherer,
    pub(super) video: VideoKey,
    pub(super) window: u32,
}

pub(super) fn gather(
    connection: &Connection,
    key: &GatherKey,
    partition: i32,
    deadline_us: i64,
    item: &str,
    body: &[u8],
) -> Result<bool> {
    let found: Option<(bool, i64)> = connection
        .prepare_cached(
            "SELECT closed, deadline_us FROM gathers WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?",
        )?
        .query_row(params![key.gatherer.as_str(), key.video.tenant, key.video.video, key.window], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match found {
        Some((true, _)) => return Ok(false),
        Some((false, kept_us)) => postpone(connection, key, kept_us, deadline_us)?,
        None if videos::is_deleted(connection, &key.video)? => return Ok(false),
        None => open(connection, key, partition, deadline_us)?,
    }
    put(connection, key, item, body)?;
    Ok(true)
}

fn open(connection: &Connection, key: &GatherKey, partition: i32, deadline_us: i64) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO gathers (gatherer, tenant, video, window, partition, deadline_us) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key.gatherer.as_str(),
            key.video.tenant,
            key.video.video,
            key.window,
            partition,
            deadline_us
        ])?;
    Ok(())
}

fn postpone(connection: &Connection, key: &GatherKey, kept_us: i64, deadline_us: i64) -> Result<()> {
    if deadline_us.saturating_sub(kept_us) < DEADLINE_STEP.as_micros() as i64 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE gathers SET deadline_us = ? WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?",
        )?
        .execute(params![deadline_us, key.gatherer.as_str(), key.video.tenant, key.video.video, key.window])?;
    Ok(())
}

/// Writes an item.
fn put(connection: &Connection, key: &GatherKey, item: &str, body: &[u8]) -> Result<()> {
    let values = named_params! {
        ":gatherer": key.gatherer.as_str(),
        ":tenant": key.video.tenant,
        ":video": key.video.video,
        ":window": key.window,
        ":item": item,
        ":body": body,
    };
    let replaced = connection
        .prepare_cached(
            "UPDATE gather_items SET body = :body
             WHERE gatherer = :gatherer AND tenant = :tenant AND video = :video AND window = :window AND item = :item",
        )?
        .execute(values)?;
    if replaced == 0 {
        connection
            .prepare_cached(
                "INSERT INTO gather_items (gatherer, tenant, video, window, item, body)
                 VALUES (:gatherer, :tenant, :video, :window, :item, :body)",
            )?
            .execute(values)?;
        count_items(connection, key, 1)?;
    }
    Ok(())
}

fn count_items(connection: &Connection, key: &GatherKey, change: i64) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE gathers SET items = items + ? WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?",
        )?
        .execute(params![change, key.gatherer.as_str(), key.video.tenant, key.video.video, key.window])?;
    Ok(())
}

pub(super) fn items(
    connection: &Connection,
    key: &GatherKey,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>> {
    // Every item sorts after the empty text, which is none itself.
    let mut statement = connection.prepare_cached(
        "SELECT item, body FROM gather_items
         WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ? AND item > ? ORDER BY item LIMIT ?",
    )?;
    let mut rows = statement.query(params![
        key.gatherer.as_str(),
        key.video.tenant,
        key.video.video,
        key.window,
        after.unwrap_or(""),
        limit_of(limit)
    ])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push((row.get(0)?, row.get(1)?));
    }
    Ok(items)
}

pub(super) fn item(connection: &Connection, key: &GatherKey, item: &str) -> Result<Option<Vec<u8>>> {
    let body = connection
        .prepare_cached(
            "SELECT body FROM gather_items
             WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ? AND item = ?",
        )?
        .query_row(params![key.gatherer.as_str(), key.video.tenant, key.video.video, key.window, item], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(body)
}

pub(super) fn count(connection: &Connection, key: &GatherKey) -> Result<u64> {
    let items: Option<i64> = connection
        .prepare_cached("SELECT items FROM gathers WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?")?
        .query_row(params![key.gatherer.as_str(), key.video.tenant, key.video.video, key.window], |row| row.get(0))
        .optional()?;
    Ok(items.map_or(0, i64::unsigned_abs))
}

pub(super) fn open_in(
    connection: &Connection,
    gatherer: Gatherer,
    partition: i32,
    limit: usize,
) -> Result<Vec<OpenGather>> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant, video, window, deadline_us FROM gathers
         WHERE gatherer = ? AND partition = ? AND closed = 0 ORDER BY deadline_us LIMIT ?",
    )?;
    let mut rows = statement.query(params![gatherer.as_str(), partition, limit_of(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (tenant, video): (String, String) = (row.get(0)?, row.get(1)?);
        found.push(OpenGather {
            tenant: tenant.parse().map_err(|e| corrupt("read the tenant of a gathering", e))?,
            video: video.parse().map_err(|e| corrupt("read the video of a gathering", e))?,
            window: row.get(2)?,
            deadline: timestamp(row.get(3)?)?,
        });
    }
    Ok(found)
}

pub(super) fn close(connection: &Connection, key: &GatherKey) -> Result<()> {
    connection
        .prepare_cached("UPDATE gathers SET closed = 1 WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?")?
        .execute(params![key.gatherer.as_str(), key.video.tenant, key.video.video, key.window])?;
    Ok(())
}

pub(super) fn reopen(
    connection: &Connection,
    key: &GatherKey,
    deadline_us: i64,
    without: Option<&str>,
    with: Option<(&str, &[u8])>,
) -> Result<bool> {
    let opened = connection
        .prepare_cached(
            "UPDATE gathers SET closed = 0, deadline_us = ?
             WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ?",
        )?
        .execute(params![deadline_us, key.gatherer.as_str(), key.video.tenant, key.video.video, key.window])?;
    if opened == 0 {
        return Ok(false);
    }
    if let Some(without) = without {
        let removed = connection
            .prepare_cached(
                "DELETE FROM gather_items WHERE gatherer = ? AND tenant = ? AND video = ? AND window = ? AND item = ?",
            )?
            .execute(params![key.gatherer.as_str(), key.video.tenant, key.video.video, key.window, without])?;
        count_items(connection, key, -i64::try_from(removed).unwrap_or(0))?;
    }
    if let Some((item, body)) = with {
        put(connection, key, item, body)?;
    }
    Ok(true)
}

/// Removes all that any gatherer gathered of a video.
pub(super) fn delete(connection: &Connection, video: &VideoKey) -> Result<()> {
    for gatherer in [Gatherer::Join, Gatherer::Deliver] {
        for table in ["gathers", "gather_items"] {
            connection
                .prepare_cached(&format!("DELETE FROM {table} WHERE gatherer = ? AND tenant = ? AND video = ?"))?
                .execute(params![gatherer.as_str(), video.tenant, video.video])?;
        }
    }
    Ok(())
}
