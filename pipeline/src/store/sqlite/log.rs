//! The log of a video, and the clips it tells of.

use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::fault::corrupt;
use super::{VideoKey, limit_of, videos};
use crate::event::{Clip, Event, VideoEvent};
use crate::store::{LogEntry, Result, VideoState};

pub(super) fn add(
    connection: &Connection,
    key: &VideoKey,
    entry: &LogEntry,
    state: &VideoState,
    clip: Option<&Clip>,
) -> Result<bool> {
    if videos::is_deleted(connection, key)? {
        return Ok(false);
    }
    let added = connection
        .prepare_cached(
            "INSERT INTO log (tenant, video, seq, event, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![key.tenant, key.video, entry.seq, entry.event.id, entry.event.encode_to_vec()])?;
    if added == 0 {
        return Ok(false);
    }
    videos::set_state(connection, key, state)?;
    if let Some(clip) = clip {
        connection
            .prepare_cached("INSERT OR REPLACE INTO clips (tenant, video, clip, body) VALUES (?, ?, ?, ?)")?
            .execute(params![key.tenant, key.video, clip.id, clip.encode_to_vec()])?;
    }
    Ok(true)
}

pub(super) fn after(
    connection: &Connection,
    key: &VideoKey,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<LogEntry>> {
    let mut statement = connection
        .prepare_cached("SELECT seq, body FROM log WHERE tenant = ? AND video = ? AND seq > ? ORDER BY seq LIMIT ?")?;
    let mut rows = statement.query(params![key.tenant, key.video, after.unwrap_or(i64::MIN), limit_of(limit)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let body: Vec<u8> = row.get(1)?;
        let event = VideoEvent::read(&body).map_err(|e| corrupt("read an entry of a video's log", e))?;
        entries.push(LogEntry { seq: row.get(0)?, event });
    }
    Ok(entries)
}

pub(super) fn clips(connection: &Connection, key: &VideoKey) -> Result<Vec<Clip>> {
    let mut statement = connection.prepare_cached("SELECT body FROM clips WHERE tenant = ? AND video = ?")?;
    let mut rows = statement.query(params![key.tenant, key.video])?;
    let mut clips = Vec::new();
    while let Some(row) = rows.next()? {
        clips.push(decode(&row.get::<_, Vec<u8>>(0)?)?);
    }
    // A video has at most 20 clips a window: sorted here, no index is needed.
    clips.sort_by(|a, b| (a.start_us, a.end_us, &a.id).cmp(&(b.start_us, b.end_us, &b.id)));
    Ok(clips)
}

pub(super) fn clip(connection: &Connection, key: &VideoKey, clip: &str) -> Result<Option<Clip>> {
    let body: Option<Vec<u8>> = connection
        .prepare_cached("SELECT body FROM clips WHERE tenant = ? AND video = ? AND clip = ?")?
        .query_row(params![key.tenant, key.video, clip], |row| row.get(0))
        .optional()?;
    body.map(|bytes| decode(&bytes)).transpose()
}

fn decode(body: &[u8]) -> Result<Clip> {
    Clip::decode(body).map_err(|e| corrupt("read a clip", e))
}
