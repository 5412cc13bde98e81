//! Whose turn it is, seen from outside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pipeline::event::{Envelope, VideoSource, VideoSubmitted, WorkerReport, WorkerState};
use pipeline::id::VideoId;
use pipeline::lane::Lane;
use pipeline::outbox::Sink;
use pipeline::runner::RunnerArgs;
use pipeline::topic::Topic;
use prost::Message;
use tokio::sync::Semaphore;

use crate::world::{Scripted, World, eventually, quick, submitted};

/// Fills every lane, and returns how often each was served in the first 150 turns.
async fn served(weights: Vec<u32>) -> [usize; 4] {
    let world = World::new(2).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    for lane in Lane::ALL {
        world.submit_many(lane, 160).await;
    }
    let worker = world.start(stage.clone(), RunnerArgs { lane_weights: weights, ..quick() });
    // The first unit is begun when one lane has arrived; turns are counted when all have.
    let full = |report: &WorkerReport| report.queued == 4 * 160 - 1 && report.busy == 1;
    eventually("all lanes are fetched", async || last_report(&world).await.filter(full)).await;
    gate.add_permits(10_000);
    stage.seen.begun(151).await;
    let mut counts = [0; 4];
    for job in &stage.seen.begun.lock().unwrap()[1..151] {
        counts[job.lane().index()] += 1;
    }
    worker.stop().await.unwrap();
    counts
}

async fn last_report(world: &World) -> Option<WorkerReport> {
    let reports = world.read(Topic::WorkerReport).await;
    reports.last().map(|report| WorkerReport::decode(&*report.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_are_served_by_their_weights() {
    let counts = served(vec![8, 4, 2, 1]).await;
    let expected = [80_usize, 40, 20, 10];
    assert!(counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(expected) <= 2), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_floor_keeps_every_lane_moving() {
    let counts = served(vec![1000, 1, 1, 1]).await;
    assert!(counts[1..].iter().all(|count| *count >= 5), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_video_is_next_but_few_after_499_of_a_tenant_that_has_too_many() {
    let world = World::new(2).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    // A tenant's videos as they go once it has more than its share: one in the lane of its length, the others lower.
    for (lane, count) in [(Lane::Express, 1), (Lane::Standard, 9), (Lane::Batch, 489)] {
        world.submit_many(lane, count).await;
    }
    let worker = world.start(stage.clone(), quick());
    let begun = |report: &WorkerReport| report.queued >= 498 && report.busy == 1;
    eventually("they are fetched", async || last_report(&world).await.filter(begun)).await;
    let one = world.submit(Lane::Express).await;
    let full = |report: &WorkerReport| report.queued >= 499;
    eventually("the one is fetched", async || last_report(&world).await.filter(full)).await;
    gate.add_permits(10_000);
    stage.seen.begun(20).await;
    let place = stage.seen.begun.lock().unwrap().iter().position(|job| job.video() == one).unwrap();
    assert!(place <= 4, "{place} were begun before it");
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_lanes_do_not_slow_a_busy_one() {
    let mut world = World::new(2).await;
    world.brokers.fetch_wait = Duration::from_secs(2);
    let stage = Scripted::new(|_, _| async { Ok(()) });
    // Each is all that is fetched ahead of a lane.
    let job = submitted(VideoId::random(), Lane::Batch).job;
    for _ in 0..12 {
        let source = Some(VideoSource::Url("x".repeat(4 << 20)));
        world.producer.publish(Envelope::of(&VideoSubmitted { job: job.clone(), source })).await.unwrap();
    }
    let args = RunnerArgs { slots: 2, claims: false, ..quick() };
    let worker = world.start(stage.clone(), args);
    stage.seen.begun(1).await;
    let begun = Instant::now();
    stage.seen.begun(12).await;
    // Else each would wait until a question for the empty lanes has its answer.
    assert!(begun.elapsed() < 6 * world.brokers.fetch_wait, "{:?}", begun.elapsed());
    let late = world.submit(Lane::Priority).await;
    stage.seen.begun(13).await;
    assert_eq!(stage.seen.begun.lock().unwrap()[12].video(), late);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_say_what_is_in_hand_and_what_was_done() {
    let world = World::new(1).await;
    let gate = Arc::new(Semaphore::new(1));
    let stage = Scripted::gated(gate.clone());
    world.submit_many(Lane::Batch, 3).await;
    let worker = world.start(stage, quick());
    let expected = |report: &WorkerReport| report.done_total == 1 && report.busy == 1 && report.queued == 1;
    let report = eventually("the heartbeat", async || last_report(&world).await.filter(expected)).await;
    assert_eq!((report.state(), report.slots), (WorkerState::Ready, 1));
    assert_eq!(report.units[0].lane(), Lane::Batch);
    let [done] = &report.done_of[..] else { panic!("one lane: {report:?}") };
    assert_eq!((done.lane(), done.done_total, done.busy_seconds_total), (Lane::Batch, 1, report.busy_seconds_total));
    assert!(report.memory_bytes > 1 << 20 && report.head_age_ms < 600_000, "{report:?}");
    worker.tell();
    let draining = |report: &WorkerReport| report.state() == WorkerState::Draining;
    eventually("it drains", async || last_report(&world).await.filter(draining)).await;
    gate.add_permits(1);
    worker.stop().await.unwrap();
}
