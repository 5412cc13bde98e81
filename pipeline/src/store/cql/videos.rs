//! Videos: created, listed, cancelled, deleted. What a caller sees of a video follows from its row alone; the lists
//! only say where to look. See `lists.rs` for why they are written first.

use futures::{TryStreamExt, try_join};
use jiff::Timestamp;
use prost::Message;
use scylla::value::MaybeUnset;
use uuid::Uuid;

use super::connection::{Connection, Query, Swap};
use super::fault::{contended, corrupt};
use super::lists::{self, List, Pointer};
use super::{VideoKey, timestamp};
use crate::event::{Event, VideoSubmitted};
use crate::id::VideoId;
use crate::store::{Created, Error, NewVideo, Page, Paged, Result, State, Video, VideoFilter, VideoState};

/// Rows read at once while a list is walked.
const READS: usize = 16;

/// How often a creation is tried while its row cannot be seen.
const TRIES: usize = 8;

static CREATE: Query = Query::swap(
    "INSERT INTO videos (tenant, video, submitted, name, request_hash, created_us, lane, made_by)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
);
static MADE: Query = Query::serial_read(
    "SELECT created_us, request_hash, made_by, deleted_us FROM videos WHERE tenant = ? AND video = ?",
);
static FULL: Query = Query::read(
    "SELECT submitted, name, request_hash, created_us, lane, state, state_name, lane_found, published, cancelled_us,
         deleted_us
     FROM videos WHERE tenant = ? AND video = ?",
);
static BRIEF: Query = Query::read(
    "SELECT created_us, state_name, state_seq, cancelled_us, deleted_us FROM videos WHERE tenant = ? AND video = ?",
);
static PUBLISHED: Query = Query::write("UPDATE videos SET published = true WHERE tenant = ? AND video = ?");
static CANCEL: Query = Query::write("UPDATE videos SET cancelled_us = ? WHERE tenant = ? AND video = ?");
static DELETE: Query =
    Query::write("UPDATE videos SET deleted_us = ?, submitted = null, name = null WHERE tenant = ? AND video = ?");
static SET_STATE: Query = Query::write(
    "UPDATE videos USING TIMESTAMP ? SET state = ?, state_name = ?, state_seq = ?, lane_found = ?
     WHERE tenant = ? AND video = ?",
);

pub(super) static STATEMENTS: &[&Query] = &[&CREATE, &MADE, &FULL, &BRIEF, &PUBLISHED, &CANCEL, &DELETE, &SET_STATE];

#[derive(Debug, scylla::DeserializeRow)]
struct FullRow {
    submitted: Option<Vec<u8>>,
    name: Option<String>,
    request_hash: Option<String>,
    created_us: i64,
    lane: Option<String>,
    state: Option<String>,
    state_name: Option<String>,
    lane_found: Option<String>,
    published: Option<bool>,
    cancelled_us: Option<i64>,
    deleted_us: Option<i64>,
}

/// What decides how a video is shown, without what a user wrote.
#[derive(Debug, scylla::DeserializeRow)]
pub(super) struct BriefRow {
    created_us: i64,
    state_name: Option<String>,
    state_seq: Option<i64>,
    cancelled_us: Option<i64>,
    deleted_us: Option<i64>,
}

impl BriefRow {
    pub(super) fn is_deleted(&self) -> bool {
        self.deleted_us.is_some()
    }

    /// Returns the state a caller sees.
    pub(super) fn shown(&self) -> Result<State> {
        Ok(shown(recorded(self.state_name.as_deref())?, self.cancelled_us.is_some()))
    }
}

/// A cancelled video is shown as such unless it ended before.
fn shown(recorded: State, cancelled: bool) -> State {
    if cancelled && !recorded.is_final() { State::Cancelled } else { recorded }
}

/// Reads the name of a state; there is none until something is recorded.
fn recorded(name: Option<&str>) -> Result<State> {
    let Some(name) = name else { return Ok(State::Queued) };
    let found = State::ALL.into_iter().find(|state| state.as_str() == name);
    found.ok_or_else(|| Error::Corrupt(anyhow::anyhow!("no state of a video is called {name}")))
}

