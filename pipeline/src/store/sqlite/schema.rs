//! The tables, and connections to them. `cql/schema.rs` has the same rows under keys that have no index.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::fault::is_unavailable;

/// What each version adds to the one before; how many of them a file has is its `user_version`. A process of the version
/// before may have the file open meanwhile and goes on, so nothing that it names is changed or removed.
const MIGRATIONS: [&str; 1] = [TABLES];

/// The version of the tables.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// How long a write waits for another process's before it is [`crate::store::Error::Unavailable`].
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the lock is tried meanwhile.
const BUSY_STEP: Duration = Duration::from_millis(1);

const TABLES: &str = "
-- `shown` is the state a caller sees.
CREATE TABLE videos (
    tenant TEXT NOT NULL,
    video TEXT NOT NULL,
    submitted BLOB NOT NULL,
    name TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    published INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    shown TEXT NOT NULL,
    lane TEXT NOT NULL,
    cancelled_us INTEGER,
    deleted_us INTEGER,
    PRIMARY KEY (tenant, video)
) STRICT;
CREATE INDEX videos_by_time ON videos (tenant, created_us, video) WHERE deleted_us IS NULL;
CREATE INDEX videos_by_state ON videos (tenant, shown, created_us, video) WHERE deleted_us IS NULL;
CREATE INDEX videos_unpublished ON videos (created_us) WHERE published = 0 AND deleted_us IS NULL;

CREATE TABLE log (
    tenant TEXT NOT NULL,
    video TEXT NOT NULL,
    seq INTEGER NOT NULL,
    event TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, video, seq)
) STRICT;
CREATE UNIQUE INDEX log_by_event ON log (tenant, video, event);

CREATE TABLE clips (
    tenant TEXT NOT NULL,
    video TEXT NOT NULL,
    clip TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, video, clip)
) STRICT;

CREATE TABLE claims (
    unit TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    lone_deaths INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    alone INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL,
    lease_end_us INTEGER NOT NULL,
    born_day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_by_age ON claims (born_day);

-- `items` counts the rows of gather_items.
CREATE TABLE gathers (
    gatherer TEXT NOT NULL,
    tenant TEXT NOT NULL,
    video TEXT NOT NULL,
    window INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    deadline_us INTEGER NOT NULL,
    items INTEGER NOT NULL DEFAULT 0,
    closed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (gatherer, tenant, video, window)
) STRICT, WITHOUT ROWID;
CREATE INDEX gathers_open ON gathers (gatherer, partition, deadline_us) WHERE closed = 0;

CREATE TABLE gather_items (
    gatherer TEXT NOT NULL,
    tenant TEXT NOT NULL,
    video TEXT NOT NULL,
    window INTEGER NOT NULL,
    item TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (gatherer, tenant, video, window, item)
) STRICT;
";

/// Opens the file for writing, and makes the tables or brings them up to date unless another process did.
///
/// # Errors
/// When that is impossible, or a newer version made the tables.
pub(super) fn prepare(path: &Path) -> anyhow::Result<Connection> {
    prepare_by(path, &MIGRATIONS)
}

fn prepare_by(path: &Path, migrations: &[&str]) -> anyhow::Result<Connection> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    }
    let mut connection = Connection::open(path)?;
    configure(&connection)?;
    switch_to_wal(&connection)?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// Returns the version of the tables in the file at `path`, if it is there.
