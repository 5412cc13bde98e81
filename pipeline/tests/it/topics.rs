//! Topics are made once and checked ever after; what is published can be followed back.

use pipeline::kafka::topics;
use pipeline::lane::Lane;
use pipeline::topic::Topic;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_and_a_mismatch_is_one_line() {
    let world = World::new(2).await;
    topics::ensure(&world.brokers, 2).await.unwrap();
    topics::check(&world.brokers).await.unwrap();
    let error = format!("{:#}", topics::ensure(&world.brokers, 3).await.unwrap_err());
    assert!(error.contains("has 2 partitions, 3 are wanted") && !error.contains('\n'), "{error}");
    let elsewhere = pipeline::kafka::BrokerArgs { topic_prefix: "nowhere.".to_owned(), ..world.brokers.clone() };
    let error = format!("{:#}", topics::check(&elsewhere).await.unwrap_err());
    assert!(error.contains("nowhere.video.submitted.priority is missing"), "{error}");
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
