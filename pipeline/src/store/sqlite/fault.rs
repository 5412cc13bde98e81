//! What SQLite's errors mean to the caller of the store.

use anyhow::anyhow;
use rusqlite::ErrorCode;

use crate::store::Error;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        if is_unavailable(&error) { Self::Unavailable(error.into()) } else { Self::Corrupt(error.into()) }
    }
}

/// Says whether the same call may succeed later, without anybody mending a row.
pub(super) fn is_unavailable(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::SchemaChanged
        )
    )
}

/// Says that `what` in a row could not be read.
pub(super) fn corrupt(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Corrupt(anyhow::Error::new(error).context(what))
}

/// Says that the store's own threads are gone: the process is ending.
pub(super) fn ended() -> Error {
    Error::Unavailable(anyhow!("the store was closed"))
}