///
/// # Errors
/// When it cannot be read.
pub(super) fn version(path: &Path) -> anyhow::Result<Option<i64>> {
    if !path.try_exists()? {
        return Ok(None);
    }
    Ok(Some(user_version(&connect_reader(path)?)?))
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Opens the prepared file for reading alone.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn connect_reader(path: &Path) -> rusqlite::Result<Connection> {
    // A reader of a write-ahead log needs write access to its index, so the flag says read-write.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_handler(Some(wait_for_the_lock))?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)
}

/// Waits a little for whoever holds the lock; false: for too long already. SQLite's own wait sleeps up to 100 ms at a
/// time, so that whoever came last wins again and again and a write of 3 ms waits for a second.
fn wait_for_the_lock(waits: i32) -> bool {
    std::thread::sleep(BUSY_STEP);
    BUSY_STEP * waits.unsigned_abs() < BUSY_TIMEOUT
}

/// Switches to the write-ahead log. SQLite does not wait here when another process does the same: it fails at
/// once, so the wait is ours.
fn switch_to_wal(connection: &Connection) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => bail!("the file system allows no write-ahead log (journal mode {mode}); use a local disk"),
            Err(error) if is_unavailable(&error) && begun.elapsed() < BUSY_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error).context("switch to the write-ahead log"),
        }
    }
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> anyhow::Result<()> {
    let known = migrations.len();
    if missing(connection, migrations)?.is_empty() {
        return Ok(());
    }
    // Asked again inside the transaction: of many processes that come at once, one makes the tables.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let missing = missing(&transaction, migrations)?;
    for (index, step) in missing.iter().enumerate() {
        let version = known - missing.len() + index + 1;
        transaction.execute_batch(step).with_context(|| format!("bring the tables to version {version}"))?;
    }
    transaction.pragma_update(None, "user_version", known as i64)?;
    Ok(transaction.commit()?)
}

/// Returns the steps that the tables do not have yet.
fn missing<'a>(connection: &Connection, migrations: &'a [&'a str]) -> anyhow::Result<&'a [&'a str]> {
    let (found, known) = (user_version(connection)?, migrations.len());
    match usize::try_from(found).ok().and_then(|found| migrations.get(found..)) {
        Some(missing) => Ok(missing),
        None => bail!("its tables have version {found}, this spillway knows {known}; use the newer one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step after the last one there is. It cannot be done twice.
    const NEXT: &str = "ALTER TABLE clips ADD COLUMN colour TEXT; CREATE TABLE colours (name TEXT PRIMARY KEY) STRICT;";

    fn and(next: &'static str) -> Vec<&'static str> {
        MIGRATIONS.into_iter().chain([next]).collect()
    }

    /// Adds a clip as this version does.
    fn add_clip(connection: &Connection, name: &str) -> rusqlite::Result<usize> {
        let add = "INSERT INTO clips (tenant, video, clip, body) VALUES ('a', 'b', ?, x'00')";
        connection.prepare_cached(add)?.execute([name])
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM clips", [], |row| row.get(0)).expect("a count")
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_once_however_many_come_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let old = prepare(&path).expect("a file of this version");
        add_clip(&old, "before").expect("a clip");
        std::thread::scope(|scope| {
            let opening: Vec<_> = (0..16).map(|_| scope.spawn(|| prepare_by(&path, &and(NEXT)))).collect();
            for opened in opening {
                let new = opened.join().expect("no panic").expect("the file of the next version");
                assert_eq!(user_version(&new), Ok(VERSION + 1));
                assert_eq!(new.query_row("SELECT count(colour) FROM clips", [], |row| row.get::<_, i64>(0)), Ok(0));
            }
        });
        // The process of this version that has it open goes on; another one of it is too late.
        add_clip(&old, "after").expect("a clip");
        assert_eq!(count(&old), 2);
        let refused = prepare(&path).expect_err("a newer file").to_string();
        assert!(refused.contains(&format!("version {}, this spillway knows {VERSION}", VERSION + 1)), "{refused}");
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        add_clip(&prepare(&path).expect("a file"), "before").expect("a clip");
        let broken = and("CREATE TABLE colours (name TEXT) STRICT; CREATE TABLE clips (name TEXT) STRICT;");
        let refused = format!("{:#}", prepare_by(&path, &broken).expect_err("a broken step"));
        assert!(refused.contains(&format!("version {}", VERSION + 1)), "{refused}");
        let file = prepare(&path).expect("the file as it was");
        assert_eq!((user_version(&file), count(&file)), (Ok(VERSION), 1));
        prepare_by(&path, &and(NEXT)).expect("a step that works");
    }
}
