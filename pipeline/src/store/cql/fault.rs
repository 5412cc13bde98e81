//! What errors of CQL mean to the caller of the store.

use anyhow::anyhow;
use scylla::errors::{
    DbError, ExecutionError, IntoRowsResultError, MaybeFirstRowError, NextPageError, NextRowError, PagerExecutionError,
    RequestAttemptError, RequestError, TypeCheckError,
};

use crate::store::Error;

impl From<ExecutionError> for Error {
    fn from(error: ExecutionError) -> Self {
        let lasting = match &error {
            ExecutionError::BadQuery(_) => true,
            ExecutionError::LastAttemptError(attempt) => is_lasting(attempt),
            _ => false,
        };
        of(lasting, error)
    }
}

impl From<PagerExecutionError> for Error {
    fn from(error: PagerExecutionError) -> Self {
        let lasting = match &error {
            PagerExecutionError::SerializationError(_) => true,
            PagerExecutionError::NextPageError(page) => is_lasting_page(page),
            _ => false,
        };
        of(lasting, error)
    }
}

impl From<NextRowError> for Error {
    fn from(error: NextRowError) -> Self {
        let lasting = match &error {
            NextRowError::NextPageError(page) => is_lasting_page(page),
            _ => true,
        };
        of(lasting, error)
    }
}

impl From<TypeCheckError> for Error {
    fn from(error: TypeCheckError) -> Self {
        Self::Corrupt(error.into())
    }
}

impl From<IntoRowsResultError> for Error {
    fn from(error: IntoRowsResultError) -> Self {
        Self::Corrupt(error.into())
    }
}

impl From<MaybeFirstRowError> for Error {
    fn from(error: MaybeFirstRowError) -> Self {
        Self::Corrupt(error.into())
    }
}

fn of(lasting: bool, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    if lasting { Error::Corrupt(error.into()) } else { Error::Unavailable(error.into()) }
}

fn is_lasting_page(error: &NextPageError) -> bool {
    match error {
        NextPageError::RequestFailure(RequestError::LastAttemptError(attempt)) => is_lasting(attempt),
        NextPageError::RequestFailure(_) => false,
        _ => true,
    }
}

/// Says whether the same call fails whenever it is made again: the row or the statement is at fault, not the cluster.
fn is_lasting(error: &RequestAttemptError) -> bool {
    match error {
        RequestAttemptError::SerializationError(_) => true,
        RequestAttemptError::DbError(error, _) => matches!(
            error,
            DbError::SyntaxError | DbError::Invalid | DbError::AlreadyExists { .. } | DbError::FunctionFailure { .. }
        ),
        _ => false,
    }
}

/// Says whether a conditional write that ended so may have been done, or may still be done.
pub(super) fn may_have_happened(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::RequestTimeout(_) => true,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => !matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AlreadyExists { .. }
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
                | DbError::Unavailable { .. }
                | DbError::IsBootstrapping
                | DbError::Unprepared { .. }
        ),
        ExecutionError::LastAttemptError(RequestAttemptError::SerializationError(_)) => false,
        ExecutionError::LastAttemptError(_) => true,
        _ => false,
    }
}

/// Says that `what` in a row could not be read.
pub(super) fn corrupt(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Corrupt(anyhow::Error::new(error).context(what))
}

/// Says that a row changed under the caller again and again.
pub(super) fn contended(what: &'static str) -> Error {
    Error::Unavailable(anyhow!("{what}: others changed the row each time"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn answered(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, "said the server".to_owned()))
    }

    fn write_timeout() -> ExecutionError {
        let consistency = Consistency::LocalQuorum;
        answered(DbError::WriteTimeout { consistency, received: 1, required: 2, write_type: WriteType::Cas })
    }

    #[test]
    fn cluster_that_is_away_is_unavailable_and_a_refused_statement_is_not() {
        for error in
            [write_timeout(), answered(DbError::Overloaded), ExecutionError::EmptyPlan, answered(DbError::Unauthorized)]
        {
            assert!(matches!(Error::from(error), Error::Unavailable(_)));
        }
        assert!(matches!(Error::from(answered(DbError::Invalid)), Error::Corrupt(_)));
    }

    #[test]
    fn outcome_is_unknown_unless_the_server_refused() {
        assert!(may_have_happened(&write_timeout()));
        assert!(may_have_happened(&ExecutionError::RequestTimeout(Duration::from_secs(1))));
        assert!(may_have_happened(&answered(DbError::ServerError)));
        let consistency = Consistency::LocalQuorum;
        assert!(!may_have_happened(&answered(DbError::Unavailable { consistency, required: 2, alive: 1 })));
        assert!(!may_have_happened(&answered(DbError::Invalid)));
    }
}
