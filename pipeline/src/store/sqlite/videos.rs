//! Videos: created, listed, cancelled, deleted.

use jiff::Timestamp;
use prost::Message;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::fault::corrupt;
use super::{VideoKey, limit_of, micros, timestamp};
use crate::event::{Event, VideoSubmitted};
use crate::store::{Created, Error, NewVideo, Page, Paged, Result, Video, VideoFilter, VideoState};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "submitted, name, request_hash, created_us, state, cancelled_us";

pub(super) fn create(connection: &Connection, key: &VideoKey, video: &NewVideo) -> Result<Created> {
    let submitted = VideoSubmitted { job: video.job.clone(), source: Some(video.source.clone()) };
    let state = VideoState::default();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO videos (tenant, video, submitted, name, request_hash, created_us, state, shown, lane)
             VALUES (:tenant, :video, :submitted, :name, :request_hash, :created_us, :state, :shown, :lane)
             ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":tenant": key.tenant,
            ":video": key.video,
            ":submitted": submitted.encode_to_vec(),
            ":name": video.name,
            ":request_hash": video.request_hash,
            ":created_us": micros(video.created_at),
            ":state": encode_state(&state)?,
            ":shown": state.state.as_str(),
            ":lane": video.job.lane().as_str(),
        })?;
    if inserted == 1 {
        return Ok(Created::New);
    }
    let hash: String = connection
        .prepare_cached("SELECT request_hash FROM videos WHERE tenant = ? AND video = ?")?
        .query_row(params![key.tenant, key.video], |row| row.get(0))?;
    // A row that was re-created from the event log has no hash: nothing contradicts the request.
    Ok(if hash.is_empty() || hash == video.request_hash { Created::Existing } else { Created::Conflict })
}

pub(super) fn mark_published(connection: &Connection, key: &VideoKey) -> Result<()> {
    connection
        .prepare_cached("UPDATE videos SET published = 1 WHERE tenant = ? AND video = ?")?
        .execute(params![key.tenant, key.video])?;
    Ok(())
}

pub(super) fn unpublished(connection: &Connection, before: Timestamp, limit: usize) -> Result<Vec<NewVideo>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM videos WHERE published = 0 AND deleted_us IS NULL AND created_us < ?
         ORDER BY created_us LIMIT ?"
    ))?;
    let mut rows = statement.query(params![micros(before), limit_of(limit)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?.new);
    }
    Ok(found)
}

pub(super) fn get(connection: &Connection, key: &VideoKey) -> Result<Option<Video>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM videos WHERE tenant = ? AND video = ? AND deleted_us IS NULL"
    ))?;
    let mut rows = statement.query(params![key.tenant, key.video])?;
    rows.next()?.map(read).transpose()
}

/// Walks one index backwards; a lane is looked for on the way.
pub(super) fn list(connection: &Connection, tenant: &str, filter: &VideoFilter, page: &Page) -> Result<Paged<Video>> {
    let mut conditions = "tenant = ? AND deleted_us IS NULL".to_owned();
    let mut values: Vec<Value> = vec![tenant.to_owned().into()];
    if let Some(state) = filter.state {
        conditions.push_str(" AND shown = ?");
        values.push(state.as_str().to_owned().into());
    }
    if let Some(lane) = filter.lane {
        conditions.push_str(" AND lane = ?");
        values.push(lane.as_str().to_owned().into());
    }
    if let Some((at, video)) = page.after {
        conditions.push_str(" AND (created_us, video) < (?, ?)");
        values.extend([Value::from(micros(at)), video.to_string().into()]);
    }
    // One more than asked for tells whether there is a next page.
    values.push(limit_of(page.limit.saturating_add(1)).into());
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM videos WHERE {conditions} ORDER BY created_us DESC, video DESC LIMIT ?"
    ))?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(row)?);
    }
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    let next = items.last().filter(|_| more).map(|last| (last.new.created_at, last.new.job.video()));
    Ok(Paged { items, next })
}

pub(super) fn cancel(connection: &Connection, key: &VideoKey, at: Timestamp) -> Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE videos SET cancelled_us = COALESCE(cancelled_us, ?), shown = 'cancelled'
             WHERE tenant = ? AND video = ? AND deleted_us IS NULL AND shown IN ('queued', 'processing', 'cancelled')",
        )?
        .execute(params![micros(at), key.tenant, key.video])?;
    Ok(changed == 1)
}

/// Blanks the row, which stays as the tombstone, and removes its log and its clips.
pub(super) fn delete(connection: &Connection, key: &VideoKey, at: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE videos SET deleted_us = ?, submitted = x'', name = '', state = ''
             WHERE tenant = ? AND video = ? AND deleted_us IS NULL",
        )?
        .execute(params![micros(at), key.tenant, key.video])?;
    for table in ["log", "clips"] {
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE tenant = ? AND video = ?"))?
            .execute(params![key.tenant, key.video])?;
    }
    Ok(())
}

pub(super) fn is_unwanted(connection: &Connection, key: &VideoKey) -> Result<bool> {
    let unwanted = connection
        .prepare_cached(
            "SELECT deleted_us IS NOT NULL OR shown = 'cancelled' FROM videos WHERE tenant = ? AND video = ?",
        )?
        .query_row(params![key.tenant, key.video], |row| row.get(0))
        .optional()?;
    Ok(unwanted.unwrap_or(false))
}

pub(super) fn is_deleted(connection: &Connection, key: &VideoKey) -> Result<bool> {
    let deleted = connection
        .prepare_cached("SELECT deleted_us IS NOT NULL FROM videos WHERE tenant = ? AND video = ?")?
        .query_row(params![key.tenant, key.video], |row| row.get(0))
        .optional()?;
    Ok(deleted.unwrap_or(false))
}

/// Writes the state that follows from the log; a cancelled video is shown as such unless it ended before.
pub(super) fn set_state(connection: &Connection, key: &VideoKey, state: &VideoState) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE videos SET state = :state, lane = COALESCE(:lane, lane),
                 shown = CASE WHEN :open AND cancelled_us IS NOT NULL THEN 'cancelled' ELSE :shown END
             WHERE tenant = :tenant AND video = :video",
        )?
        .execute(named_params! {
            ":state": encode_state(state)?,
            ":lane": state.lane,
            ":open": !state.state.is_final(),
            ":shown": state.state.as_str(),
            ":tenant": key.tenant,
            ":video": key.video,
        })?;
    Ok(())
}

fn encode_state(state: &VideoState) -> Result<String> {
    serde_json::to_string(state).map_err(|e| corrupt("encode the state of a video", e))
}

fn read(row: &Row<'_>) -> Result<Video> {
    let submitted: Vec<u8> = row.get(0)?;
    let submitted = VideoSubmitted::read(&submitted).map_err(|e| corrupt("read the request for a video", e))?;
    let source = submitted.source.ok_or_else(|| Error::Corrupt(anyhow::anyhow!("a video has no source")))?;
    let state: String = row.get(4)?;
    let cancelled: Option<i64> = row.get(5)?;
    Ok(Video {
        new: NewVideo {
            job: submitted.job,
            source,
            name: row.get(1)?,
            created_at: timestamp(row.get(3)?)?,
            request_hash: row.get(2)?,
        },
        state: serde_json::from_str(&state).map_err(|e| corrupt("read the state of a video", e))?,
        cancelled_at: cancelled.map(timestamp).transpose()?,
    })
}

/// Returns the key of a new video.
pub(super) fn key_of(video: &NewVideo) -> VideoKey {
    VideoKey::new(&video.job.tenant(), video.job.video())
}
