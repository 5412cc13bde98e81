//! What every process tells about itself: `/livez`, `/readyz` with each dependency by name, `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::future::BoxFuture;
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::blob::Blobs;
use crate::store::SharedStore;

/// Where a process tells about itself.
#[derive(clap::Args, Clone, Debug)]
pub struct AdminArgs {
    /// Address for `/livez`, `/readyz` and `/metrics`; with port 0 any free one, which the log names.
    #[arg(long, env = "SPILLWAY_ADMIN_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub admin_listen: SocketAddr,
}

/// How long one dependency may take to answer.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Asks one dependency whether it serves; the text says why not.
type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

#[derive(Clone)]
struct Probe {
    ask: Ask,
    /// Whether the process is not ready without it.
    is_needed: bool,
}

/// The dependencies of a process, by name.
#[derive(Clone, Default)]
pub struct Checks {
    probes: BTreeMap<String, Probe>,
}

impl Checks {
    /// Adds the dependency `name`, asked by `probe`, without which the process is not ready.
    pub fn add<F, Answer>(&mut self, name: impl Into<String>, probe: F)
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.put(name.into(), Arc::new(move || Box::pin(probe())), true);
    }

    /// Adds the dependency `name`, asked by `probe`, which the process does without for a while: it is told of, no more.
    pub fn add_spared<F, Answer>(&mut self, name: impl Into<String>, probe: F)
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.put(name.into(), Arc::new(move || Box::pin(probe())), false);
    }

    fn put(&mut self, name: String, ask: Ask, is_needed: bool) {
        self.probes.insert(name, Probe { ask, is_needed });
    }

    /// Adds the store.
    pub fn add_store(&mut self, store: SharedStore) {
        self.add("store", move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| format!("{:#}", anyhow::Error::from(error))) }
        });
    }

    /// Adds the blob store.
    pub fn add_blobs(&mut self, blobs: Blobs) {
        self.add("blobs", move || {
            let blobs = blobs.clone();
            async move { blobs.ping().await.map_err(|error| format!("{:#}", anyhow::Error::from(error))) }
        });
    }
}

/// Returns the routes, to be served alone or merged into another router.
pub fn router(checks: Checks) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(checks)
}

/// Serves the routes at `listen` until `stop`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(listen: SocketAddr, checks: Checks, stop: CancellationToken) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let address = listener.local_addr().context("find the admin address")?;
    info!(%address, "serving /livez, /readyz and /metrics");
    let served = axum::serve(listener, router(checks)).with_graceful_shutdown(stop.cancelled_owned());
    served.await.context("serve the admin routes")
}

async fn readyz(State(checks): State<Checks>) -> Response {
    let (mut answers, mut ready) = (BTreeMap::new(), true);
    for (name, probe) in &checks.probes {
        let answer = timeout(PROBE_LIMIT, (probe.ask)()).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PROBE_LIMIT:?}")));
        ready &= answer.is_ok() || !probe.is_needed;
        answers.insert(name.clone(), answer.err().unwrap_or_else(|| "ok".to_owned()));
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(answers)).into_response()
}

async fn metrics() -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&prometheus::gather(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_ready_when_all_it_needs_is() {
        let mut checks = Checks::default();
        checks.add("store", async || Ok(()));
        assert_eq!(readyz(State(checks.clone())).await.status(), StatusCode::OK);
        checks.add_spared("broker", async || Err("no connection".to_owned()));
        assert_eq!(readyz(State(checks.clone())).await.status(), StatusCode::OK);
        checks.add("blobs", async || Err("no connection".to_owned()));
        assert_eq!(readyz(State(checks)).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
