//! The log of a video, and the clips it tells of. A row of `log_events` says which place an event has, so that one
//! published twice is logged once; the row of `log` is written last and says that all that goes with it is there.
//! Whoever died in between is finished by the next delivery of the same record, and readers see an entry only once
//! the state that follows from it is written.

use futures::TryStreamExt;
use prost::Message;

use super::connection::{Connection, Query, Swap};
use super::fault::{contended, corrupt};
use super::{VideoKey, limit_of, videos};
use crate::event::{Clip, Event, VideoEvent};
use crate::store::{LogEntry, Result, VideoState};

/// Places of `video.event` in one bucket: the most entries a partition of a log can have.
const BUCKET: i64 = 1 << 16;

/// How often a place is asked for while its row cannot be seen.
const TRIES: usize = 16;

static PLACE: Query =
    Query::swap("INSERT INTO log_events (tenant, video, event, seq) VALUES (?, ?, ?, ?) IF NOT EXISTS");
static PLACED: Query = Query::serial_read("SELECT seq FROM log_events WHERE tenant = ? AND video = ? AND event = ?");
static IS_ADDED: Query = Query::read("SELECT seq FROM log WHERE tenant = ? AND video = ? AND bucket = ? AND seq = ?");
static ADD_BUCKET: Query = Query::write("INSERT INTO log_buckets (tenant, video, bucket) VALUES (?, ?, ?)");
static ADD: Query = Query::write("INSERT INTO log (tenant, video, bucket, seq, body) VALUES (?, ?, ?, ?, ?)");
static ADD_CLIP: Query = Query::write("INSERT INTO clips (tenant, video, clip, body) VALUES (?, ?, ?, ?)");
static BUCKETS: Query = Query::read("SELECT bucket FROM log_buckets WHERE tenant = ? AND video = ? AND bucket >= ?");
static AFTER: Query =
    Query::read("SELECT seq, body FROM log WHERE tenant = ? AND video = ? AND bucket = ? AND seq > ? LIMIT ?");
static CLIPS: Query = Query::read("SELECT body FROM clips WHERE tenant = ? AND video = ?");
static CLIP: Query = Query::read("SELECT body FROM clips WHERE tenant = ? AND video = ? AND clip = ?");
static DELETE: Query = Query::write("DELETE FROM log WHERE tenant = ? AND video = ? AND bucket = ?");
static DELETE_BUCKETS: Query = Query::write("DELETE FROM log_buckets WHERE tenant = ? AND video = ?");
static DELETE_EVENTS: Query = Query::write("DELETE FROM log_events WHERE tenant = ? AND video = ?");
static DELETE_CLIPS: Query = Query::write("DELETE FROM clips WHERE tenant = ? AND video = ?");

pub(super) static STATEMENTS: &[&Query] = &[
    &PLACE,
    &PLACED,
    &IS_ADDED,
    &ADD_BUCKET,
    &ADD,
    &ADD_CLIP,
    &BUCKETS,
    &AFTER,
    &CLIPS,
    &CLIP,
    &DELETE,
    &DELETE_BUCKETS,
    &DELETE_EVENTS,
    &DELETE_CLIPS,
];

pub(super) async fn add(
    connection: &Connection,
    key: &VideoKey,
    entry: &LogEntry,
    state: &VideoState,
    clip: Option<&Clip>,
) -> Result<bool> {
    let video = videos::brief(connection, key).await?;
    if video.as_ref().is_some_and(|row| row.is_deleted()) {
        return Ok(false);
    }
    let bucket = entry.seq.div_euclid(BUCKET);
    match place(connection, key, entry).await? {
        Place::New => {}
        Place::Another => return Ok(false),
        // Delivered again: done, unless whoever had it before died on the way.
        Place::Same => {
            let values = (&key.tenant, &key.video, bucket, entry.seq);
            if connection.first::<(i64,)>(&IS_ADDED, values).await?.is_some() {
                return Ok(false);
            }
        }
    }
    if let Some(clip) = clip {
        connection.write(&ADD_CLIP, (&key.tenant, &key.video, &clip.id, clip.encode_to_vec())).await?;
    }
    if let Some(video) = &video {
        videos::set_state(connection, key, video, entry.seq, state).await?;
    }
    connection.write(&ADD_BUCKET, (&key.tenant, &key.video, bucket)).await?;
    let body = entry.event.encode_to_vec();
    connection.write(&ADD, (&key.tenant, &key.video, bucket, entry.seq, body)).await?;
    // Whoever deleted the video meanwhile either found what was written here, or is seen here.
    if videos::is_deleted(connection, key).await? {
        delete(connection, key).await?;
        return Ok(false);
    }
    Ok(true)
}

