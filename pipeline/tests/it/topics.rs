//! Topics are made once and checked ever after; what is published can be followed back.

use pipeline::event::{Event, VideoSubmitted};
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{topics, trim};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use tracing::Instrument;

use crate::world::{Scripted, Seen, World, eventually, quick};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_and_a_mismatch_is_one_line() {
    let world = World::new(2).await;
    topics::ensure(&world.brokers, Shape::with_partitions(2)).await.unwrap();
    topics::check(&world.brokers).await.unwrap();
    let error = format!("{:#}", topics::ensure(&world.brokers, Shape::with_partitions(3)).await.unwrap_err());
    assert!(error.contains("has 2 partitions, 3 are wanted") && !error.contains('\n'), "{error}");
    let elsewhere = pipeline::kafka::BrokerArgs { topic_prefix: "nowhere.".to_owned(), ..world.brokers.clone() };
    let error = format!("{:#}", topics::check(&elsewhere).await.unwrap_err());
    assert!(error.contains("nowhere.video.submitted.priority is missing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_were_added_are_told_where_they_do_harm() {
    for (grown, words) in [
        (Topic::SegmentDone, "topics whose records go by their video"),
        (Topic::WorkerCommand, "1 is needed"),
        (Topic::VideoReady, "the lanes of topic video.ready"),
    ] {
        let world = World::new(2).await;
        let mut config = ClientConfig::new();
        let admin: AdminClient<DefaultClientContext> =
            config.set("bootstrap.servers", &world.brokers.brokers).create().unwrap();
        let name = world.brokers.topic_name(grown, Lane::Standard);
        let more = NewPartitions::new(&name, 3);
        admin.create_partitions([&more], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
        let told = eventually("it is told", async || topics::check(&world.brokers).await.err()).await;
        let line = format!("{told:#}");
        assert!(line.contains(words) && line.contains('3') && !line.contains('\n'), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_with_is_trimmed_and_the_rest_stays() {
    let world = World::new(2).await;
    world.submit_many(Lane::Express, 6).await;
    trim::trim(&world.brokers).await.unwrap();
    assert_eq!(world.read(Topic::VideoSubmitted).await.len(), 6, "nobody has read them");
    let worker = world.start(Scripted::new(async |_, _| Ok(())), quick());
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 6).await;
    worker.stop().await.unwrap();
    let late = world.submit(Lane::Express).await;
    trim::trim(&world.brokers).await.unwrap();
    let left = world.read(Topic::VideoSubmitted).await;
    let left: Vec<_> = left.iter().map(|seen| VideoSubmitted::read(&seen.body).unwrap().job.video()).collect();
    assert_eq!(left, [late]);
    assert_eq!(world.read(Topic::VideoReady).await.len(), 6, "their stage has not read them");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_video_goes_from_stage_to_stage() {
    let world = World::new(1).await;
    let caller = tracing::info_span!("upload");
    world.submit(Lane::Express).instrument(caller).await;
    let worker = world.start(Scripted::new(async |_, _| Ok(())), quick());
    let outputs = world.read_when(Topic::VideoReady, 1).await;
    let trace = |seen: &Seen| seen.headers["traceparent"].split('-').nth(1).unwrap().to_owned();
    assert_eq!(trace(&outputs[0]), trace(&world.read(Topic::VideoSubmitted).await[0]));
    assert_ne!(outputs[0].headers["traceparent"], world.read(Topic::VideoSubmitted).await[0].headers["traceparent"]);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_say_when_they_were_first_published() {
    let world = World::new(1).await;
    let before = jiff::Timestamp::now().as_millisecond();
    world.submit(Lane::Priority).await;
    let seen = world.read_when(Topic::VideoSubmitted, 1).await;
    let published: i64 = seen[0].headers["first-published-ms"].parse().unwrap();
    assert!((before..=jiff::Timestamp::now().as_millisecond()).contains(&published));
    assert_eq!(seen[0].headers["unit"], "video");
}
