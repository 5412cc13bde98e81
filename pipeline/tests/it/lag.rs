//! What waits in the brokers, seen from outside.

use std::sync::Arc;

use pipeline::kafka::lag::Lags;
use pipeline::kafka::tail::{Since, follow};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use tokio::sync::Semaphore;

use crate::world::{Scripted, World, eventually, quick};

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_what_is_not_acknowledged_in_each_lane() {
    let world = World::new(3).await;
    let lags = Lags::connect(&world.brokers, &[StageName::Fetch, StageName::Split]).await.unwrap();
    let began_ms = jiff::Timestamp::now().as_millisecond();
    world.submit_many(Lane::Express, 5).await;
    world.submit_many(Lane::Batch, 2).await;
    // For a moment new topics have no leader that is known everywhere, and new groups no coordinator.
    let read = async || lags.read_with_ages().await.ok()?.remove(&StageName::Fetch).unwrap().ok();
    let lanes = eventually("the group's positions are told", read).await;
    let shown: Vec<_> = lanes.iter().map(|lane| (lane.partitions, lane.end_total, lane.committed_total)).collect();
    assert_eq!(shown, [(3, 0, 0), (3, 5, 0), (3, 0, 0), (3, 2, 0)]);
    assert_eq!((lanes[0].oldest_ms, lanes[2].oldest_ms), (None, None));
    for (lane, waiting) in [(&lanes[1], 5), (&lanes[3], 2)] {
        assert_eq!(lane.by_partition.iter().map(|partition| partition.end - partition.committed).sum::<i64>(), waiting);
        let oldest_ms = lane.by_partition.iter().filter_map(|partition| partition.oldest_ms).min();
        assert_eq!(lane.oldest_ms, oldest_ms);
        let off_ms = oldest_ms.unwrap() - began_ms;
        assert!((-1500..30_000).contains(&off_ms), "{off_ms} ms off");
    }

    let gate = Arc::new(Semaphore::new(4));
    let worker = world.start(Scripted::gated(gate.clone()), quick());
    let told = async || {
        let lanes = lags.read().await.ok()?.remove(&StageName::Fetch).unwrap().ok()?;
        Some((lanes.iter().map(|lane| lane.committed_total).sum(), lanes.iter().map(|lane| lane.end_total).sum()))
    };
    let is = async |wanted: (i64, i64)| told().await.filter(|told| *told == wanted);
    eventually("four are acknowledged", async || is((4, 7)).await).await;
    gate.add_permits(3);
    eventually("all are acknowledged", async || is((7, 7)).await).await;
    // What comes after a group had finished is seen, and so is that it is worked on.
    world.submit_many(Lane::Batch, 2).await;
    eventually("two wait", async || is((7, 9)).await).await;
    gate.add_permits(9);
    eventually("they do not", async || is((9, 9)).await).await;
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_followed_from_a_time_on() {
    let world = World::new(2).await;
    world.start(Scripted::new(async |_, _| Ok(())), quick()).joined().await;
    let mut all = follow(&world.brokers, Topic::WorkerReport, Since::Beginning).await.unwrap();
    let first = all.recv().await.unwrap().unwrap();
    assert!(first.key.is_some());
    let later = jiff::Timestamp::from_millisecond(first.published_ms + 1).unwrap();
    let mut some = follow(&world.brokers, Topic::WorkerReport, Since::Time(later)).await.unwrap();
    let second = some.recv().await.unwrap().unwrap();
    assert!(second.offset > first.offset, "{second:?}");
}
