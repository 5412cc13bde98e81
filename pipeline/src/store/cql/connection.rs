//! Statements and what runs them. A statement says what it is, and from that follow its consistency and whether the
//! driver may send it twice.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::stream::{BoxStream, FuturesUnordered};
use futures::{StreamExt, TryStreamExt};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, PrepareError};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::policies::timestamp_generator::MonotonicTimestampGenerator;
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};

use super::{CqlOptions, fault};
use crate::store::{Error, Result};

/// The longest a statement may take, all its attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// After this another node is asked too, if asking twice is harmless.
const SECOND_TRY_AFTER: Duration = Duration::from_millis(500);

/// Waits after each attempt to read back what became of a write, in milliseconds.
const SETTLE_WAITS_MS: [u64; 6] = [20, 50, 100, 200, 500, 1000];

/// How often a connection is tried on which nothing is said, and how long its answer may take. A node that vanished
/// without a word is found out after both, instead of after the driver's minute.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(5));

/// Rows fetched at once.
const PAGE_ROWS: i32 = 200;

/// A statement; its text never changes, values are bound.
pub(super) struct Query {
    pub(super) text: &'static str,
    pub(super) kind: Kind,
}

/// What a statement is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Read,
    /// Reads what conditional writes left, and settles those under way.
    SerialRead,
    /// Leaves the same when done twice.
    Write,
    /// A conditional write: done twice, its answer differs.
    Swap,
}

impl Query {
    pub(super) const fn read(text: &'static str) -> Self {
        Self { text, kind: Kind::Read }
    }

    pub(super) const fn serial_read(text: &'static str) -> Self {
        Self { text, kind: Kind::SerialRead }
    }

    pub(super) const fn write(text: &'static str) -> Self {
        Self { text, kind: Kind::Write }
    }

    pub(super) const fn swap(text: &'static str) -> Self {
        Self { text, kind: Kind::Swap }
    }
}

/// What became of a conditional write.
pub(super) enum Swap {
    /// It was done.
    Applied,
    /// Its condition did not hold.
    Refused,
    /// It may have been done, or may still be: the row must be read back with a serial read.
    Unknown(Error),
}

/// A row as a type of ours.
pub(super) trait FromRow: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static {}

impl<T> FromRow for T where T: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + Send + 'static {}

/// The connections of this process, with every statement prepared.
pub(super) struct Connection {
    session: Session,
    prepared: HashMap<&'static str, PreparedStatement>,
}

impl Connection {
    /// Prepares `statements` on a session whose tables are there.
    ///
    /// # Errors
    /// When the nodes do not take a statement.
    pub(super) async fn prepare(
        session: Session,
        statements: impl Iterator<Item = &'static Query>,
    ) -> anyhow::Result<Self> {
        let preparing: FuturesUnordered<_> = statements.map(|query| prepare(&session, query)).collect();
        let prepared = preparing.try_collect().await.context("prepare the statements")?;
        Ok(Self { session, prepared })
    }

    /// Returns the only row of a query by key.
    pub(super) async fn first<R: FromRow>(&self, query: &Query, values: impl SerializeRow + Send) -> Result<Option<R>> {
        let result = self.execute(query, values).await?;
        Ok(result.into_rows_result()?.maybe_first_row::<R>()?)
    }

