//! The private broker: it starts fast, and it dies while there is work.

use std::path::Path;

use crate::dev::{Dev, Home};
use pipeline::broker::node;
use pipeline::runtime::RuntimeFile;
use testing::api::{Api, OPTIONS};
use testing::kafka::runtime;
use testing::media::talk;

#[tokio::test]
async fn a_killed_broker_comes_back_and_nothing_is_lost() {
    let home = Home::new();
    let dev = Dev::start(&home, &[("SPILLWAY_CLAIM_LEASE", "3s")]);
    let api = Api::at(dev.address());
    let id = api.upload(talk(), OPTIONS).await;
    api.past(&id, "split").await;
    let mut before = dev.children();
    dev.kill("broker").await;
    api.done(&id).await;
    assert_eq!(api.clips(&id).await.len(), 2);

    // The workers waited for it.
    let mut after = dev.children();
    assert_ne!(before.remove("broker"), after.remove("broker"));
    assert_eq!(before, after, "a worker was started again");
    // And what comes later goes its way.
    let later = api.upload(talk(), OPTIONS).await;
    api.done(&later).await;
}

#[tokio::test]
async fn java_takes_the_class_data_archive() {
    let jars = runtime().locate(RuntimeFile::Kafka).expect("Kafka's jars");
    // Without properties it ends as soon as it has looked for them.
    let mut command = node::command(&jars, Path::new("/nowhere/server.properties"), 64);
    let said = command.env("JAVA_TOOL_OPTIONS", "-Xlog:class+load").output().await.expect("java").stdout;
    let said = String::from_utf8_lossy(&said);
    let archived = said.lines().filter(|line| line.contains("kafka.") && line.contains("shared objects file (top)"));
    assert!(archived.count() > 10, "Kafka's classes are not from the archive");
}
