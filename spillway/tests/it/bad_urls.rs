//! A web server on loopback that holds a video and every kind of trouble.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{Html, Redirect};
use axum::routing::get;
use futures::{StreamExt, stream};

/// A server that ends with the test's runtime.
pub struct Web {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Web {
    /// Starts it. `/talk.mp4` is `video`, but its first reader gets only half and then waits for ever.
    pub async fn start(video: &Path) -> Self {
        let video = Bytes::from(std::fs::read(video).expect("read"));
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let talk = move || async move {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                return Body::from(video);
            }
            let half = video.slice(..video.len() / 2);
            Body::from_stream(stream::iter([Ok::<_, Infallible>(half)]).chain(stream::pending()))
        };
        let endless = || async {
            let chunk = Bytes::from(vec![0_u8; 1 << 16]);
            Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk)))
        };
        let silent = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) };
        let router = Router::new()
            .route("/talk.mp4", get(talk))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/endless", get(endless))
            .route("/silent", get(silent))
            .route("/page", get(|| async { Html("<html>sign in</html>") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// Returns the address of `place`.
    pub fn url(&self, place: &str) -> String {
        format!("http://{}/{place}", self.address)
    }

    /// Says how often the talk was asked for.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}
