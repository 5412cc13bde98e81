//! The web server from which URLs of a load test are fetched: on loopback, the same bytes that would be uploaded.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A server that ends when it is dropped.
pub struct Web {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Web {
    /// Serves `bodies`, each under any number of names.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(bodies: Vec<Bytes>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen on loopback")?;
        let address = listener.local_addr().context("find the own address")?;
        let router = Router::new().route("/{kind}/{name}", get(body)).with_state(bodies);
        let serving = tokio::spawn(async move {
            // It only ends with an error of the listener, and then URLs fail and are counted as that.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, _serving: AbortOnDropHandle::new(serving) })
    }

    /// Returns the URL of a body under a name of its own.
    pub fn url(&self, kind: usize, number: u32) -> String {
        format!("http://{}/{kind}/video-{number}.mp4", self.address)
    }
}

async fn body(State(bodies): State<Vec<Bytes>>, Path((kind, _)): Path<(usize, String)>) -> Result<Bytes, StatusCode> {
    bodies.get(kind).cloned().ok_or(StatusCode::NOT_FOUND)
}
