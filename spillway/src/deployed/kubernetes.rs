//! What the manifests say, held against the types of the API and the command line they start.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::ArgMatches;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use planning::stages::STAGES;
use serde::Deserialize;
use serde_json::Value;

use super::files::read;
use super::{LEAVE, innermost, parse};

const FILES: [&str; 2] = ["deploy/kubernetes/spillway.yaml", "deploy/kubernetes/autoscaler.yaml"];

fn objects() -> Vec<Value> {
    let mut objects = Vec::new();
    for file in FILES {
        let text = read(file);
        for document in serde_norway::Deserializer::from_str(&text) {
            let yaml = serde_norway::Value::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}"));
            objects.push(serde_json::to_value(yaml).expect("only texts are keys"));
        }
    }
    objects
}

fn of<T: serde::de::DeserializeOwned>(kind: &str) -> Vec<T> {
    let objects = objects().into_iter().filter(|object| object["kind"] == kind);
    objects.map(|object| serde_json::from_value(object).expect("it fits its type")).collect()
}

/// Checks that the API would know every field: what its type does not know is lost on the way through it.
#[track_caller]
fn check_fields<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) {
    let typed: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"));
    let back = serde_json::to_value(&typed).expect("JSON");
    assert_eq!(&back, object);
}

#[test]
fn every_field_is_one_that_the_api_knows() {
    for object in objects() {
        match object["kind"].as_str().expect("a kind") {
            "ConfigMap" => check_fields::<ConfigMap>(&object),
            "Deployment" => check_fields::<Deployment>(&object),
            "Job" => check_fields::<Job>(&object),
            "Role" => check_fields::<Role>(&object),
            "RoleBinding" => check_fields::<RoleBinding>(&object),
            "Service" => check_fields::<Service>(&object),
            "ServiceAccount" => check_fields::<ServiceAccount>(&object),
            other => panic!("{other} is new here"),
        }
    }
}

/// Returns the variables that a container sees, those of the shared ConfigMap included.
fn variables(container: &Container) -> BTreeMap<String, String> {
    let shared = of::<ConfigMap>("ConfigMap").remove(0).data.expect("data");
    let mut variables = if container.env_from.is_some() { shared.clone() } else { BTreeMap::new() };
    for variable in container.env.iter().flatten() {
        let key = variable.value_from.as_ref().and_then(|from| Some(from.config_map_key_ref.as_ref()?.key.clone()));
        let value = variable.value.clone().or_else(|| key.map(|key| shared[&key].clone()));
        variables.insert(variable.name.clone(), value.expect("a value"));
    }
    variables
}

/// Returns how the binary understands what a container starts it with.
#[track_caller]
fn matches(container: &Container) -> ArgMatches {
    let args: Vec<&str> = container.args.iter().flatten().map(String::as_str).collect();
    let variables = variables(container);
    let named = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    parse(&args, &named).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

fn check_pod(pod: &PodSpec) {
    let [container] = pod.containers.as_slice() else { panic!("one container") };
    assert_eq!(container.image.as_deref(), Some(concat!("spillway:", env!("CARGO_PKG_VERSION"))));
    let (args, matches) = (&container.args, matches(container));
    if let Some(Some(grace)) =
        ["drain_grace", "ingest_grace"].iter().find_map(|name| innermost(&matches).try_get_one::<Duration>(name).ok())
    {
        let given = pod.termination_grace_period_seconds.expect("a time") as u64;
        assert!(given > (*grace + LEAVE).as_secs(), "{args:?}: {given} s");
    }
    let security = container.security_context.as_ref().expect("a security context");
    assert_eq!(security.read_only_root_filesystem, Some(true), "{args:?}");
    assert!(container.resources.as_ref().is_some_and(|resources| resources.limits.is_some()), "{args:?}");
}

#[test]
fn every_container_starts_what_the_binary_knows() {
    for deployment in of::<Deployment>("Deployment") {
        let spec = deployment.spec;
        let labels = spec.template.metadata.and_then(|metadata| metadata.labels);
        assert_eq!(spec.selector.match_labels, labels, "it finds its own pods");
        check_pod(&spec.template.spec.expect("a pod"));
    }
    for job in of::<Job>("Job") {
        check_pod(&job.spec.expect("a spec").template.spec.expect("a pod"));
    }
}

/// A pod that is one too many is not to give up what it has in hand: it would be begun anew elsewhere.
#[test]
fn what_is_scaled_has_as_long_to_end_as_a_unit_may_take() {
    let mut scaled = 0;
    for deployment in of::<Deployment>("Deployment").iter().filter(|deployment| deployment.spec.replicas.is_none()) {
        let pod = deployment.spec.template.spec.as_ref().expect("a pod");
        let matches = matches(&pod.containers[0]);
        let time = |name: &str| *innermost(&matches).get_one::<Duration>(name).expect("it has a default");
        let (drain, hard) = (time("drain_grace"), time("hard_limit"));
        assert!(drain > hard, "{:?}: {drain:?} to drain, and a unit may take {hard:?}", deployment.metadata.name);
        scaled += 1;
    }
    assert_eq!(scaled, STAGES.len());
}

#[test]
fn what_is_scaled_is_named_allowed_and_left_to_the_autoscaler() {
    let scaled: BTreeSet<String> = STAGES.map(|stage| format!("spillway-{stage}")).into();
    let of_scale = |role: &Role| {
        let rules = role.rules.iter().flatten();
        let rules: Vec<_> =
            rules.filter(|rule| rule.api_groups.iter().flatten().any(|group| group == "apps")).collect();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].resources, Some(vec!["deployments/scale".to_owned()]));
        assert_eq!(rules[0].verbs, ["get", "patch"]);
        rules[0].resource_names.iter().flatten().cloned().collect::<BTreeSet<String>>()
    };
    assert_eq!(of_scale(&of::<Role>("Role")[0]), scaled);
    let left_alone = of::<Deployment>("Deployment").into_iter().filter(|deployment| deployment.spec.replicas.is_none());
    let left_alone: BTreeSet<String> = left_alone.filter_map(|deployment| deployment.metadata.name).collect();
    assert_eq!(left_alone, scaled, "a number of replicas in the file would undo what was decided");
}