/// Of many that create one video at once, the row decides who made it. A row has its pointers from the start, so
/// that whatever becomes of this process the video is found, and published.
pub(super) async fn create(connection: &Connection, key: &VideoKey, video: &NewVideo) -> Result<Created> {
    let submitted = VideoSubmitted { job: video.job.clone(), source: Some(video.source.clone()) }.encode_to_vec();
    let (created_us, lane, me) = (video.created_at.as_microsecond(), video.job.lane().as_str(), Uuid::new_v4());
    let pointer = key.pointer(created_us);
    let first_lists = [List::unpublished(), List::all(&key.tenant), List::of_state(&key.tenant, State::Queued)];
    let [unpublished, all, queued] = &first_lists;
    try_join!(
        lists::add(connection, unpublished, &pointer),
        lists::add(connection, all, &pointer),
        lists::add(connection, queued, &pointer),
    )?;
    for _ in 0..TRIES {
        let values = (&key.tenant, &key.video, &submitted, &video.name, &video.request_hash, created_us, lane, me);
        let swap = connection.swap(&CREATE, values).await?;
        if matches!(swap, Swap::Applied) {
            return Ok(Created::New);
        }
        let found: Option<(i64, String, Uuid, Option<i64>)> = match swap {
            Swap::Unknown(error) => connection.settle(&MADE, key.values(), error).await?,
            _ => connection.first(&MADE, key.values()).await?,
        };
        let Some((there_us, hash, made_by, deleted_us)) = found else { continue };
        if made_by == me {
            return Ok(Created::New);
        }
        if there_us != created_us || deleted_us.is_some() {
            for list in &first_lists {
                lists::remove(connection, list, &pointer).await?;
            }
        }
        // A row that was re-created from the event log has no hash: nothing contradicts the request.
        return Ok(if hash.is_empty() || hash == video.request_hash { Created::Existing } else { Created::Conflict });
    }
    Err(contended("create a video"))
}

/// The row decides; a pointer that is left over is retired by whoever reads it.
pub(super) async fn mark_published(connection: &Connection, key: &VideoKey) -> Result<()> {
    let Some(row) = brief(connection, key).await? else { return Ok(()) };
    connection.write(&PUBLISHED, key.values()).await?;
    lists::remove(connection, &List::unpublished(), &key.pointer(row.created_us)).await
}

pub(super) async fn unpublished(connection: &Connection, before: Timestamp, limit: usize) -> Result<Vec<NewVideo>> {
    let (list, before_us) = (List::unpublished(), before.as_microsecond());
    let mut found = Vec::new();
    for bucket in lists::buckets_up(connection, &list, before_us).await? {
        let pointers = lists::oldest(connection, &list, bucket, before_us).await?;
        let mut rows = pointers.map_ok(|pointer| pointed(connection, pointer)).try_buffered(READS);
        let mut empty = true;
        while let Some((pointer, row)) = rows.try_next().await? {
            empty = false;
            match row.filter(|row| row.is_at(&pointer) && row.published != Some(true)) {
                Some(row) => found.push(row.into_video()?.new),
                None => lists::retire(connection, &list, &pointer).await?,
            }
            if found.len() >= limit {
                return Ok(found);
            }
        }
        if empty {
            lists::retire_bucket(connection, &list, bucket).await?;
        }
    }
    Ok(found)
}

pub(super) async fn get(connection: &Connection, key: &VideoKey) -> Result<Option<Video>> {
    let row: Option<FullRow> = connection.first(&FULL, key.values()).await?;
    row.filter(|row| row.deleted_us.is_none()).map(FullRow::into_video).transpose()
}

