//! The tables, and making them once however many processes come at once. No partition grows without a bound:
//! `docs/adr/0007-how-the-store-lies-in-cql.md` says what bounds each.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use scylla::client::session::Session;
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency, SerialConsistency};
use tokio::time::Instant;
use uuid::Uuid;

use super::CqlOptions;
use super::connection::{Query, Swap, swapped};

/// How long another process may take to make the tables.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often one asks meanwhile whether it is done.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What each version adds to the one before. Every statement may be repeated: a process that died in the middle, or
/// lost the lock because it was slow, leaves nothing that hinders the next. Processes of the version before go on meanwhile,
/// so nothing that they name is changed or removed.
const MIGRATIONS: [&[&str]; 1] = [&[
    // `state`, its name and place, and `lane_found` are written with the place in the log as their time, so that of two
    // writers the one that knows less never wins, whoever comes last.
    "CREATE TABLE IF NOT EXISTS videos (
        tenant text, video text,
        submitted blob, name text, request_hash text, created_us bigint, lane text, made_by uuid,
        state text, state_name text, state_seq bigint, lane_found text,
        published boolean, cancelled_us bigint, deleted_us bigint,
        PRIMARY KEY ((tenant, video)))",
    // A stale row here does no harm (whoever reads it asks the video), so what is deleted need not be kept for long.
    "CREATE TABLE IF NOT EXISTS listed (
        list_name text, bucket bigint, created_us bigint, video text, tenant text,
        PRIMARY KEY ((list_name, bucket), created_us, video, tenant))
        WITH CLUSTERING ORDER BY (created_us DESC, video DESC, tenant DESC) AND gc_grace_seconds = 3600",
    "CREATE TABLE IF NOT EXISTS list_buckets (
        list_name text, bucket bigint,
        PRIMARY KEY ((list_name), bucket)) WITH CLUSTERING ORDER BY (bucket DESC) AND gc_grace_seconds = 3600",
    "CREATE TABLE IF NOT EXISTS log (
        tenant text, video text, bucket bigint, seq bigint, body blob,
        PRIMARY KEY ((tenant, video, bucket), seq))",
    "CREATE TABLE IF NOT EXISTS log_buckets (
        tenant text, video text, bucket bigint,
        PRIMARY KEY ((tenant, video), bucket))",
    "CREATE TABLE IF NOT EXISTS log_events (
        tenant text, video text, event text, seq bigint,
        PRIMARY KEY ((tenant, video), event))",
    "CREATE TABLE IF NOT EXISTS clips (
        tenant text, video text, clip text, body blob,
        PRIMARY KEY ((tenant, video), clip))",
    // 30 days: longer than any topic keeps a record that could ask for the unit.
    "CREATE TABLE IF NOT EXISTS claims (
        unit text,
        state text, attempt int, failures int, lone_deaths int, suspect boolean, alone boolean,
        owner text, lease_end_us bigint, made_by uuid,
        PRIMARY KEY ((unit))) WITH default_time_to_live = 2592000",
    "CREATE TABLE IF NOT EXISTS gathers (
        gatherer text, tenant text, video text, window_index int,
        topic_partition int, deadline_us bigint, closed boolean,
        PRIMARY KEY ((gatherer, tenant, video), window_index))",
    "CREATE TABLE IF NOT EXISTS gather_names (
        gatherer text, tenant text, video text, window_index int, item text,
        PRIMARY KEY ((gatherer, tenant, video, window_index), item))",
    "CREATE TABLE IF NOT EXISTS gather_items (
        gatherer text, tenant text, video text, window_index int, item text, body blob,
        PRIMARY KEY ((gatherer, tenant, video, window_index, item)))",
    "CREATE TABLE IF NOT EXISTS open_gathers (
        gatherer text, topic_partition int, tenant text, video text, window_index int, deadline_us bigint,
        PRIMARY KEY ((gatherer, topic_partition), tenant, video, window_index)) WITH gc_grace_seconds = 3600",
]];

/// The version of the tables.
pub(super) const VERSION: i32 = MIGRATIONS.len() as i32;

const STATE_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_state (id text, version int, holder uuid, PRIMARY KEY ((id)))";
const READ_STATE: &str = "SELECT version, holder FROM schema_state WHERE id = ?";
const SET_VERSION: &str = "UPDATE schema_state SET version = ? WHERE id = 'version' IF version = ?";
/// A holder that died is forgotten after ten minutes.
const LOCK: &str = "INSERT INTO schema_state (id, holder) VALUES ('lock', ?) IF NOT EXISTS USING TTL 600";
const UNLOCK: &str = "DELETE FROM schema_state WHERE id = 'lock' IF holder = ?";

pub(super) static PING: Query = Query::read("SELECT version FROM schema_state WHERE id = 'version'");
pub(super) static STATEMENTS: &[&Query] = &[&PING];

/// Makes the keyspace and the tables unless they are there, or brings these up to date, and uses the keyspace.
///
/// # Errors
/// When that is impossible, or a newer version made the tables.
pub(super) async fn prepare(session: &Session, options: &CqlOptions) -> Result<()> {
    prepare_by(session, options, &MIGRATIONS).await
}

async fn prepare_by(session: &Session, options: &CqlOptions, migrations: &[&[&str]]) -> Result<()> {
    let keyspace = &options.address.keyspace;
    // Whether a thing can be used is all that says it is there: a node lists it before it knows it.
    if session.use_keyspace(keyspace, false).await.is_err() {
        make_keyspace(session, keyspace, options.replication).await?;
        session.use_keyspace(keyspace, false).await.with_context(|| format!("use the keyspace {keyspace}"))?;
    }
    if state(session, "version").await.is_err() {
        run(session, STATE_TABLE).await?;
    }
    make_tables(session, migrations).await
}

