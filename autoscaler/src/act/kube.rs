//! Workers are the pods of a Deployment each stage has; only its `scale` is read and written.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use pipeline::stage::StageName;
use tokio::time::timeout;

use super::{Act, Scale, Unit};

/// How long the API may take to answer.
const LIMIT: Duration = Duration::from_secs(4);
/// Who changed the scale, for whoever looks at the object.
const MANAGER: &str = "spillway-autoscaler";

/// Connects to the cluster that this pod is in, or else that of the current context.
///
/// # Errors
/// When neither is there, or what is said of it is wrong.
pub async fn client() -> Result<Client> {
    Client::try_default().await.context("find the Kubernetes API")
}

/// The Deployments of one namespace.
pub struct Deployments {
    api: Api<Deployment>,
    names: String,
}

impl Deployments {
    /// Scales the Deployments whose names are `names` with the stage in place of `{stage}`, in the namespace that
    /// `client` is for.
    pub fn new(client: Client, names: &str) -> Self {
        Self { api: Api::default_namespaced(client), names: names.to_owned() }
    }

    fn name(&self, stage: StageName) -> String {
        self.names.replace("{stage}", stage.as_str())
    }
}

#[async_trait]
impl Act for Deployments {
    fn unit(&self) -> Unit {
        Unit::Worker
    }

    async fn current(&self, stage: StageName) -> Result<Scale> {
        let name = self.name(stage);
        let answer = timeout(LIMIT, self.api.get_scale(&name)).await.context("no answer from the Kubernetes API");
        let scale = answer.and_then(|answer| Ok(answer?)).with_context(|| format!("read the scale of {name}"))?;
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(Scale { replicas: Some(u32::try_from(replicas).unwrap_or(0)) })
    }

    async fn scale(&self, stage: StageName, replicas: u32) -> Result<()> {
        let name = self.name(stage);
        let patch = Patch::Merge(serde_json::json!({ "spec": { "replicas": replicas } }));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let answer = timeout(LIMIT, self.api.patch_scale(&name, &params, &patch)).await;
        let answer = answer.context("no answer from the Kubernetes API").and_then(|answer| Ok(answer?));
        answer.map(drop).with_context(|| format!("set the scale of {name} to {replicas}"))
    }
}