/// Where an event is in its log.
enum Place {
    /// Nowhere before this call.
    New,
    /// At the place that is asked for.
    Same,
    /// At another one: it was published twice.
    Another,
}

async fn place(connection: &Connection, key: &VideoKey, entry: &LogEntry) -> Result<Place> {
    let event = &entry.event.id;
    for _ in 0..TRIES {
        let swap = connection.swap(&PLACE, (&key.tenant, &key.video, event, entry.seq)).await?;
        if matches!(swap, Swap::Applied) {
            return Ok(Place::New);
        }
        let values = (&key.tenant, &key.video, event);
        let found: Option<(i64,)> = match swap {
            Swap::Unknown(error) => connection.settle(&PLACED, values, error).await?,
            _ => connection.first(&PLACED, values).await?,
        };
        match found {
            Some((seq,)) if seq == entry.seq => return Ok(Place::Same),
            Some(_) => return Ok(Place::Another),
            None => {}
        }
    }
    Err(contended("place an event in a log"))
}

pub(super) async fn after(
    connection: &Connection,
    key: &VideoKey,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<LogEntry>> {
    let after = after.unwrap_or(i64::MIN);
    let mut entries = Vec::new();
    let from = (&key.tenant, &key.video, after.div_euclid(BUCKET));
    for (bucket,) in connection.rows::<(i64,)>(&BUCKETS, from).await? {
        let left = limit_of(limit - entries.len());
        if left == 0 {
            break;
        }
        let values = (&key.tenant, &key.video, bucket, after, left);
        let mut rows = connection.stream::<(i64, Vec<u8>)>(&AFTER, values).await?;
        while let Some((seq, body)) = rows.try_next().await? {
            let event = VideoEvent::read(&body).map_err(|e| corrupt("read an entry of a video's log", e))?;
            entries.push(LogEntry { seq, event });
        }
    }
    Ok(entries)
}

pub(super) async fn clips(connection: &Connection, key: &VideoKey) -> Result<Vec<Clip>> {
    let rows: Vec<(Vec<u8>,)> = connection.rows(&CLIPS, key.values()).await?;
    let mut clips = rows.iter().map(|(body,)| decode(body)).collect::<Result<Vec<Clip>>>()?;
    // A video has at most 20 clips a window: sorted here, no table of its own is needed.
    clips.sort_by(|a, b| (a.start_us, a.end_us, &a.id).cmp(&(b.start_us, b.end_us, &b.id)));
    Ok(clips)
}

pub(super) async fn clip(connection: &Connection, key: &VideoKey, clip: &str) -> Result<Option<Clip>> {
    let row: Option<(Vec<u8>,)> = connection.first(&CLIP, (&key.tenant, &key.video, clip)).await?;
    row.map(|(body,)| decode(&body)).transpose()
}

/// Removes the log, the buckets last: a repeat finds what a crash left by them.
pub(super) async fn delete(connection: &Connection, key: &VideoKey) -> Result<()> {
    let from = (&key.tenant, &key.video, i64::MIN);
    for (bucket,) in connection.rows::<(i64,)>(&BUCKETS, from).await? {
        connection.write(&DELETE, (&key.tenant, &key.video, bucket)).await?;
    }
    for query in [&DELETE_BUCKETS, &DELETE_EVENTS, &DELETE_CLIPS] {
        connection.write(query, key.values()).await?;
    }
    Ok(())
}

fn decode(body: &[u8]) -> Result<Clip> {
    Clip::decode(body).map_err(|e| corrupt("read a clip", e))
}
