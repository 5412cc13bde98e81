//! Looks at a cluster and changes nothing.

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use scylla::client::session::Session;
use scylla::value::CqlTimestamp;

use super::connection::connect;
use super::{CqlOptions, schema};

const REPLICATION: &str = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
const CLOCK: &str = "SELECT toTimestamp(now()) FROM system.local WHERE key = 'local'";

/// What was found of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterSurvey {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many copies of each row are kept, all data centres together; none if the keyspace is still to be made.
    pub copies: Option<usize>,
    /// How far the clock of a node is ahead of this host's.
    pub clock_ahead: SignedDuration,
}

pub(super) async fn survey(options: &CqlOptions) -> Result<(Option<i32>, ClusterSurvey)> {
    let session = connect(options).await?;
    let keyspace = &options.address.keyspace;
    let nodes = session.get_cluster_state().get_nodes_info().len();
    let copies = copies(&session, keyspace).await.context("ask how the keyspace is replicated")?;
    let clock_ahead = clock_ahead(&session).await.context("ask for the time")?;
    let version = match copies {
        None => None,
        Some(_) => {
            session.use_keyspace(keyspace, false).await.with_context(|| format!("use the keyspace {keyspace}"))?;
            // Without the table of versions, no table was made yet.
            schema::version(&session).await.unwrap_or(None)
        }
    };
    Ok((version, ClusterSurvey { nodes, copies, clock_ahead }))
}

async fn copies(session: &Session, keyspace: &str) -> Result<Option<usize>> {
    let found = session.query_unpaged(REPLICATION, (keyspace,)).await?.into_rows_result()?;
    let row: Option<(std::collections::HashMap<String, String>,)> = found.maybe_first_row()?;
    // `class` stands beside a number for each data centre.
    Ok(row.map(|(replication,)| replication.values().filter_map(|number| number.parse::<usize>().ok()).sum()))
}

async fn clock_ahead(session: &Session) -> Result<SignedDuration> {
    let asked = Timestamp::now();
    let found = session.query_unpaged(CLOCK, ()).await?.into_rows_result()?;
    let (CqlTimestamp(there_ms),): (CqlTimestamp,) = found.first_row()?;
    let there = Timestamp::from_millisecond(there_ms)?;
    // It was read at some time between question and answer.
    let (before, after) = (there.duration_since(asked), there.duration_since(Timestamp::now()));
    Ok(if after.is_positive() {
        after
    } else if before.is_negative() {
        before
    } else {
        SignedDuration::ZERO
    })
}
