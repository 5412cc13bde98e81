//! The body of a request, which can be read on after whoever took it gave it up: an answer followed by a close with
//! bytes unread resets the connection, and then the caller would never see why it was refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures::{Stream, StreamExt};
use tokio::time::{Duration, Instant, timeout_at};

/// How long a refused body is read on.
const PATIENCE: Duration = Duration::from_secs(2);

/// A body. Cheap to clone; all clones read on where the last one stopped.
#[derive(Clone)]
pub struct Incoming(Arc<Mutex<Rest>>);

struct Rest {
    chunks: BodyDataStream,
    /// The caller sends nothing before it is told to go on (`Expect: 100-continue`), which reading does.
    is_held_back: bool,
}

impl Incoming {
    /// Shares `body`, which came with `headers`.
    pub fn new(headers: &HeaderMap, body: Body) -> Self {
        let expects = headers.get(header::EXPECT).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let is_held_back = expects.eq_ignore_ascii_case("100-continue");
        Self(Arc::new(Mutex::new(Rest { chunks: body.into_data_stream(), is_held_back })))
    }

    /// Returns the body, to be given to whoever takes it.
    pub fn body(&self) -> Body {
        Body::from_stream(self.clone())
    }

    /// Reads on for a moment without keeping anything. A caller that still holds its bytes back is not asked for them.
    pub async fn linger(mut self) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).is_held_back {
            return;
        }
        let end = Instant::now() + PATIENCE;
        while let Ok(Some(Ok(_))) = timeout_at(end, self.next()).await {}
    }
}

impl Stream for Incoming {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut rest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_held_back = false;
        rest.chunks.poll_next_unpin(context)
    }
}
