//! Units that share a task go their own ways.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use pipeline::failure::Failure;
use pipeline::lane::Lane;
use pipeline::runner::RunnerArgs;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use tokio::sync::Semaphore;
use tokio::task;

use crate::world::{Scripted, World, quick};

/// Lets a worker with `slots` see 32 units that wait through, and returns how many tasks worked on them.
async fn tasks_with(slots: u32) -> usize {
    let world = World::new(1).await;
    world.submit_many(Lane::Express, 32).await;
    let tasks = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = tasks.clone();
    let stage = Scripted::new(move |_, _| {
        seen.lock().expect("nobody has failed").insert(task::id().to_string());
        async { Ok(()) }
    });
    let worker = world.start(stage, RunnerArgs { slots, ..quick() });
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 32).await;
    worker.stop().await.unwrap();
    tasks.lock().expect("nobody has failed").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn units_of_many_slots_share_tasks_and_those_of_few_do_not() {
    let (few, many) = tokio::join!(tasks_with(32), tasks_with(1024));
    assert_eq!(few, 32);
    assert!(many < 16, "{many} tasks");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_failure_nor_waiting_of_a_unit_stops_those_beside_it() {
    let world = World::new(1).await;
    let videos = world.submit_many(Lane::Express, 16).await;
    let (fails, waits) = (videos[3], videos[7]);
    let (gate, failed) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicBool::new(false)));
    let held = gate.clone();
    let stage = Scripted::new(move |job, _| {
        let (gate, failed) = (held.clone(), failed.clone());
        async move {
            if job.video() == waits {
                gate.acquire().await.expect("never closed").forget();
            }
            let is_first = job.video() == fails && !failed.swap(true, Ordering::SeqCst);
            if is_first { Err(Failure::Retry(anyhow::anyhow!("once"))) } else { Ok(()) }
        }
    });
    let worker = world.start(stage.clone(), RunnerArgs { slots: 1024, ..quick() });
    world.read_when(Topic::VideoReady, 15).await;
    // It is told to stop, and finishes the one that it still has in hand.
    worker.tell();
    gate.add_permits(1);
    worker.stop().await.unwrap();
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 16).await;
    let again: Vec<_> = stage.seen.attempts().into_iter().filter(|(_, attempts)| *attempts > 1).collect();
    assert_eq!((again, world.store.total_failures()), (vec![(fails, 2)], 1));
    assert_eq!(world.read(Topic::VideoReady).await.len(), 16);
}
