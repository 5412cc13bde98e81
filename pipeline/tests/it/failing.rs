//! What becomes of units that fail, and of workers that may not work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{Envelope, Happened, WorkerReport, WorkerState};
use pipeline::failure::{Code, Failure};
use pipeline::lane::Lane;
use pipeline::outbox::Sink;
use pipeline::runner::RunnerArgs;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use prost::Message;
use tokio::sync::Semaphore;

use crate::doubles::Row;
use crate::world::{Scripted, Seen, World, eventually, quick, submitted, unit_of};

const DEAD: Topic = Topic::DeadLetter(StageName::Fetch);

/// Checks that exactly one unit was given up for `code` after `attempts`, told to all and acknowledged.
async fn check_given_up(world: &World, code: Code, attempts: &str) -> Seen {
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    let mut letters = world.read(DEAD).await;
    assert_eq!(letters.len(), 1);
    let letter = letters.remove(0);
    let header = |name: &str| letter.headers.get(name).map(String::as_str);
    assert_eq!(header("code"), Some(code.as_str()), "{:?}", letter.headers);
    assert_eq!((header("stage"), header("attempts")), (Some("fetch"), Some(attempts)));
    assert_eq!((header("topic"), header("lane")), (Some("video.submitted.express"), Some("express")));
    letter
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_across_workers_and_end_in_a_dead_letter() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, _| Err(Failure::Retry(anyhow!("no luck"))));
    let video = world.submit(Lane::Express).await;
    let patient = RunnerArgs { backoff: Duration::from_secs(600), backoff_max: Duration::from_secs(600), ..quick() };
    for failures in 1..=2 {
        let worker = world.start(stage.clone(), patient.clone());
        eventually("the failure is counted", async || (world.store.total_failures() == failures).then_some(())).await;
        worker.stop().await.unwrap();
    }
    let worker = world.start(stage.clone(), quick());
    let letter = check_given_up(&world, Code::AttemptsExhausted, "5").await;
    assert_eq!(stage.seen.count(), 5);
    assert_eq!(letter.body, Envelope::of(&submitted(video, Lane::Express)).body, "the original bytes");
    assert_eq!(letter.headers.get("video"), Some(&video.to_string()));
    assert_eq!(letter.headers.get("detail").map(String::as_str), Some("no luck"));
    assert_eq!(world.read(Topic::VideoReady).await.len(), 1, "the gatherer hears of it");
    let happened: Vec<Happened> = world.events().await.into_iter().filter_map(|event| event.happened).collect();
    let retried = happened.iter().filter(|what| matches!(what, Happened::UnitRetried(_))).count();
    let failed =
        |what: &Happened| matches!(what, Happened::UnitFailed(f) if f.code == "attempts_exhausted" && f.attempts == 5);
    assert_eq!((retried, happened.iter().filter(|what| failed(what)).count()), (4, 1));
    // The last attempt is told like those before it.
    let attempts: Vec<(i64, &str)> = happened
        .iter()
        .filter_map(|what| match what {
            Happened::UnitRetried(retried) => Some((retried.started_ms, retried.worker.as_str())),
            Happened::UnitFailed(failed) => Some((failed.started_ms, failed.worker.as_str())),
            _ => None,
        })
        .collect();
    assert!(attempts[0].0 > 0 && attempts.is_sorted_by_key(|(started_ms, _)| *started_ms), "{attempts:?}");
    assert!(!attempts[4].1.is_empty() && attempts[4].1 == attempts[3].1, "{attempts:?}");
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_unit_is_given_up_at_once() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, _| Err(Failure::reject(Code::Damaged, anyhow!("half a file"))));
    world.submit(Lane::Express).await;
    let worker = world.start(stage.clone(), quick());
    check_given_up(&world, Code::Damaged, "1").await;
    assert_eq!(stage.seen.count(), 1);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_set_aside() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, _| Ok(()));
    let envelope = Envelope {
        body: b"\xff\xffnot a message".to_vec(),
        ..Envelope::of(&submitted(pipeline::id::VideoId::random(), Lane::Express))
    };
    world.producer.publish(envelope.clone()).await.unwrap();
    let worker = world.start(stage.clone(), quick());
    let letter = check_given_up(&world, Code::MessageUnreadable, "1").await;
    assert_eq!(letter.body, envelope.body);
    assert_eq!(stage.seen.count(), 0);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_without_progress_is_told_to_stop_and_given_up_as_stuck() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, pulse| {
        pulse.stop().cancelled().await;
        Ok(pulse.beat()?)
    });
    world.submit(Lane::Express).await;
    let args = RunnerArgs { soft_limit: Duration::from_millis(200), attempts: 2, ..quick() };
    let worker = world.start(stage.clone(), args);
    check_given_up(&world, Code::Stuck, "2").await;
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unavailable_pauses_the_stage_and_spends_no_attempt() {
    let world = World::new(1).await;
    let down = Arc::new(AtomicBool::new(true));
    let switch = down.clone();
    let stage = Scripted::new(move |_, _| {
        let down = switch.load(Ordering::SeqCst);
        async move { if down { Err(Failure::Unavailable(anyhow!("the model server is away"))) } else { Ok(()) } }
    });
    let count = 5;
    world.submit_many(Lane::Express, count).await;
    let worker = world.start(stage.clone(), RunnerArgs { slots: 2, ..quick() });
    // More failures than there are attempts; meanwhile it is not ready, and only one unit at a time probes.
    stage.seen.begun(12).await;
    let told = worker.readiness.breaker();
    assert!(told.as_ref().is_err_and(|why| why.contains("the model server is away")), "{told:?}");
    eventually("its heartbeat says why it pauses", async || {
        let reports = world.read(Topic::WorkerReport).await;
        let last = WorkerReport::decode(&*reports.last()?.body).unwrap();
        let is_paused = last.state() == WorkerState::Paused;
        (is_paused && last.paused_for.contains("the model server is away")).then_some(())
    })
    .await;
    assert_eq!(world.store.total_failures(), 0);
    down.store(false, Ordering::SeqCst);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, count).await;
    assert_eq!(worker.readiness.breaker(), Ok(()));
    assert_eq!((world.store.total_failures(), world.read(DEAD).await.len()), (0, 0));
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_pauses_the_stage() {
    let world = World::new(1).await;
    world.store.down.store(true, Ordering::SeqCst);
    let stage = Scripted::new(async |_, _| Ok(()));
    world.submit(Lane::Express).await;
    let worker = world.start(stage.clone(), quick());
    eventually("the stage pauses", async || worker.readiness.breaker().err().filter(|why| why != "starting")).await;
    assert_eq!(stage.seen.count(), 0);
    world.store.down.store(false, Ordering::SeqCst);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_whose_worker_died_runs_alone() {
    // With the other one in a task of its own, and in the same.
    tokio::join!(check_runs_alone(3), check_runs_alone(96));
}

/// Checks that nothing runs beside a suspect in a worker with `slots`.
async fn check_runs_alone(slots: u32) {
    let world = World::new(1).await;
    let gate = Arc::new(Semaphore::new(0));
    let together = Arc::new(AtomicUsize::new(0));
    let suspect = pipeline::id::VideoId::random();
    world.store.rows.lock().unwrap().insert(unit_of(suspect), died());
    let (held, most) = (gate.clone(), together.clone());
    let stage = Scripted::new(move |job, _| {
        let (gate, most) = (held.clone(), most.clone());
        async move {
            // The suspect is last to begin and first to show how many run beside it.
            if job.video() != suspect {
                most.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.expect("never closed").forget();
                most.fetch_sub(1, Ordering::SeqCst);
            }
            if job.video() == suspect {
                anyhow::ensure!(most.load(Ordering::SeqCst) == 0, "not alone")
            }
            Ok(())
        }
        .map_failure()
    });
    world.submit(Lane::Express).await;
    world.producer.publish(Envelope::of(&submitted(suspect, Lane::Express))).await.unwrap();
    let worker = world.start(stage.clone(), RunnerArgs { slots, ..quick() });
    stage.seen.begun(1).await;
    gate.add_permits(1);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 2).await;
    assert_eq!(world.store.ran_alone.load(Ordering::SeqCst), 1);
    assert_eq!((world.store.total_failures(), world.read(DEAD).await.len()), (0, 0));
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_third_death_alone_is_a_dead_letter() {
    let world = World::new(1).await;
    let video = pipeline::id::VideoId::random();
    let row = Row { lone_deaths: 2, alone: true, ..died() };
    world.store.rows.lock().unwrap().insert(unit_of(video), row);
    let stage = Scripted::new(async |_, _| Ok(()));
    world.producer.publish(Envelope::of(&submitted(video, Lane::Express))).await.unwrap();
    let worker = world.start(stage.clone(), quick());
    check_given_up(&world, Code::Crashed, "3").await;
    assert_eq!(stage.seen.count(), 0);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_cancelled_video_is_not_begun_and_is_stopped() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, pulse| {
        pulse.stop().cancelled().await;
        Ok(pulse.beat()?)
    });
    let (running, never_begun) = (world.submit(Lane::Express).await, world.submit(Lane::Express).await);
    world.store.unwanted.lock().unwrap().insert(never_begun);
    let args = RunnerArgs { claim_lease: Duration::from_millis(900), ..quick() };
    let worker = world.start(stage.clone(), args);
    stage.seen.begun(1).await;
    world.store.unwanted.lock().unwrap().insert(running);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 2).await;
    assert_eq!(stage.seen.attempts().into_iter().collect::<Vec<_>>(), [(running, 1)]);
    assert_eq!((world.store.total_failures(), world.read(Topic::VideoReady).await.len()), (0, 0));
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_whose_claim_is_lost_says_nothing_more() {
    let world = World::new(1).await;
    let stage = Scripted::new(async |_, pulse| {
        // Disobedient work: it is told to stop and goes on to its output all the same.
        pulse.stop().cancelled().await;
        Ok(())
    });
    let video = world.submit(Lane::Express).await;
    let args = RunnerArgs { claim_lease: Duration::from_millis(900), ..quick() };
    let worker = world.start(stage.clone(), args);
    stage.seen.begun(1).await;
    world.store.steal(unit_of(video));
    // The thief dies; its unit comes back, and this time it is this worker's.
    stage.seen.begun(2).await;
    assert_eq!(world.read(Topic::VideoReady).await.len(), 0);
    assert_eq!(world.store.row(unit_of(video)).failures, 0);
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_fails_once_its_claim_is_lost_is_not_given_up() {
    let world = World::new(1).await;
    let (claims, begun) = (world.store.clone(), AtomicUsize::new(0));
    let stage = Scripted::new(move |job, _| {
        // As in a process that stood still: another has the unit, and a deadline has passed.
        let result = match begun.fetch_add(1, Ordering::SeqCst) {
            0 => {
                claims.steal(unit_of(job.video()));
                Err(Failure::reject(Code::ProbeTimeout, anyhow::anyhow!("a deadline has passed")))
            }
            _ => Ok(()),
        };
        async { result }
    });
    let video = world.submit(Lane::Express).await;
    let worker = world.start(stage.clone(), quick());
    // The thief dies; its unit comes back, and this time it is this worker's.
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    assert_eq!((world.read(DEAD).await.len(), world.read(Topic::VideoReady).await.len()), (0, 1));
    assert_eq!((stage.seen.count(), world.store.row(unit_of(video)).failures), (2, 0));
    worker.stop().await.unwrap();
}

/// The row of a unit whose owner died without a word.
fn died() -> Row {
    Row { attempt: 1, until: Some(Timestamp::now() - Duration::from_secs(60)), ..Row::default() }
}

/// Lets a script use `?` and `ensure!` on plain errors.
trait MapFailure {
    fn map_failure(self) -> impl Future<Output = Result<(), Failure>> + Send;
}

impl<Work: Future<Output = anyhow::Result<()>> + Send> MapFailure for Work {
    async fn map_failure(self) -> Result<(), Failure> {
        self.await.map_err(Failure::Retry)
    }
}
