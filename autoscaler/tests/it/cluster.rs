//! A Kubernetes API as far as the autoscaler speaks it: the scale of Deployments and Leases, with versions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// What the API keeps.
#[derive(Default)]
pub struct Objects {
    /// Replicas of each Deployment.
    pub replicas: BTreeMap<String, i32>,
    /// The lease, if there is one.
    pub lease: Option<Value>,
    /// How often a scale was written.
    pub writes: usize,
    version: u64,
}

/// A running API; ends when it is dropped.
pub struct Cluster {
    objects: Arc<Mutex<Objects>>,
    address: String,
    serving: JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Cluster {
    pub async fn start() -> Self {
        let objects: Arc<Mutex<Objects>> = Arc::default();
        let scale = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale";
        let leases = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases";
        let router = Router::new()
            .route(scale, get(read_scale).patch(patch_scale))
            .route(leases, post(create_lease))
            .route(&format!("{leases}/{{name}}"), get(read_lease).put(replace_lease))
            .with_state(objects.clone());
        let listener = tokio::net::TcpListener::bind(pipeline::loopback::free_address().unwrap()).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { objects, address, serving }
    }

    pub fn client(&self) -> kube::Client {
        let mut config = kube::Config::new(self.address.parse().unwrap());
        config.default_namespace = "clips".to_owned();
        kube::Client::try_from(config).unwrap()
    }

    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap()
    }
}

type Shared = State<Arc<Mutex<Objects>>>;
type Names = Path<(String, String)>;

fn status(code: StatusCode, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
        "reason": reason, "code": code.as_u16()});
    (code, Json(body)).into_response()
}

fn scale(namespace: &str, name: &str, replicas: i32) -> Response {
    Json(json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas}, "status": {"replicas": replicas, "selector": "app=x"}}))
    .into_response()
}

async fn read_scale(State(objects): Shared, Path((namespace, name)): Names) -> Response {
    match objects.lock().unwrap().replicas.get(&name) {
        Some(replicas) => scale(&namespace, &name, *replicas),
        None => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

async fn patch_scale(
    State(objects): Shared,
    Path((namespace, name)): Names,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> Response {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/merge-patch+json") {
        return status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType");
    }
    let mut objects = objects.lock().unwrap();
    objects.writes += 1;
    let wanted = patch["spec"]["replicas"].as_i64().unwrap() as i32;
    match objects.replicas.get_mut(&name) {
        Some(replicas) => *replicas = wanted,
        None => return status(StatusCode::NOT_FOUND, "NotFound"),
    }
    scale(&namespace, &name, wanted)
}

async fn read_lease(State(objects): Shared) -> Response {
    match &objects.lock().unwrap().lease {
        Some(lease) => Json(lease.clone()).into_response(),
        None => status(StatusCode::NOT_FOUND, "NotFound"),
    }
}

async fn create_lease(State(objects): Shared, Json(lease): Json<Value>) -> Response {
    let mut objects = objects.lock().unwrap();
    if objects.lease.is_some() {
        return status(StatusCode::CONFLICT, "AlreadyExists");
    }
    objects.keep(lease)
}

async fn replace_lease(State(objects): Shared, Json(lease): Json<Value>) -> Response {
    let mut objects = objects.lock().unwrap();
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    if objects.lease.as_ref().map(version) != Some(version(&lease)) {
        return status(StatusCode::CONFLICT, "Conflict");
    }
    objects.keep(lease)
}

impl Objects {
    fn keep(&mut self, mut lease: Value) -> Response {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        Json(lease).into_response()
    }
}