/// Walks one list backwards, day by day; what it does not know is looked for on the way.
pub(super) async fn list(
    connection: &Connection,
    tenant: &str,
    filter: &VideoFilter,
    page: &Page,
) -> Result<Paged<Video>> {
    let list = filter.state.map_or_else(|| List::all(tenant), |state| List::of_state(tenant, state));
    let (start, from_us) = (filter.start(page), filter.earliest_us());
    let [first, last] = [start.0, from_us].map(|at_us| list.bucket(at_us));
    let mut paged = Paged { items: Vec::new(), next: None, examined: 0 };
    let mut stopped_at = None;
    for bucket in lists::buckets_down(connection, &list, start.0, from_us).await? {
        let pointers = lists::newest(connection, &list, bucket, &start).await?;
        let mut rows = pointers.map_ok(|pointer| pointed(connection, pointer)).try_buffered(READS);
        // Of the first and the last bucket only a part may be looked at.
        let mut empty = bucket != first && bucket != last;
        while let Some((pointer, row)) = rows.try_next().await? {
            empty = false;
            if pointer.created_us < from_us {
                return Ok(paged);
            }
            if paged.examined == filter.most_examined() {
                paged.next = stopped_at;
                return Ok(paged);
            }
            paged.examined += 1;
            stopped_at = Some(place(&pointer)?);
            match row {
                // One more than asked for tells whether there is a next page.
                Some(row) if row.belongs(&pointer, filter)? && paged.items.len() == page.limit => {
                    paged.next = paged.items.last().map(Video::place);
                    return Ok(paged);
                }
                Some(row) if row.belongs(&pointer, filter)? => paged.items.push(row.into_video()?),
                // One of another lane or with another error is in the right list all the same.
                Some(row) if row.is_listed(&pointer, filter.state)? => {}
                _ => lists::retire(connection, &list, &pointer).await?,
            }
        }
        if empty {
            lists::retire_bucket(connection, &list, bucket).await?;
        }
    }
    Ok(paged)
}

/// Returns where a pointer is in its list.
fn place(pointer: &Pointer) -> Result<(Timestamp, VideoId)> {
    let video = pointer.video.parse().map_err(|e| corrupt("read the id of a video", e))?;
    Ok((timestamp(pointer.created_us)?, video))
}

async fn pointed(connection: &Connection, pointer: Pointer) -> Result<(Pointer, Option<FullRow>)> {
    let row = connection.first(&FULL, (&pointer.tenant, &pointer.video)).await?;
    Ok((pointer, row))
}

/// A video that ended while it was being cancelled stays as it ended.
pub(super) async fn cancel(connection: &Connection, key: &VideoKey, at: Timestamp) -> Result<bool> {
    let Some(row) = brief(connection, key).await?.filter(|row| !row.is_deleted()) else { return Ok(false) };
    let before = row.shown()?;
    if before.is_final() && before != State::Cancelled {
        return Ok(false);
    }
    let pointer = key.pointer(row.created_us);
    lists::add(connection, &List::of_state(&key.tenant, State::Cancelled), &pointer).await?;
    if row.cancelled_us.is_none() {
        connection.write(&CANCEL, (at.as_microsecond(), &key.tenant, &key.video)).await?;
    }
    let Some(row) = brief(connection, key).await?.filter(|row| !row.is_deleted()) else { return Ok(false) };
    let after = row.shown()?;
    if before != after {
        lists::remove(connection, &List::of_state(&key.tenant, before), &pointer).await?;
    }
    Ok(after == State::Cancelled)
}

/// Blanks the row, which stays as the tombstone, then removes its log and clips. Asked again, it does all of it again,
/// whatever a crash left.
pub(super) async fn delete(connection: &Connection, key: &VideoKey, at: Timestamp) -> Result<()> {
    if let Some(row) = brief(connection, key).await? {
        let deleted_us = row.deleted_us.unwrap_or(at.as_microsecond());
        connection.write(&DELETE, (deleted_us, &key.tenant, &key.video)).await?;
        let shown = List::of_state(&key.tenant, row.shown()?);
        for list in [List::unpublished(), List::all(&key.tenant), shown] {
            lists::remove(connection, &list, &key.pointer(row.created_us)).await?;
        }
    }
    Ok(())
}

