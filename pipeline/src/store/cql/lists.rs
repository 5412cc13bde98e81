//! Lists of videos: rows that point at videos, in buckets of time so that none grows without a bound, and for each
//! list the buckets it has. Pointers are written before what makes them true and removed after it ceased to be:
//! whoever reads one asks the video, so a stale one does no harm and a missing one cannot be.

use futures::stream::BoxStream;
use futures::try_join;
use jiff::Timestamp;

use super::connection::{Connection, Query};
use crate::store::{Result, State};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// What was written this long ago is not about to become true.
pub(super) const SETTLED_US: i64 = HOUR_US;

static ADD: Query =
    Query::write("INSERT INTO listed (list_name, bucket, created_us, video, tenant) VALUES (?, ?, ?, ?, ?)");
static ADD_BUCKET: Query = Query::write("INSERT INTO list_buckets (list_name, bucket) VALUES (?, ?)");
static REMOVE: Query = Query::write(
    "DELETE FROM listed WHERE list_name = ? AND bucket = ? AND created_us = ? AND video = ? AND tenant = ?",
);
static RETIRE: Query = Query::write(
    "DELETE FROM listed USING TIMESTAMP ?
     WHERE list_name = ? AND bucket = ? AND created_us = ? AND video = ? AND tenant = ?",
);
static RETIRE_BUCKET: Query =
    Query::write("DELETE FROM list_buckets USING TIMESTAMP ? WHERE list_name = ? AND bucket = ?");
static BUCKETS_DOWN: Query =
    Query::read("SELECT bucket FROM list_buckets WHERE list_name = ? AND bucket <= ? AND bucket >= ?");
static BUCKETS_UP: Query =
    Query::read("SELECT bucket FROM list_buckets WHERE list_name = ? AND bucket <= ? ORDER BY bucket ASC");
static NEWEST: Query = Query::read(
    "SELECT created_us, video, tenant FROM listed
     WHERE list_name = ? AND bucket = ? AND (created_us, video) < (?, ?)",
);
static OLDEST: Query = Query::read(
    "SELECT created_us, video, tenant FROM listed
     WHERE list_name = ? AND bucket = ? AND created_us < ? ORDER BY created_us ASC",
);

pub(super) static STATEMENTS: &[&Query] =
    &[&ADD, &ADD_BUCKET, &REMOVE, &RETIRE, &RETIRE_BUCKET, &BUCKETS_DOWN, &BUCKETS_UP, &NEWEST, &OLDEST];

/// Names a list.
pub(super) struct List {
    name: String,
    bucket_us: i64,
}

impl List {
    /// All videos of a tenant.
    pub(super) fn all(tenant: &str) -> Self {
        Self { name: format!("all/{tenant}"), bucket_us: DAY_US }
    }

    /// The videos of a tenant that are shown in `state`.
    pub(super) fn of_state(tenant: &str, state: State) -> Self {
        Self { name: format!("{}/{tenant}", state.as_str()), bucket_us: DAY_US }
    }

    /// Those of all tenants whose creation has not reached Kafka: few, but many go through.
    pub(super) fn unpublished() -> Self {
        Self { name: "unpublished".to_owned(), bucket_us: HOUR_US }
    }

    pub(super) fn bucket(&self, created_us: i64) -> i64 {
        created_us.div_euclid(self.bucket_us)
    }
}

/// Points at a video.
#[derive(Clone, PartialEq, Eq, Debug, scylla::DeserializeRow)]
pub(super) struct Pointer {
    pub(super) created_us: i64,
    pub(super) video: String,
    pub(super) tenant: String,
}

/// Adds a pointer; its bucket is written each time, so that one still in use is never retired.
pub(super) async fn add(connection: &Connection, list: &List, to: &Pointer) -> Result<()> {
    let bucket = list.bucket(to.created_us);
    try_join!(
        connection.write(&ADD_BUCKET, (&list.name, bucket)),
        connection.write(&ADD, (&list.name, bucket, to.created_us, &to.video, &to.tenant)),
    )?;
    Ok(())
}

pub(super) async fn remove(connection: &Connection, list: &List, to: &Pointer) -> Result<()> {
    let bucket = list.bucket(to.created_us);
    connection.write(&REMOVE, (&list.name, bucket, to.created_us, &to.video, &to.tenant)).await
}

/// Removes a pointer that its video denies, unless it was written lately: then it may be about to become true.
pub(super) async fn retire(connection: &Connection, list: &List, to: &Pointer) -> Result<()> {
    let now_us = Timestamp::now().as_microsecond();
    if now_us - to.created_us < SETTLED_US {
        return Ok(());
    }
    let bucket = list.bucket(to.created_us);
    let values = (now_us - SETTLED_US, &list.name, bucket, to.created_us, &to.video, &to.tenant);
    connection.write(&RETIRE, values).await
}

/// Removes a bucket in which nothing was found, unless something was added lately.
pub(super) async fn retire_bucket(connection: &Connection, list: &List, bucket: i64) -> Result<()> {
    let now_us = Timestamp::now().as_microsecond();
    if list.bucket(now_us - SETTLED_US) <= bucket {
        return Ok(());
    }
    connection.write(&RETIRE_BUCKET, (now_us - SETTLED_US, &list.name, bucket)).await
}

/// Returns the buckets of the list from that of the time `to_us` down to that of `from_us`, latest first.
pub(super) async fn buckets_down(connection: &Connection, list: &List, to_us: i64, from_us: i64) -> Result<Vec<i64>> {
    let values = (&list.name, list.bucket(to_us), list.bucket(from_us));
    let buckets: Vec<(i64,)> = connection.rows(&BUCKETS_DOWN, values).await?;
    Ok(buckets.into_iter().map(|(bucket,)| bucket).collect())
}

/// Returns the buckets of the list up to that of the time `to_us`, earliest first.
pub(super) async fn buckets_up(connection: &Connection, list: &List, to_us: i64) -> Result<Vec<i64>> {
    let buckets: Vec<(i64,)> = connection.rows(&BUCKETS_UP, (&list.name, list.bucket(to_us))).await?;
    Ok(buckets.into_iter().map(|(bucket,)| bucket).collect())
}

/// Returns the pointers of a bucket that come after the place `after` on the way from new to old.
pub(super) async fn newest(
    connection: &Connection,
    list: &List,
    bucket: i64,
    after: &(i64, String),
) -> Result<BoxStream<'static, Result<Pointer>>> {
    connection.stream(&NEWEST, (&list.name, bucket, after.0, &after.1)).await
}

/// Returns the pointers of a bucket to what was created before `before_us`, from old to new.
pub(super) async fn oldest(
    connection: &Connection,
    list: &List,
    bucket: i64,
    before_us: i64,
) -> Result<BoxStream<'static, Result<Pointer>>> {
    connection.stream(&OLDEST, (&list.name, bucket, before_us)).await
}
