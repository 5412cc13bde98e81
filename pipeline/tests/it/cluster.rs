//! Three brokers, of which one dies.

use std::collections::BTreeSet;
use std::time::Duration;

use pipeline::kafka::topics::{self, Shape};
use pipeline::kafka::{BrokerArgs, Producer};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use testing::kafka::Cluster;

use crate::world::{Scripted, World, eventually, quick};

/// Records published before the broker dies, and after.
const RECORDS: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_dies_stops_nothing_and_loses_nothing() {
    let mut cluster = Cluster::start().await.unwrap();
    let shape = Shape { partitions: Some(6), replication: 3 };
    let world = World::at(BrokerArgs::new(cluster.addresses()), shape).await;
    let work = Scripted::new(async |_, _| {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    });
    let worker = world.start(work.clone(), quick());
    let mut sent: BTreeSet<_> = world.submit_many(Lane::Express, RECORDS).await.into_iter().collect();
    work.seen.begun(1).await;

    // The broker that leads the most is as good as any.
    cluster.kill(1).await;
    sent.extend(world.submit_many(Lane::Express, RECORDS).await);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 2 * RECORDS).await;
    let said = world.read(Topic::VideoReady).await.into_iter().map(|seen| seen.body).collect::<BTreeSet<_>>();
    assert_eq!(said, sent.iter().map(|video| video.as_bytes().to_vec()).collect());
    let survey = topics::survey(&world.brokers).await.unwrap();
    assert!(survey.topics.iter().all(|topic| topic.wrong.is_none() && topic.copies == 3), "{survey:?}");
    assert!(survey.topics.iter().any(|topic| topic.behind > 0), "{survey:?}");

    cluster.start_again(1).await.unwrap();
    eventually("all copies are up to date", async || {
        let survey = topics::survey(&world.brokers).await.ok()?;
        (survey.brokers == 3 && survey.topics.iter().all(|topic| topic.behind == 0)).then_some(())
    })
    .await;
    worker.stop().await.unwrap();
    topics_that_risk_records_are_told(&world).await;
}

/// On the same cluster, because one takes seconds to start.
async fn topics_that_risk_records_are_told(world: &World) {
    let fewer = Shape { partitions: Some(6), replication: 2 };
    let line = format!("{:#}", topics::ensure(&world.brokers, fewer).await.unwrap_err());
    assert!(line.contains("is on 3 brokers, 2 are wanted"), "{line}");
    let more = Shape { partitions: Some(6), replication: 4 };
    let elsewhere = BrokerArgs { topic_prefix: "more.".to_owned(), ..world.brokers.clone() };
    let line = format!("{:#}", topics::ensure(&elsewhere, more).await.unwrap_err());
    assert!(line.contains("on 4 brokers: there are not as many"), "{line}");

    let topic = world.brokers.topic_name(Topic::WorkerReport, Lane::Express);
    for (in_sync, words) in [("1", "records that count can be lost"), ("3", "while one broker is away")] {
        set(world, &topic, "min.insync.replicas", in_sync).await;
        let line =
            eventually("the broker tells of its new setting", async || topics::check(&world.brokers).await.err());
        let line = format!("{:#}", line.await);
        let found = format!("topic {topic} has min.insync.replicas={in_sync} and 3 copies, 2 is needed");
        assert!(line.contains(&found) && line.contains(words) && !line.contains('\n'), "{line}");
        set(world, &topic, "min.insync.replicas", "2").await;
        eventually("all is right again", async || topics::check(&world.brokers).await.ok()).await;
    }
    Producer::connect(&world.brokers).await.unwrap();
}

async fn set(world: &World, topic: &str, key: &str, value: &str) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", &world.brokers.brokers).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
    let changed = admin.alter_configs([&change], &AdminOptions::new()).await.unwrap();
    changed[0].as_ref().unwrap();
}
