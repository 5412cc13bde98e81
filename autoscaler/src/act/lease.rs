//! Of several autoscalers one acts: the one that holds a Lease. The others watch and decide too, so that whoever takes
//! over knows what came before.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long a holder that says nothing keeps the lease.
const LASTS: Duration = Duration::from_secs(15);
/// How often it is renewed, or looked at by the others.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// How long the API may take to answer.
const LIMIT: Duration = Duration::from_secs(4);

/// A lease, seen by one who wants it.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    /// Who we are.
    identity: String,
    lasts: Duration,
    /// The version last seen and when it was first: whether a lease has run out is judged by our own clock alone.
    seen: Option<(String, Instant)>,
    renewed: Option<Instant>,
}

impl Candidate {
    /// Wants the lease `name` in the namespace that `client` is for.
    pub fn new(client: Client, name: &str, identity: String) -> Self {
        let api = Api::default_namespaced(client);
        Self { api, name: name.to_owned(), identity, lasts: LASTS, seen: None, renewed: None }
    }

    /// Lets a silent holder keep the lease only so long.
    #[must_use]
    pub fn lasting(self, lasts: Duration) -> Self {
        Self { lasts, ..self }
    }

    /// Tries for the lease, or renews it, until `stop`, and tells whether it is held; then gives it back.
    pub async fn run(mut self, leads: watch::Sender<bool>, stop: CancellationToken) {
        let every = RENEW_EVERY.min(self.lasts / 3);
        loop {
            match timeout(LIMIT.min(every), self.attempt()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(lease = self.name, error = format!("{error:#}"), "lease not renewed"),
                Err(_) => warn!(lease = self.name, "no answer from the Kubernetes API"),
            }
            // Ends well before others may think so, since this was asked before it was answered.
            let holds = self.renewed.is_some_and(|renewed| renewed.elapsed() < self.lasts * 2 / 3);
            if leads.send_if_modified(|leads| std::mem::replace(leads, holds) != holds) {
                info!(lease = self.name, identity = self.identity, holds, "leadership changed");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(every) => {}
            }
        }
        if *leads.borrow()
            && let Err(error) = self.give_back().await
        {
            warn!(lease = self.name, error = format!("{error:#}"), "lease not given back");
        }
        leads.send_replace(false);
    }

    async fn attempt(&mut self) -> Result<()> {
        let asked = Instant::now();
        let there = self.api.get_opt(&self.name).await.context("read the lease")?;
        let written = match there {
            None => self.api.create(&PostParams::default(), &self.lease(None, 0)).await,
            Some(lease) => {
                let spec = lease.spec.unwrap_or_default();
                let holder = spec.holder_identity.unwrap_or_default();
                let version = lease.metadata.resource_version.clone().unwrap_or_default();
                let is_ours = holder == self.identity;
                if !is_ours && !holder.is_empty() && !self.has_run_out(&version) {
                    self.renewed = None;
                    return Ok(());
                }
                let changes = spec.lease_transitions.unwrap_or(0) + i32::from(!is_ours);
                self.api.replace(&self.name, &PostParams::default(), &self.lease(Some(version), changes)).await
            }
        };
        match written {
            Ok(_) => self.renewed = Some(asked),
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => self.renewed = None,
            Err(error) => return Err(error).context("write the lease"),
        }
        Ok(())
    }

    /// Says whether `version` of the lease has been the last for too long.
    fn has_run_out(&mut self, version: &str) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == version => since.elapsed() > self.lasts,
            _ => {
                self.seen = Some((version.to_owned(), Instant::now()));
                false
            }
        }
    }

    fn lease(&self, version: Option<String>, changes: i32) -> Lease {
        let now = Some(MicroTime(Timestamp::now()));
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.lasts.as_secs().max(1) as i32),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(changes),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta { name: Some(self.name.clone()), resource_version: version, ..ObjectMeta::default() };
        Lease { metadata, spec: Some(spec) }
    }

    async fn give_back(&self) -> Result<()> {
        let lease = self.api.get(&self.name).await.context("read the lease")?;
        let Some(mut spec) = lease.spec else { return Ok(()) };
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            bail!("somebody else holds it");
        }
        spec.holder_identity = None;
        let free = Lease { metadata: lease.metadata, spec: Some(spec) };
        self.api.replace(&self.name, &PostParams::default(), &free).await.context("write the lease")?;
        Ok(())
    }
}
