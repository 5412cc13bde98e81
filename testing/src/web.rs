//! A web server on loopback that holds a video and every kind of trouble.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{Html, Redirect};
use axum::routing::get;
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

/// A server that ends with the test's runtime.
pub struct Web {
    address: SocketAddr,
    asked: Asked,
    released: CancellationToken,
}

/// Counts requests by place.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<BTreeMap<&'static str, usize>>>);

impl Asked {
    /// Counts one more; returns how many there were before.
    fn count(&self, place: &'static str) -> usize {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = asked.entry(place).or_default();
        *times += 1;
        *times - 1
    }
}

impl Web {
    /// Starts it. `/talk.mp4` is `video`, but its first reader gets only half and then waits for ever; `/never.mp4` is
    /// so for every reader; those of `/held.mp4` wait until it is released.
    ///
    /// # Panics
    /// When the video cannot be read.
    pub async fn start(video: &Path) -> Self {
        let video = Bytes::from(std::fs::read(video).expect("read"));
        let half = video.slice(..video.len() / 2);
        let rest = video.slice(video.len() / 2..);
        let (asked, released) = (Asked::default(), CancellationToken::new());
        let never = {
            let (asked, half) = (asked.clone(), half.clone());
            move || async move {
                asked.count("never.mp4");
                unfinished(half)
            }
        };
        let talk = {
            let (asked, half) = (asked.clone(), half.clone());
            move || async move { if asked.count("talk.mp4") > 0 { Body::from(video) } else { unfinished(half) } }
        };
        let held = {
            let (asked, released) = (asked.clone(), released.clone());
            move || async move {
                asked.count("held.mp4");
                let rest = stream::once(async move {
                    released.cancelled().await;
                    Ok::<_, Infallible>(rest)
                });
                Body::from_stream(stream::iter([Ok(half)]).chain(rest))
            }
        };
        let endless = || async {
            let chunk = Bytes::from(vec![0_u8; 1 << 16]);
            Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk)))
        };
        let silent = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) };
        let router = Router::new()
            .route("/talk.mp4", get(talk))
            .route("/never.mp4", get(never))
            .route("/held.mp4", get(held))
            .route("/loop", get(|| async { Redirect::temporary("/loop") }))
            .route("/endless", get(endless))
            .route("/silent", get(silent))
            .route("/page", get(|| async { Html("<html>sign in</html>") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked, released }
    }

    /// Returns the address of `place`.
    pub fn url(&self, place: &str) -> String {
        format!("http://{}/{place}", self.address)
    }

    /// Says how often one of the videos was asked for.
    pub fn asked(&self, place: &str) -> usize {
        self.asked.0.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied().unwrap_or(0)
    }

    /// Lets all that wait for `/held.mp4` have the rest, and those that come later all of it.
    pub fn release(&self) {
        self.released.cancel();
    }
}

fn unfinished(half: Bytes) -> Body {
    Body::from_stream(stream::iter([Ok::<_, Infallible>(half)]).chain(stream::pending()))
}