pub(super) async fn is_unwanted(connection: &Connection, key: &VideoKey) -> Result<bool> {
    let Some(row) = brief(connection, key).await? else { return Ok(false) };
    Ok(row.is_deleted() || row.shown()? == State::Cancelled)
}

pub(super) async fn is_deleted(connection: &Connection, key: &VideoKey) -> Result<bool> {
    Ok(brief(connection, key).await?.is_some_and(|row| row.is_deleted()))
}

pub(super) async fn brief(connection: &Connection, key: &VideoKey) -> Result<Option<BriefRow>> {
    connection.first(&BRIEF, key.values()).await
}

/// Writes the state that follows from the log up to `seq` to the video whose row was `row`, unless that tells of as much: whoever
/// wrote it may have died before the log had its entry, and what comes again was made from a state that has it already.
pub(super) async fn set_state(
    connection: &Connection,
    key: &VideoKey,
    row: &BriefRow,
    seq: i64,
    state: &VideoState,
) -> Result<()> {
    if row.state_seq.is_some_and(|known| known >= seq) {
        return Ok(());
    }
    let before = row.shown()?;
    let after = shown(state.state, row.cancelled_us.is_some());
    let pointer = key.pointer(row.created_us);
    if before != after {
        lists::add(connection, &List::of_state(&key.tenant, after), &pointer).await?;
    }
    let text = serde_json::to_string(state).map_err(|e| corrupt("encode the state of a video", e))?;
    let lane = state.lane.as_ref().map_or(MaybeUnset::Unset, MaybeUnset::Set);
    // Places begin at 0, times at 1.
    let values = (seq.saturating_add(1), text, state.state.as_str(), seq, lane, &key.tenant, &key.video);
    connection.write(&SET_STATE, values).await?;
    if before != after {
        lists::remove(connection, &List::of_state(&key.tenant, before), &pointer).await?;
    }
    Ok(())
}

impl FullRow {
    /// Says whether `pointer` is this video's own.
    fn is_at(&self, pointer: &Pointer) -> bool {
        self.deleted_us.is_none() && self.created_us == pointer.created_us
    }

    /// Says whether `pointer` is this video's own, in a list of all or of those in `state`.
    fn is_listed(&self, pointer: &Pointer, state: Option<State>) -> Result<bool> {
        let shown = shown(recorded(self.state_name.as_deref())?, self.cancelled_us.is_some());
        Ok(self.is_at(pointer) && state.is_none_or(|wanted| wanted == shown))
    }

    /// Says whether besides the video passes `filter`, whose times are the list's.
    fn belongs(&self, pointer: &Pointer, filter: &VideoFilter) -> Result<bool> {
        if !self.is_listed(pointer, filter.state)? {
            return Ok(false);
        }
        let lane = self.lane_found.as_ref().or(self.lane.as_ref());
        if filter.lane.is_some_and(|wanted| lane.is_none_or(|lane| lane != wanted.as_str())) {
            return Ok(false);
        }
        let Some(wanted) = &filter.error else { return Ok(true) };
        Ok(self.read_state()?.error.is_some_and(|error| error.code == *wanted))
    }

    fn read_state(&self) -> Result<VideoState> {
        let state = self.state.as_ref().map(|text| serde_json::from_str(text)).transpose();
        Ok(state.map_err(|e| corrupt("read the state of a video", e))?.unwrap_or_default())
    }

    fn into_video(self) -> Result<Video> {
        let state = self.read_state()?;
        let submitted = VideoSubmitted::read(&self.submitted.unwrap_or_default());
        let submitted = submitted.map_err(|e| corrupt("read the request for a video", e))?;
        let source = submitted.source.ok_or_else(|| Error::Corrupt(anyhow::anyhow!("a video has no source")))?;
        Ok(Video {
            new: NewVideo {
                job: submitted.job,
                source,
                name: self.name.unwrap_or_default(),
                created_at: timestamp(self.created_us)?,
                request_hash: self.request_hash.unwrap_or_default(),
            },
            state,
            cancelled_at: self.cancelled_us.map(timestamp).transpose()?,
        })
    }
}