/// Makes the tables, or waits while another process does.
async fn make_tables(session: &Session, migrations: &[&[&str]]) -> Result<()> {
    let known = migrations.len() as i32;
    let me = Uuid::new_v4();
    let begun = Instant::now();
    loop {
        let found = state(session, "version").await?.and_then(|(version, _)| version).unwrap_or(0);
        match found {
            found if found == known => break,
            newer if newer > known => {
                bail!("its tables have version {newer}, this spillway knows {known}; use the newer one")
            }
            older if lock(session, me).await? => {
                let made = migrate(session, older, migrations).await;
                // Should this fail, the lock goes by itself; the tables are what matters.
                let unlocked = swap(session, UNLOCK, (me,)).await;
                made?;
                unlocked?;
            }
            _ if begun.elapsed() > PATIENCE => bail!("another process has been making the tables for {PATIENCE:?}"),
            _ => tokio::time::sleep(ASK_AGAIN_AFTER).await,
        }
    }
    // The node that is asked next may not know yet what another one made.
    session.await_schema_agreement().await.context("wait until all nodes know the tables")?;
    Ok(())
}

async fn make_keyspace(session: &Session, keyspace: &str, replication: u8) -> Result<()> {
    let text = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication =
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {replication}}}"
    );
    run(session, &text).await.with_context(|| format!("make the keyspace {keyspace} in {replication} copies"))?;
    // Routing by token needs to know how the new keyspace is replicated.
    Ok(session.refresh_metadata().await?)
}

async fn migrate(session: &Session, from: i32, migrations: &[&[&str]]) -> Result<()> {
    for (index, statements) in migrations.iter().enumerate().skip(from.unsigned_abs() as usize) {
        for text in *statements {
            run(session, text).await?;
        }
        let before = Some(index as i32).filter(|version| *version > 0);
        // Whoever held the lock before and was slow may have set it: then there is nothing left to do.
        swap(session, SET_VERSION, (index as i32 + 1, before)).await?;
    }
    Ok(())
}

/// Changes the schema; the driver waits until all nodes agree on it.
async fn run(session: &Session, text: &str) -> Result<()> {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(PATIENCE));
    statement.set_is_idempotent(false);
    session.query_unpaged(statement, ()).await.with_context(|| text.lines().next().unwrap_or_default().to_owned())?;
    Ok(())
}

async fn lock(session: &Session, me: Uuid) -> Result<bool> {
    match swap(session, LOCK, (me,)).await? {
        Swap::Applied => Ok(true),
        Swap::Refused => Ok(false),
        Swap::Unknown(_) => Ok(state(session, "lock").await?.is_some_and(|(_, holder)| holder == Some(me))),
    }
}

/// Returns the version of the tables in the keyspace that is used, if they are there.
pub(super) async fn version(session: &Session) -> Result<Option<i32>> {
    Ok(state(session, "version").await?.and_then(|(version, _)| version))
}

async fn state(session: &Session, id: &str) -> Result<Option<(Option<i32>, Option<Uuid>)>> {
    let mut statement = Statement::new(READ_STATE);
    statement.set_consistency(Consistency::LocalSerial);
    let result = session.query_unpaged(statement, (id,)).await.context("read the version of the tables")?;
    Ok(result.into_rows_result()?.maybe_first_row()?)
}

async fn swap(session: &Session, text: &str, values: impl scylla::serialize::row::SerializeRow) -> Result<Swap> {
    let mut statement = Statement::new(text);
    statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
    Ok(swapped(session.query_unpaged(statement, values).await)?)
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::super::{Consistency, StoreTls, connection};
    use super::*;

    /// A step after the last one there is.
    const NEXT: &[&str] = &["CREATE TABLE IF NOT EXISTS colours (name text, PRIMARY KEY ((name)))"];

    fn in_a_keyspace_of_its_own() -> CqlOptions {
        let address = format!("//{}/spillway_{}", testing::cassandra::cassandra(), Uuid::new_v4().simple());
        CqlOptions {
            address: address.parse().expect("an address"),
            password: None,
            tls: StoreTls::default(),
            replication: 1,
            consistency: Consistency::default(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn an_older_keyspace_is_brought_up_to_date_however_many_come_at_once() {
        let options = in_a_keyspace_of_its_own();
        let old = connection::connect(&options).await.expect("a session");
        prepare(&old, &options).await.expect("tables of this version");
        let mut opening = JoinSet::new();
        for _ in 0..6 {
            let options =
                CqlOptions { address: options.address.clone(), tls: StoreTls::default(), password: None, ..options };
            opening.spawn(async move {
                let session = connection::connect(&options).await?;
                let both: Vec<&[&str]> = MIGRATIONS.into_iter().chain([NEXT]).collect();
                prepare_by(&session, &options, &both).await?;
                session.query_unpaged("SELECT name FROM colours", ()).await?;
                anyhow::Ok(version(&session).await?)
            });
        }
        for opened in opening.join_all().await {
            assert_eq!(opened.expect("tables of the next version"), Some(VERSION + 1));
        }
        assert_eq!(state(&old, "lock").await.expect("an answer"), None, "nobody makes tables any more");
        // The process of this version that has it open goes on; another one of it is too late.
        let add = "INSERT INTO clips (tenant, video, clip) VALUES ('a', 'b', 'c')";
        old.query_unpaged(add, ()).await.expect("a clip");
        let refused = prepare(&old, &options).await.expect_err("newer tables").to_string();
        assert!(refused.contains(&format!("version {}, this spillway knows {VERSION}", VERSION + 1)), "{refused}");
    }
}
