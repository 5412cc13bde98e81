//! Connections for reading: a few, opened when needed, used on threads that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::fault::ended;
use super::schema;
use crate::store::{Error, Result};

/// Reads at once in one process.
const CONNECTIONS: usize = 4;

/// The connections.
pub(super) struct Readers {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Reads from the file at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Arc::default(), permits: Arc::new(Semaphore::new(CONNECTIONS)) }
    }

    /// Runs `work`, which sees all that was committed before.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| ended())?;
        let (path, idle) = (self.path.clone(), self.idle.clone());
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let kept = idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
            let connection = match kept {
                Some(connection) => connection,
                None => schema::connect_reader(&path)?,
            };
            let result = work(&connection);
            idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(connection);
            result
        });
        read.await.map_err(|error| Error::Unavailable(error.into()))?
    }
}
