//! Videos: created, listed, cancelled, deleted.

use jiff::Timestamp;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, named_params, params};

use super::fault::corrupt;
use super::{VideoKey, limit_of, micros, timestamp};
use crate::event::{Event, VideoSubmitted};
use crate::id::VideoId;
use crate::lane::Lane;
use crate::store::{Created, Error, NewVideo, Page, Paged, Result, State, Video, VideoFilter, VideoState};

/// The columns that [`read`] expects, in its order.
const COLUMNS: &str = "submitted, name, request_hash, created_us, state, cancelled_us";
/// Those that [`walk`] adds.
const VIDEO: usize = 6;
const LANE: usize = 7;
const ERROR: usize = 8;

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

/// Returns the statement that walks one index backwards. It is named: left to itself SQLite takes that of all states for
/// one of them, and goes through all rows between two that fit.
fn walk(filter: &VideoFilter) -> String {
    let (index, of_state) = match filter.state {
        Some(_) => ("videos_by_state", " AND shown = :state"),
        None => ("videos_by_time", ""),
    };
    // Only looked for where it is asked for: it has no column of its own.
    let error = if filter.error.is_some() { "json_extract(state, '$.error.code')" } else { "NULL" };
    format!(
        "SELECT {COLUMNS}, video, lane, {error} FROM videos INDEXED BY {index}
         WHERE tenant = :tenant AND deleted_us IS NULL{of_state}
             AND (created_us, video) < (:before_us, :before) AND created_us >= :from_us
         ORDER BY created_us DESC, video DESC"
    )
}

/// Walks one index backwards; what it does not know is looked for on the way.
pub(super) fn list(connection: &Connection, tenant: &str, filter: &VideoFilter, page: &Page) -> Result<Paged<Video>> {
    let mut statement = connection.prepare_cached(&walk(filter))?;
    let (start, from_us) = (filter.start(page), filter.earliest_us());
    let mut values: Vec<(&str, &dyn ToSql)> =
        vec![(":tenant", &tenant), (":before_us", &start.0), (":before", &start.1), (":from_us", &from_us)];
    let state = filter.state.map(State::as_str);
    if state.is_some() {
        values.push((":state", &state));
    }
    let mut rows = statement.query(&*values)?;
    let mut paged = Paged { items: Vec::new(), next: None, examined: 0 };
    let mut last = None;
    // One more than asked for tells whether there is a next page.
    while let Some(row) = rows.next()? {
        if paged.examined == filter.most_examined() {
            paged.next = last;
            break;
        }
        paged.examined += 1;
        last = Some(place(row)?);
        if !fits(row, filter)? {
            continue;
        }
        if paged.items.len() == page.limit {
            paged.next = paged.items.last().map(Video::place);
            break;
        }
        paged.items.push(read(row)?);
    }
    Ok(paged)
}

/// Says whether a row of [`walk`] has the lane and the error that are asked for.
fn fits(row: &Row<'_>, filter: &VideoFilter) -> Result<bool> {
    let is = |column: usize, wanted: Option<&str>| -> Result<bool> {
        let Some(wanted) = wanted else { return Ok(true) };
        Ok(row.get::<_, Option<String>>(column)?.as_deref() == Some(wanted))
    };
    Ok(is(LANE, filter.lane.map(Lane::as_str))? && is(ERROR, filter.error.as_deref())?)
}

/// Returns where a row of [`walk`] is in the list.
fn place(row: &Row<'_>) -> Result<(Timestamp, VideoId)> {
    let video: String = row.get(VIDEO)?;
    Ok((timestamp(row.get(3)?)?, video.parse().map_err(|e| corrupt("read the id of a video", e))?))
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::schema;
    use super::*;
    use crate::event::{Job, Options, VideoSource};
    use crate::failure::Code;
    use crate::id::TenantId;
    use crate::stage::StageName;
    use crate::store::VideoError;

    /// Adds 100,000 videos, a second apart. One in a thousand failed.
    fn fill(connection: &Connection) {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
        let source = Some(VideoSource::Url("https://example.org/talk.mp4".to_owned()));
        let insert = "
            WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 99999)
             INSERT INTO videos (tenant, video, submitted, name, request_hash, created_us, state, shown, lane)
             SELECT 'default', printf('%08x-0000-4000-8000-000000000000', i), ?, '', '', i * 1000000,
                 iif(i % 1000 = 7, ?, ?), iif(i % 1000 = 7, 'failed', 'done'), 'express' FROM numbers";
        let error = Some(VideoError::new(Code::Damaged, StageName::Fetch));
        let states = [VideoState { error, ..VideoState::default() }, VideoState::default()];
        let [failed, done] = states.map(|state| encode_state(&state).unwrap());
        let submitted = VideoSubmitted { job, source }.encode_to_vec();
        connection.execute(insert, params![submitted, failed, done]).unwrap();
    }

    #[test]
    fn a_page_of_many_videos_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = schema::prepare(&folder.path().join("store.db")).unwrap();
        fill(&connection);
        let page = Page { after: None, limit: 50 };
        let check = |index: &str, filter: VideoFilter, items: usize, examined: usize| {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", walk(&filter))).unwrap();
            let steps = explain.raw_query().mapped(|row| row.get("detail"));
            let plan: Vec<String> = steps.map(std::result::Result::unwrap).collect();
            let expected = format!("SEARCH videos USING INDEX {index} (");
            assert!(plan.len() == 1 && plan[0].starts_with(&expected), "{filter:?}: {plan:?}");
            let took = (0..3).map(|_| {
                let begun = Instant::now();
                let paged = list(&connection, "default", &filter, &page).unwrap();
                assert_eq!((paged.items.len(), paged.examined), (items, examined), "{filter:?}");
                begun.elapsed()
            });
            assert!(took.min().unwrap() < Duration::from_millis(50), "{filter:?}");
        };
        let at = |second: i64| Timestamp::from_second(second).ok();
        check("videos_by_time", VideoFilter::default(), 50, 51);
        check("videos_by_time", VideoFilter { lane: Some(Lane::Batch), ..VideoFilter::default() }, 0, 500);
        check("videos_by_time", VideoFilter { until: at(3000), ..VideoFilter::default() }, 50, 51);
        check("videos_by_time", VideoFilter { from: at(99_990), ..VideoFilter::default() }, 10, 10);
        let damaged = VideoFilter { error: Some("damaged".to_owned()), ..VideoFilter::default() };
        check("videos_by_time", VideoFilter { until: at(50_008), ..damaged.clone() }, 1, 500);
        check("videos_by_time", VideoFilter { until: at(8), ..damaged.clone() }, 1, 8);
        check("videos_by_state", VideoFilter { state: Some(State::Failed), ..damaged }, 50, 51);
        check("videos_by_state", VideoFilter::in_state(State::Queued), 0, 0);
    }
}
