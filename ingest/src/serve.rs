//! Serves the API until the process is to end. Written out rather than left to `axum::serve`, because that sets no
//! bound to what a connection may hold in memory and none to how long it may take to say what it wants.

use std::pin::pin;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::IngestArgs;

/// How much of a body is read ahead, for each connection, in bytes; hundreds may upload at once.
const READ_BUFFER_BYTES: usize = 64 << 10;
/// How long a connection may take to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How long accepting rests after an error: out of file descriptors is not over at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` (see [`crate::router()`]) until `stop`, then lets what is under way end within the grace period.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(router: Router, args: &IngestArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    serve_on(listener, router, args.ingest_grace, stop).await
}

/// Serves on a `listener` that is there already.
///
/// # Errors
/// When the listener has no address.
pub async fn serve_on(
    listener: TcpListener,
    router: Router,
    grace: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "api listening");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone(), stop.clone()))),
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests cut off at the end of the grace period");
    }
    Ok(())
}

/// Serves one connection; after `stop` it ends with the request that is under way.
async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Events are small and must not wait for more to be sent with them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection stays with delay");
    }
    let service =
        TowerToHyperService::new(router.map_request(|request: hyper::Request<Incoming>| request.map(Body::new)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_PATIENCE).max_buf_size(READ_BUFFER_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection broke off");
    }
}
