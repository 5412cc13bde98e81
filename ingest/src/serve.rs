//! Serves the API until the process is to end.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::IngestArgs;

/// Serves `router` (see [`crate::router`]; more routes may be merged into it) until `stop`, then lets what is under
/// way end within the grace period.
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
/// When accepting connections fails for good.
pub async fn serve_on(
    listener: TcpListener,
    router: Router,
    grace: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "api listening");
    // Events are small and must not wait for more to be sent with them.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stopped = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stopped.cancelled().await });
    tokio::select! {
        served = serving.into_future() => served.context("serve the api"),
        () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => {
            tracing::warn!("requests cut off at the end of the grace period");
            Ok(())
        }
    }
}
