//! What gatherers gathered. The row of `gathers` decides whether a gathering is open and until when; `open_gathers`
//! only says where to look, and is written first. Names and bodies of items lie apart: names are counted without
//! reading a body, and a body of megabytes is a partition of its own. A name is written after its body.

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::connection::{Connection, Query};
use super::fault::corrupt;
use super::lists::SETTLED_US;
use super::{VideoKey, limit_of, timestamp, videos};
use crate::store::gather::DEADLINE_STEP;
use crate::store::{Gatherer, OpenGather, Result};

/// Gatherings read at once.
const READS: usize = 16;

/// Bodies read or removed at once; each may have megabytes.
const BODIES: usize = 4;

static READ: Query = Query::read(
    "SELECT topic_partition, deadline_us, closed FROM gathers
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static OPEN: Query = Query::write(
    "INSERT INTO gathers (gatherer, tenant, video, window_index, topic_partition, deadline_us)
     VALUES (?, ?, ?, ?, ?, ?)",
);
static POSTPONE: Query = Query::write(
    "UPDATE gathers SET deadline_us = ? WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static CLOSE: Query = Query::write(
    "UPDATE gathers SET closed = true WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static REOPEN: Query = Query::write(
    "UPDATE gathers SET closed = false, deadline_us = ?
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static WINDOWS: Query =
    Query::read("SELECT window_index, topic_partition FROM gathers WHERE gatherer = ? AND tenant = ? AND video = ?");
static DELETE: Query = Query::write("DELETE FROM gathers WHERE gatherer = ? AND tenant = ? AND video = ?");

static POINT: Query = Query::write(
    "INSERT INTO open_gathers (gatherer, topic_partition, tenant, video, window_index, deadline_us)
     VALUES (?, ?, ?, ?, ?, ?)",
);
static UNPOINT: Query = Query::write(
    "DELETE FROM open_gathers
     WHERE gatherer = ? AND topic_partition = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static RETIRE: Query = Query::write(
    "DELETE FROM open_gathers USING TIMESTAMP ?
     WHERE gatherer = ? AND topic_partition = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static POINTERS: Query = Query::read(
    "SELECT deadline_us, tenant, video, window_index FROM open_gathers WHERE gatherer = ? AND topic_partition = ?",
);

static PUT: Query = Query::write(
    "INSERT INTO gather_items (gatherer, tenant, video, window_index, item, body) VALUES (?, ?, ?, ?, ?, ?)",
);
static NAME: Query =
    Query::write("INSERT INTO gather_names (gatherer, tenant, video, window_index, item) VALUES (?, ?, ?, ?, ?)");
static BODY: Query = Query::read(
    "SELECT body FROM gather_items
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ? AND item = ?",
);
static NAMES: Query = Query::read(
    "SELECT item FROM gather_names
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ? AND item > ? LIMIT ?",
);
static COUNT: Query = Query::read(
    "SELECT COUNT(*) FROM gather_names WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?",
);
static REMOVE: Query = Query::write(
    "DELETE FROM gather_items
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ? AND item = ?",
);
static REMOVE_NAME: Query = Query::write(
    "DELETE FROM gather_names
     WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ? AND item = ?",
);
static REMOVE_NAMES: Query =
    Query::write("DELETE FROM gather_names WHERE gatherer = ? AND tenant = ? AND video = ? AND window_index = ?");

pub(super) static STATEMENTS: &[&Query] = &[
    &READ,
    &OPEN,
    &POSTPONE,
    &CLOSE,
    &REOPEN,
    &WINDOWS,
    &DELETE,
    &POINT,
    &UNPOINT,
    &RETIRE,
    &POINTERS,
    &PUT,
    &NAME,
    &BODY,
    &NAMES,
    &COUNT,
    &REMOVE,
    &REMOVE_NAME,
    &REMOVE_NAMES,
];

/// The key of a gathering.
pub(super) struct GatherKey {
    pub(super) gatherer: Gatherer,
    pub(super) video: VideoKey,
    pub(super) window: u32,
}

impl GatherKey {
    fn values(&self) -> (&str, &str, &str, i32) {
        (self.gatherer.as_str(), &self.video.tenant, &self.video.video, self.window.cast_signed())
    }
}

#[derive(Debug, scylla::DeserializeRow)]
struct Gathering {
    topic_partition: Option<i32>,
    deadline_us: Option<i64>,
    closed: Option<bool>,
}

pub(super) async fn gather(
    connection: &Connection,
    key: &GatherKey,
    partition: i32,
    deadline_us: i64,
    item: &str,
    body: &[u8],
) -> Result<bool> {
    let found: Option<Gathering> = connection.first(&READ, key.values()).await?;
    let partition = match found {
        Some(Gathering { closed: Some(true), .. }) => return Ok(false),
        Some(Gathering { topic_partition: Some(kept), deadline_us: Some(kept_us), .. }) => {
            postpone(connection, key, kept, kept_us, deadline_us).await?;
            kept
        }
        _ if videos::is_deleted(connection, &key.video).await? => return Ok(false),
        _ => {
            open(connection, key, partition, deadline_us).await?;
            partition
        }
    };
    put(connection, key, partition, item, body).await
}

/// Writes an item; says whether its video is there.
async fn put(connection: &Connection, key: &GatherKey, partition: i32, item: &str, body: &[u8]) -> Result<bool> {
    let (gatherer, tenant, video, window) = key.values();
    connection.write(&PUT, (gatherer, tenant, video, window, item, body)).await?;
    connection.write(&NAME, (gatherer, tenant, video, window, item)).await?;
    // Whoever deleted the video meanwhile either found what was written here, or is seen here.
    if videos::is_deleted(connection, &key.video).await? {
        delete_window(connection, key, Some(partition)).await?;
        delete(connection, &key.video).await?;
        return Ok(false);
    }
    Ok(true)
}

/// The pointer comes first: one that leads nowhere does no harm, a gathering without one would never end.
async fn open(connection: &Connection, key: &GatherKey, partition: i32, deadline_us: i64) -> Result<()> {
    let (gatherer, tenant, video, window) = key.values();
    connection.write(&POINT, (gatherer, partition, tenant, video, window, deadline_us)).await?;
    connection.write(&OPEN, (gatherer, tenant, video, window, partition, deadline_us)).await
}

/// The pointer comes second: too early, it is looked at in vain; too late, a deadline would be missed.
async fn postpone(
    connection: &Connection,
    key: &GatherKey,
    partition: i32,
    kept_us: i64,
    deadline_us: i64,
) -> Result<()> {
    if deadline_us.saturating_sub(kept_us) < DEADLINE_STEP.as_micros() as i64 {
        return Ok(());
    }
    let (gatherer, tenant, video, window) = key.values();
    connection.write(&POSTPONE, (deadline_us, gatherer, tenant, video, window)).await?;
    connection.write(&POINT, (gatherer, partition, tenant, video, window, deadline_us)).await
}

pub(super) async fn items(
    connection: &Connection,
    key: &GatherKey,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<(String, Vec<u8>)>> {
    let (gatherer, tenant, video, window) = key.values();
    // Every item sorts after the empty text, which is none itself.
    let values = (gatherer, tenant, video, window, after.unwrap_or(""), limit_of(limit));
    let names: Vec<(String,)> = connection.rows(&NAMES, values).await?;
    let bodies = futures::stream::iter(names).map(|(name,)| async move {
        let body = item(connection, key, &name).await?;
        Ok::<_, crate::store::Error>(body.map(|body| (name, body)))
    });
    let found: Vec<Option<(String, Vec<u8>)>> = bodies.buffered(BODIES).try_collect().await?;
    // One whose body is gone is being deleted.
    Ok(found.into_iter().flatten().collect())
}

pub(super) async fn item(connection: &Connection, key: &GatherKey, item: &str) -> Result<Option<Vec<u8>>> {
    let (gatherer, tenant, video, window) = key.values();
    let row: Option<(Vec<u8>,)> = connection.first(&BODY, (gatherer, tenant, video, window, item)).await?;
    Ok(row.map(|(body,)| body))
}

pub(super) async fn count(connection: &Connection, key: &GatherKey) -> Result<u64> {
    let row: Option<(i64,)> = connection.first(&COUNT, key.values()).await?;
    Ok(row.map_or(0, |(count,)| count.unsigned_abs()))
}

/// The pointers of a partition are as many as its open gatherings, so they are sorted here: a place in a sorted table
/// would move with every deadline.
pub(super) async fn open_in(
    connection: &Connection,
    gatherer: Gatherer,
    partition: i32,
    limit: usize,
) -> Result<Vec<OpenGather>> {
    let mut pointers: Vec<(i64, String, String, i32)> =
        connection.rows(&POINTERS, (gatherer.as_str(), partition)).await?;
    pointers.sort_unstable();
    let reads = futures::stream::iter(pointers).map(|(_, tenant, video, window)| async move {
        let key = GatherKey { gatherer, video: VideoKey { tenant, video }, window: window.cast_unsigned() };
        open_at(connection, key, partition).await
    });
    let mut reads = reads.buffered(READS);
    let mut found = Vec::new();
    while let Some(open) = reads.try_next().await? {
        found.extend(open);
        if found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    found.sort_by_key(|open| open.deadline);
    Ok(found)
}

/// Returns the gathering if it is open in `partition`; else retires the pointer that led to it.
async fn open_at(connection: &Connection, key: GatherKey, partition: i32) -> Result<Option<OpenGather>> {
    let row: Option<Gathering> = connection.first(&READ, key.values()).await?;
    let open = row.filter(|row| row.closed != Some(true) && row.topic_partition == Some(partition));
    let Some(deadline_us) = open.and_then(|row| row.deadline_us) else {
        let (gatherer, tenant, video, window) = key.values();
        let settled_us = Timestamp::now().as_microsecond() - SETTLED_US;
        connection.write(&RETIRE, (settled_us, gatherer, partition, tenant, video, window)).await?;
        return Ok(None);
    };
    Ok(Some(OpenGather {
        tenant: key.video.tenant.parse().map_err(|e| corrupt("read the tenant of a gathering", e))?,
        video: key.video.video.parse().map_err(|e| corrupt("read the video of a gathering", e))?,
        window: key.window,
        deadline: timestamp(deadline_us)?,
    }))
}

pub(super) async fn close(connection: &Connection, key: &GatherKey) -> Result<()> {
    let found: Option<Gathering> = connection.first(&READ, key.values()).await?;
    let Some(partition) = found.and_then(|row| row.topic_partition) else { return Ok(()) };
    let (gatherer, tenant, video, window) = key.values();
    connection.write(&CLOSE, key.values()).await?;
    connection.write(&UNPOINT, (gatherer, partition, tenant, video, window)).await
}

/// The pointer is written before the row that opens, as when a gathering is new. The name of what goes is removed
/// before its body: counted it must not be.
pub(super) async fn reopen(
    connection: &Connection,
    key: &GatherKey,
    deadline_us: i64,
    without: Option<&str>,
    with: Option<(&str, &[u8])>,
) -> Result<bool> {
    let found: Option<Gathering> = connection.first(&READ, key.values()).await?;
    let Some(partition) = found.and_then(|row| row.topic_partition) else { return Ok(false) };
    let (gatherer, tenant, video, window) = key.values();
    if let Some(without) = without {
        connection.write(&REMOVE_NAME, (gatherer, tenant, video, window, without)).await?;
        connection.write(&REMOVE, (gatherer, tenant, video, window, without)).await?;
    }
    connection.write(&POINT, (gatherer, partition, tenant, video, window, deadline_us)).await?;
    connection.write(&REOPEN, (deadline_us, gatherer, tenant, video, window)).await?;
    match with {
        Some((item, body)) => put(connection, key, partition, item, body).await,
        None => Ok(true),
    }
}

/// Removes all that any gatherer gathered of a video, the rows that lead to it last.
pub(super) async fn delete(connection: &Connection, video: &VideoKey) -> Result<()> {
    for gatherer in [Gatherer::Join, Gatherer::Deliver] {
        let of_video = (gatherer.as_str(), &video.tenant, &video.video);
        for (window, partition) in connection.rows::<(i32, Option<i32>)>(&WINDOWS, of_video).await? {
            let key = GatherKey { gatherer, video: video.clone(), window: window.cast_unsigned() };
            delete_window(connection, &key, partition).await?;
        }
        connection.write(&DELETE, of_video).await?;
    }
    Ok(())
}

async fn delete_window(connection: &Connection, key: &GatherKey, partition: Option<i32>) -> Result<()> {
    let (gatherer, tenant, video, window) = key.values();
    if let Some(partition) = partition {
        connection.write(&UNPOINT, (gatherer, partition, tenant, video, window)).await?;
    }
    let names = connection.stream::<(String,)>(&NAMES, (gatherer, tenant, video, window, "", i32::MAX)).await?;
    let removed = names.try_for_each_concurrent(BODIES, |(item,)| async move {
        connection.write(&REMOVE, (gatherer, tenant, video, window, item)).await
    });
    removed.await?;
    connection.write(&REMOVE_NAMES, key.values()).await
}
