//! What every page shares.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use pipeline::id::{OnBehalfOf, TenantId};
use pipeline::kafka::Producer;
use pipeline::store::SharedStore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::access::Access;
use crate::args::DashboardArgs;
use crate::page::autoscaler::trial::Trials;
use crate::page::capacity::plans::Plans;
use crate::page::loadtests::kept::Kept;
use crate::page::video::logs::Logs;
use crate::reach::Reach;
use crate::seen::Seen;
use crate::written::Written;

/// What every page shares. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Videos, their logs and clips.
    pub store: SharedStore,
    /// Where all that is.
    pub reach: Arc<Reach>,
    /// What commands are published with.
    pub producer: Producer,
    /// The HTTP API.
    pub api: Api,
    /// What happens, as the brokers tell it.
    pub seen: Arc<Seen>,
    /// Who may see and change what.
    pub access: Arc<Access>,
    /// What the operator set.
    pub args: Arc<DashboardArgs>,
    /// Ends streams when the process is to end.
    pub stop: CancellationToken,
    /// What was written of each view.
    pub(crate) written: Arc<Written>,
    /// What another policy would have decided.
    pub(crate) trials: Arc<Trials>,
    /// Scenarios that were simulated.
    pub(crate) plans: Arc<Plans>,
    /// Runs of load tests.
    pub(crate) kept: Arc<Kept>,
    /// Logs of videos that are looked at.
    pub(crate) logs: Arc<Logs>,
}

impl App {
    /// Puts together what pages share.
    ///
    /// # Errors
    /// When a file with a key cannot be read, or a key is too short.
    pub fn new(
        store: SharedStore,
        reach: Reach,
        producer: Producer,
        api: Api,
        args: DashboardArgs,
        stop: CancellationToken,
    ) -> Result<Self> {
        let access = Arc::new(Access::new(&args)?);
        let seen = Arc::new(Seen::new(&args));
        let (written, trials, plans, logs) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let kept = Arc::new(Kept::new(&args));
        Ok(Self {
            store,
            reach: Arc::new(reach),
            producer,
            api,
            seen,
            access,
            args: Arc::new(args),
            stop,
            written,
            trials,
            plans,
            kept,
            logs,
        })
    }
}

/// The HTTP API within this process: pages ask it on behalf of whose video it is.
#[derive(Clone)]
pub struct Api {
    router: Router,
    tenants: Arc<dyn Fn() -> Vec<TenantId> + Send + Sync>,
}

impl Api {
    /// Asks `router`, which serves `/v1`; `tenants` are those there are.
    pub fn new(router: Router, tenants: impl Fn() -> Vec<TenantId> + Send + Sync + 'static) -> Self {
        Self { router, tenants: Arc::new(tenants) }
    }

    /// Returns every tenant there is, in order of their names.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants = (self.tenants)();
        tenants.sort();
        tenants
    }

    /// Sends `request` on behalf of `tenant`. Bodies are streamed both ways.
    pub async fn ask(&self, tenant: TenantId, mut request: Request<Body>) -> Response {
        request.extensions_mut().insert(OnBehalfOf(tenant));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
