//! Every record has its answer, acknowledged in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pipeline::event::{Happened, WorkerState};
use pipeline::lane::Lane;
use pipeline::runner::RunnerArgs;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use pipeline::workers;
use tokio::sync::Semaphore;

use crate::world::{Scripted, World, eventually, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_unit_is_published_told_and_acknowledged() {
    let world = World::new(2).await;
    let stage = Scripted::new(async |_, _| Ok(()));
    let video = world.submit(Lane::Express).await;
    let worker = world.start(stage, quick());
    let outputs = world.read_when(Topic::VideoReady, 1).await;
    assert_eq!(outputs[0].body, video.as_bytes());
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    let events = world.events().await;
    assert!(matches!(&events[0].happened, Some(Happened::UnitDone(done)) if done.unit == "video" && done.attempt == 1));
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_finished_prefix_is_acknowledged() {
    let world = World::new(2).await;
    let first = world.submit(Lane::Standard).await;
    world.submit_many(Lane::Standard, 19).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let stage = Scripted::new(move |job, _| {
        let gate = held.clone();
        async move {
            if job.video() == first {
                gate.acquire().await.expect("never closed").forget();
            }
            Ok(())
        }
    });
    let worker = world.start(stage, RunnerArgs { slots: 4, ..quick() });
    let positions = async || world.committed(StageName::Fetch, Topic::VideoSubmitted, Lane::Standard).await;
    // The other partition is acknowledged to its end, and all other outputs are there; the first record holds its own.
    world.read_when(Topic::VideoReady, 19).await;
    let at_end = async || Some(positions().await).filter(|p| p.values().any(|position| *position == 10));
    let seen = eventually("the free partition is acknowledged", at_end).await;
    assert_eq!(seen.values().min(), Some(&0), "{seen:?}");
    gate.add_permits(1);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Standard, 20).await;
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_in_hand_and_leaves_the_rest() {
    let world = World::new(2).await;
    let videos = world.submit_many(Lane::Express, 6).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    let args = RunnerArgs { slots: 2, ..quick() };
    let worker = world.start(stage.clone(), args.clone());
    stage.seen.begun(2).await;
    worker.tell();
    gate.add_permits(2);
    worker.stop().await.unwrap();
    assert_eq!(world.read(Topic::VideoReady).await.len(), 2);
    gate.add_permits(100);
    let next = world.start(stage.clone(), args);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 6).await;
    next.stop().await.unwrap();
    assert_eq!(stage.seen.attempts(), videos.iter().map(|video| (*video, 1)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_drain_finishes_what_is_in_hand_and_ends() {
    let world = World::new(2).await;
    world.submit_many(Lane::Express, 6).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    let worker = world.start(stage.clone(), RunnerArgs { slots: 2, ..quick() });
    let report = async || workers::heard(&world.brokers).await.unwrap().into_iter().next();
    let busy = async || report().await.filter(|report| report.busy == 2);
    let told = eventually("it says that it has work in hand", busy).await;
    workers::drain(&world.producer, "somebody-else", "a test").await.unwrap();
    workers::drain(&world.producer, &told.worker, "a test").await.unwrap();
    let drains = async || report().await.filter(|report| report.state() == WorkerState::Draining);
    assert_eq!(eventually("it says that it drains", drains).await.busy, 2);
    gate.add_permits(2);
    worker.ended().await.unwrap();
    assert_eq!(world.read(Topic::VideoReady).await.len(), 2);
    let last = report().await.expect("it was heard lately");
    assert_eq!((last.state(), last.busy, last.done_total), (WorkerState::Draining, 0, 2), "its last word tells all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_outlasts_the_grace_is_handed_back_unharmed() {
    let world = World::new(1).await;
    world.submit(Lane::Express).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let stage = Scripted::new(move |_, pulse| {
        let gate = held.clone();
        async move {
            tokio::select! {
                permit = gate.acquire() => permit.expect("never closed").forget(),
                () = pulse.stop().cancelled() => pulse.beat()?,
            }
            Ok(())
        }
    });
    let args = RunnerArgs { drain_grace: Duration::from_millis(50), ..quick() };
    let worker = world.start(stage.clone(), args.clone());
    stage.seen.begun(1).await;
    worker.stop().await.unwrap();
    assert_eq!(world.store.total_failures(), 0);
    gate.add_permits(1);
    let next = world.start(stage, args);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    assert_eq!(world.store.ran_alone.load(Ordering::SeqCst), 0, "it was no suspect");
    next.stop().await.unwrap();
}

/// The stage's first unit waits for `gate` or until it must stop; all others are done at once.
fn first_waits(gate: &Arc<Semaphore>) -> Scripted {
    let (gate, begun) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    Scripted::new(move |_, pulse| {
        let (gate, number) = (gate.clone(), begun.fetch_add(1, Ordering::SeqCst));
        async move {
            if number > 0 {
                return Ok(());
            }
            tokio::select! {
                permit = gate.acquire() => permit.expect("never closed").forget(),
                () = pulse.stop().cancelled() => pulse.beat()?,
            }
            Ok(())
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_let_go_finishes_beyond_the_grace_and_nothing_waits_for_it() {
    let world = World::new(2).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = first_waits(&gate);
    let args = RunnerArgs { drain_grace: Duration::ZERO, ..quick() };
    let video = world.submit(Lane::Express).await;
    let first = world.start(stage.clone(), args.clone());
    stage.seen.begun(1).await;
    first.let_go();
    // What lies in all partitions is done by another while the first still works.
    let second = world.start(stage.clone(), args);
    let others = world.submit_many(Lane::Express, 8).await;
    let done = world.read_when(Topic::VideoReady, 8).await;
    assert!(done.iter().all(|seen| seen.body != video.as_bytes()), "the first unit is in hand");
    gate.add_permits(1);
    first.ended().await.unwrap();
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 9).await;
    let once = others.into_iter().chain([video]).map(|video| (video, 1)).collect();
    assert_eq!(stage.seen.attempts(), once, "nothing is done twice");
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_let_go_still_ends_when_it_is_told_to_stop() {
    let world = World::new(1).await;
    world.submit(Lane::Express).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = first_waits(&gate);
    let worker = world.start(stage.clone(), RunnerArgs { drain_grace: Duration::ZERO, ..quick() });
    stage.seen.begun(1).await;
    worker.let_go();
    worker.stop().await.unwrap();
    assert!(world.read(Topic::VideoReady).await.is_empty(), "it was handed back");
    assert_eq!(world.store.total_failures(), 0);
}
