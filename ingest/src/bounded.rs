//! Bounds what a form may make its parser hold: the parser buffers until it finds the next boundary or the end of a
//! part's head, for as long as bytes come.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

use crate::app::Limits;

/// The most bytes that may come in without the parser getting on.
const MOST_WITHOUT_PROGRESS: u64 = 1 << 20;

/// Says that the parser of a bounded body got on. Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Notes that a field, or bytes of one, came out of the parser.
    pub fn mark(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Counts `bytes` that went in; says whether too many have since the last mark.
    fn is_exceeded_by(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        // The chunk that comes right after a mark may be of any size.
        self.0.fetch_add(bytes, Ordering::Relaxed) > MOST_WITHOUT_PROGRESS
    }
}

/// Returns `body` with an end to the parser's buffering, to silence and to the whole, and the handle by which progress
/// is told. Silence ends it as [`io::ErrorKind::TimedOut`], a body that breaks off as
/// [`io::ErrorKind::ConnectionAborted`].
pub fn bounded(limits: &Limits, body: Body) -> (Body, Progress) {
    let progress = Progress::default();
    let (idle, end) = (limits.upload_idle, Instant::now() + limits.upload_total);
    let state = (body.into_data_stream(), progress.clone());
    let chunks = stream::try_unfold(state, move |(mut chunks, progress)| async move {
        // The parser reads as long as there is something to read before it looks at it: let it look at each chunk.
        tokio::task::yield_now().await;
        let patience = end.min(Instant::now() + idle);
        let chunk = timeout_at(patience, chunks.next()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        let Some(chunk) = chunk else { return Ok(None) };
        let chunk: Bytes = chunk.map_err(|e| io::Error::new(io::ErrorKind::ConnectionAborted, e))?;
        if progress.is_exceeded_by(chunk.len()) {
            return Err(io::Error::other("a mebibyte without a field"));
        }
        Ok(Some((chunk, (chunks, progress))))
    });
    (Body::from_stream(chunks), progress)
}
