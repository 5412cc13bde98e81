//! A video where everybody must prove who he is: Kafka asks for a password over TLS, Cassandra for one and a certificate,
//! S3 for keys. Each role is a process of its own, as on a cluster, and one trace leads through them all.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipeline::kafka::{BrokerArgs, Protocol, Security, reader};
use pipeline::loopback;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use testing::api::Api;
use testing::cassandra;
use testing::kafka::{Guarded, USER};
use testing::media;
use testing::member::Member;
use testing::until::until;

use crate::check::{Settings, servers};
use crate::dev::{ROLES, command};

/// What all topics of this file are called by.
const PREFIX: &str = "roles.";

/// How long a process may take to be ready, on a machine that does much else.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Starts a process of `role`, which tells at the address that is returned whether it is ready.
fn start(role: &'static str, settings: &Settings) -> (Member, SocketAddr) {
    let (settings, address) = (settings.clone(), loopback::free_address().expect("a free port"));
    let start = move || {
        let (mut command, at) = (command(), address.to_string());
        match role {
            "ingest" => command.args(["ingest", "--listen", &at]),
            _ => command.args(["process", role, "--slots", "2", "--admin-listen", &at]),
        };
        // Spans travel where they are sent; nothing listens there.
        command.envs(settings.variables()).env("SPILLWAY_OTLP", "http://127.0.0.1:9");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    (Member::start(role, Arc::new(start)), address)
}

/// Returns the trace of each record of `topic`; there may be several.
async fn traces(brokers: &BrokerArgs, topic: Topic) -> BTreeSet<String> {
    let spans = reader::spans(brokers, topic).await.expect("the topic is there");
    let traces = Mutex::new(BTreeSet::new());
    let read = reader::for_each(brokers, spans, 8, async |record| {
        let parent = record.headers.iter().find(|(name, _)| *name == "traceparent").map(|(_, value)| value);
        let trace = parent.and_then(|parent| parent.split('-').nth(1)).unwrap_or("none");
        traces.lock().expect("nobody has failed").insert(trace.to_owned());
        Ok(())
    });
    read.await.expect("the topic can be read");
    traces.into_inner().expect("nobody has failed")
}

/// Checks that all that was said of the one video, by any role, belongs to one trace.
async fn check_trace(servers: &Guarded) {
    let security = Security {
        kafka_security: Protocol::SaslSsl,
        kafka_user: Some(USER.0.to_owned()),
        kafka_password: USER.1.parse().ok(),
        kafka_ca: Some(servers.certificates().authority.clone()),
        ..Security::default()
    };
    let brokers = BrokerArgs { topic_prefix: PREFIX.to_owned(), security, ..BrokerArgs::new(servers.passwords()) };
    let submitted = traces(&brokers, Topic::VideoSubmitted).await;
    assert!(submitted.len() == 1 && !submitted.contains("none"), "{submitted:?}");
    for stage in StageName::ALL {
        assert_eq!(traces(&brokers, Topic::read_by(stage)).await, submitted, "what {stage} reads");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_is_done_where_everybody_must_prove_who_he_is() {
    let servers = servers().await;
    let store = format!("cql://{}@{}/videos", cassandra::USER.0, servers.nodes.address());
    let settings = Settings::right(servers, PREFIX).but(&[("SPILLWAY_STORE", &store), ("SPILLWAY_LOG", "warn")]);
    let made = settings.run(&["topics", "--partitions", "2"]).await;
    assert!(made.status.success(), "{made:?}");
    let (members, addresses): (Vec<Member>, Vec<SocketAddr>) =
        ROLES.into_iter().map(|role| start(role, &settings)).unzip();
    for (member, address) in members.iter().zip(&addresses) {
        let admin = Api::at(*address);
        until(&format!("{} is ready", member.role()), READY_LIMIT, async || {
            admin.try_get("/readyz").await.ok()?.error_for_status().ok()
        })
        .await;
    }
    let ingest = members.iter().position(|member| member.role() == "ingest").expect("the API");
    let api = Api::at(addresses[ingest]);
    let input = "-f lavfi -i testsrc2=s=160x90:r=10:d=6 -f lavfi -i sine=f=300:d=6";
    let video = media::make(&format!("{input} -c:v libx264 -preset ultrafast -g 20 -c:a aac"), "guarded.mp4");
    let id = api.upload(&video, "clips=1&min_clip_s=3&max_clip_s=4&height=240").await;
    api.done(&id).await;
    let clips = api.clips(&id).await;
    assert_eq!(clips.len(), 1);
    assert!(clips[0].video.len() > 1000, "a file that plays");
    check_trace(&servers.brokers).await;
    for member in &members {
        assert!(member.ends().is_empty(), "{} ended: {:?}", member.role(), member.ends());
    }
}
