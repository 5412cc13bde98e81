//! Scaling on Kubernetes: against an API of the tests' own, and against a real one (`CONTRIBUTING.md` says how) where
//! `SPILLWAY_TEST_KUBE` says that the current context is one that may be written to.

use std::time::Duration;

use autoscaler::act::Act;
use autoscaler::act::kube::Deployments;
use autoscaler::act::lease::Candidate;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use pipeline::stage::StageName;
use testing::until::until;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

/// A candidate for a lease that runs.
struct Running {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(client: Client, lease: &str, identity: &str, lasts: Duration) -> Self {
        let (lead, leads) = watch::channel(false);
        let stop = CancellationToken::new();
        let candidate = Candidate::new(client, lease, identity.to_owned()).lasting(lasts);
        let task = tokio::spawn(candidate.run(lead, stop.clone()));
        Self { leads, stop, task }
    }

    async fn leads(&mut self, expected: bool) {
        let leads = self.leads.wait_for(|leads| *leads == expected);
        tokio::time::timeout(PATIENCE, leads).await.expect("leadership changes in time").expect("it runs");
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Two want to lead: one does, and the other takes over when it ends, or says nothing any more.
async fn one_leads(client: Client, lease: &str) {
    let lasts = Duration::from_secs(1);
    let mut first = Running::start(client.clone(), lease, "first", lasts);
    first.leads(true).await;
    let mut second = Running::start(client.clone(), lease, "second", lasts);
    // Two of its attempts fail before it could think that nobody leads.
    tokio::time::sleep(lasts).await;
    assert!(*first.leads.borrow() && !*second.leads.borrow());
    first.end().await;
    second.leads(true).await;
    second.task.abort();
    let mut third = Running::start(client, lease, "third", lasts);
    third.leads(true).await;
    third.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scale_of_a_deployment_is_read_and_written() {
    let cluster = Cluster::start().await;
    cluster.objects().replicas.extend([("clips-cut".to_owned(), 3), ("clips-fetch".to_owned(), 0)]);
    let deployments = Deployments::new(cluster.client(), "clips-{stage}");
    assert_eq!(deployments.current(StageName::Cut).await.unwrap().replicas, Some(3));
    assert_eq!(deployments.current(StageName::Fetch).await.unwrap().replicas, Some(0));
    deployments.scale(StageName::Cut, 12).await.unwrap();
    assert_eq!(deployments.current(StageName::Cut).await.unwrap().replicas, Some(12));
    let untouched = cluster.objects().replicas["clips-fetch"];
    assert_eq!((untouched, cluster.objects().writes), (0, 1));
    let told = format!("{:#}", deployments.scale(StageName::Split, 1).await.unwrap_err());
    assert!(told.starts_with("set the scale of clips-split to 1: ") && told.contains("NotFound"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_away_is_an_error() {
    let client = Cluster::start().await.client();
    let told = Deployments::new(client, "{stage}").current(StageName::Cut).await.unwrap_err();
    assert!(format!("{told:#}").starts_with("read the scale of cut: "), "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_autoscaler_leads_and_another_takes_over() {
    let cluster = Cluster::start().await;
    one_leads(cluster.client(), "spillway-autoscaler").await;
    let lease = cluster.objects().lease.clone().unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
    assert!(lease["spec"]["holderIdentity"].is_null(), "it was given back: {lease}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Kubernetes API that may be written to: the current context, with SPILLWAY_TEST_KUBE=yes"]
async fn a_real_api_takes_the_same_requests() {
    let is_allowed = std::env::var("SPILLWAY_TEST_KUBE").is_ok_and(|said| said == "yes");
    assert!(is_allowed, "SPILLWAY_TEST_KUBE=yes says that the Kubernetes API of the current context may be written to");
    let client = autoscaler::act::kube::client().await.unwrap();
    let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
    let deployment = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "spillway-test-cut"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "x"}}, "template": {
            "metadata": {"labels": {"app": "x"}},
            "spec": {"containers": [{"name": "x", "image": "spillway:0.1.0"}]}}},
    }));
    deployments.create(&PostParams::default(), &deployment.unwrap()).await.unwrap();
    let act = Deployments::new(client.clone(), "spillway-test-{stage}");
    assert_eq!(act.current(StageName::Cut).await.unwrap().replicas, Some(2));
    act.scale(StageName::Cut, 7).await.unwrap();
    until("the scale is changed", PATIENCE, async || {
        (act.current(StageName::Cut).await.ok()?.replicas == Some(7)).then_some(())
    })
    .await;
    one_leads(client.clone(), "spillway-test").await;
    deployments.delete("spillway-test-cut", &DeleteParams::default()).await.unwrap();
    Api::<Lease>::default_namespaced(client).delete("spillway-test", &DeleteParams::default()).await.unwrap();
}