    /// Returns rows as they come, page by page.
    pub(super) async fn stream<R: FromRow>(
        &self,
        query: &Query,
        values: impl SerializeRow + Send,
    ) -> Result<BoxStream<'static, Result<R>>> {
        let pager = self.session.execute_iter(self.prepared(query).clone(), values).await?;
        Ok(pager.rows_stream::<R>()?.map_err(Error::from).boxed())
    }

    /// Returns all rows, which must be few.
    pub(super) async fn rows<R: FromRow>(&self, query: &Query, values: impl SerializeRow + Send) -> Result<Vec<R>> {
        self.stream(query, values).await?.try_collect().await
    }

    /// Does a write that leaves the same when done twice.
    pub(super) async fn write(&self, query: &Query, values: impl SerializeRow + Send) -> Result<()> {
        debug_assert!(query.kind == Kind::Write);
        self.execute(query, values).await?;
        Ok(())
    }

    /// Does a conditional write.
    pub(super) async fn swap(&self, query: &Query, values: impl SerializeRow + Send) -> Result<Swap> {
        debug_assert!(query.kind == Kind::Swap);
        swapped(self.execute(query, values).await)
    }

    /// Reads back the row of a conditional write whose outcome is `unknown`, with a serial read: what it finds is final.
    /// The connection that was lost may have been the last, so it is tried again for a while.
    ///
    /// # Errors
    /// `unknown`, if the row cannot be read either.
    pub(super) async fn settle<R: FromRow>(
        &self,
        query: &Query,
        values: impl SerializeRow + Clone + Send,
        unknown: Error,
    ) -> Result<Option<R>> {
        debug_assert!(query.kind == Kind::SerialRead);
        for wait in SETTLE_WAITS_MS {
            if let Ok(row) = self.first(query, values.clone()).await {
                return Ok(row);
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        Err(unknown)
    }

    fn execute(
        &self,
        query: &Query,
        values: impl SerializeRow + Send,
    ) -> impl Future<Output = std::result::Result<QueryResult, ExecutionError>> + Send {
        self.session.execute_unpaged(self.prepared(query), values)
    }

    fn prepared(&self, query: &Query) -> &PreparedStatement {
        &self.prepared[query.text]
    }
}

/// Reads what a conditional write answered: of its columns only `[applied]` is the same everywhere.
pub(super) fn swapped(result: std::result::Result<QueryResult, ExecutionError>) -> Result<Swap> {
    let rows = match result {
        Ok(result) => result.into_rows_result()?,
        Err(error) if fault::may_have_happened(&error) => return Ok(Swap::Unknown(error.into())),
        Err(error) => return Err(error.into()),
    };
    let applied = rows.column_specs().get_by_name("[applied]").map(|(index, _)| index);
    let row: Option<Row> = rows.maybe_first_row()?;
    match applied.zip(row).and_then(|(index, mut row)| row.columns.get_mut(index)?.take()) {
        Some(CqlValue::Boolean(true)) => Ok(Swap::Applied),
        Some(CqlValue::Boolean(false)) => Ok(Swap::Refused),
        _ => Err(Error::Corrupt(anyhow::anyhow!("a conditional write did not say whether it was applied"))),
    }
}

/// Connects to the cluster.
///
/// # Errors
/// One line: no node can be reached, none lets us in, or TLS fails.
pub(super) async fn connect(options: &CqlOptions) -> anyhow::Result<Session> {
    let address = &options.address;
    let second_try = SimpleSpeculativeExecutionPolicy { max_retry_count: 1, retry_interval: SECOND_TRY_AFTER };
    let profile = ExecutionProfile::builder()
        .consistency(options.consistency.into())
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(TIMEOUT))
        .speculative_execution_policy(Some(Arc::new(second_try)));
    let mut builder = SessionBuilder::new()
        .known_nodes(&address.nodes)
        .keyspaces_to_fetch([&address.keyspace])
        .fetch_full_schema_metadata(false)
        .keepalive_interval(KEEPALIVE.0)
        .keepalive_timeout(KEEPALIVE.1)
        // With the client's time a statement sent twice is one write, and what is newer stays.
        .timestamp_generator(Arc::new(MonotonicTimestampGenerator::new()))
        .default_execution_profile_handle(profile.build().into_handle());
    if let Some(user) = &address.user {
        builder = builder.user(user, options.password.as_deref().unwrap_or_default());
    }
    if let Some(tls) = options.tls.client()? {
        builder = builder.tls_context(Some(tls));
    }
    builder.build().await.map_err(|error| options.tls.explain(error))
}

async fn prepare(
    session: &Session,
    query: &Query,
) -> std::result::Result<(&'static str, PreparedStatement), PrepareError> {
    let mut prepared = session.prepare(query.text).await?;
    prepared.set_is_idempotent(query.kind != Kind::Swap);
    prepared.set_page_size(PAGE_ROWS);
    if query.kind == Kind::SerialRead {
        prepared.set_consistency(Consistency::LocalSerial);
    }
    Ok((query.text, prepared))
}
