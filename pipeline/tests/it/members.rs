//! Members come, go and die; no record is lost, and claims keep work from being done twice.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pipeline::failure::Failure;
use pipeline::kafka::{BrokerArgs, GroupProtocol};
use pipeline::lane::Lane;
use pipeline::runner::RunnerArgs;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::world::{Scripted, World, eventually, quick};

/// Tells the test below which topics its parent uses.
const PREFIX: &str = "SPILLWAY_TEST_MEMBER_PREFIX";
/// Tells it to have a hard limit.
const HARD: &str = "SPILLWAY_TEST_MEMBER_HARD_LIMIT";

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_repeats_nothing() {
    let world = World::new(4).await;
    let videos = world.submit_many(Lane::Express, 24).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    let args = RunnerArgs { slots: 4, ..quick() };
    let first = world.start(stage.clone(), args.clone());
    stage.seen.begun(4).await;
    // Some of what the first has in hand now belongs to the second, which finds it claimed.
    let second = world.start(stage.clone(), args.clone());
    second.joined().await;
    let third = world.start(stage.clone(), args);
    third.joined().await;
    gate.add_permits(1000);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 24).await;
    assert_eq!(stage.seen.attempts(), videos.iter().map(|video| (*video, 1)).collect());
    for worker in [second, first, third] {
        worker.stop().await.unwrap();
    }
}

/// A world in which questions for records wait for `fetch_wait`.
async fn asking_for(fetch_wait: Duration) -> World {
    let world = World::new(4).await;
    let brokers = BrokerArgs { fetch_wait, ..world.brokers.clone() };
    World { brokers, ..world }
}

/// Works on one video with questions for records that wait far longer than the test; says whether it was begun long before one
/// was answered.
async fn begins_at_once(stage: &Scripted) -> bool {
    let world = asking_for(Duration::from_secs(120)).await;
    let worker = world.start(stage.clone(), quick());
    worker.joined().await;
    let before = stage.seen.count();
    world.submit(Lane::Express).await;
    let is_begun = timeout(Duration::from_secs(15), stage.seen.begun(before + 1)).await.is_ok();
    worker.stop().await.unwrap();
    is_begun
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_record_seldom_waits_for_a_question_that_waits_long() {
    let stage = Scripted::new(async |_, _| Ok(()));
    // The client begins to ask when it knows of the first partition: one that it learns of a moment later may be left out.
    for _ in 0..3 {
        if begins_at_once(&stage).await {
            return;
        }
    }
    panic!("three first records waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_goes_on_where_another_was_when_questions_wait_long() {
    let world = asking_for(Duration::from_secs(2)).await;
    let stage = Scripted::new(async |_, _| Ok(()));
    let mut videos = Vec::new();
    for round in 1..=2 {
        let worker = world.start(stage.clone(), quick());
        videos.extend(world.submit_many(Lane::Express, 6).await);
        world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 6 * round).await;
        worker.stop().await.unwrap();
    }
    assert_eq!(stage.seen.attempts(), videos.iter().map(|video| (*video, 1)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn members_join_and_leave_by_the_older_protocol_too() {
    let world = World::new(4).await;
    let brokers = BrokerArgs { group_protocol: GroupProtocol::Classic, ..world.brokers.clone() };
    let world = World { brokers, ..world };
    let videos = world.submit_many(Lane::Express, 16).await;
    let gate = Arc::new(Semaphore::new(0));
    let stage = Scripted::gated(gate.clone());
    let args = RunnerArgs { slots: 4, ..quick() };
    let first = world.start(stage.clone(), args.clone());
    stage.seen.begun(4).await;
    let second = world.start(stage.clone(), args);
    second.joined().await;
    stage.seen.begun(8).await;
    gate.add_permits(1000);
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 16).await;
    first.stop().await.unwrap();
    // All partitions are the second's now.
    let more = world.submit_many(Lane::Express, 8).await;
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 24).await;
    assert_eq!(stage.seen.attempts(), videos.iter().chain(&more).map(|video| (*video, 1)).collect());
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_member_had_in_hand_is_done_by_another() {
    let world = World::new(2).await;
    let videos = world.submit_many(Lane::Express, 8).await;
    let mut member = spawn_member(&world, &[]);
    world.read_when(Topic::WorkerReport, 1).await;
    let has_work = async || {
        let reports = world.read(Topic::WorkerReport).await;
        reports.iter().any(|seen| busy(&seen.body) == 2).then_some(())
    };
    eventually("the member has work in hand", has_work).await;
    member.kill().unwrap();
    member.wait().unwrap();
    let stage = Scripted::new(async |_, _| Ok(()));
    let worker = world.start(stage.clone(), RunnerArgs { slots: 2, ..quick() });
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 8).await;
    assert_eq!(stage.seen.attempts(), videos.iter().map(|video| (*video, 1)).collect());
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_does_not_stop_ends_its_process() {
    use std::os::unix::process::ExitStatusExt;
    let world = World::new(1).await;
    world.submit(Lane::Express).await;
    let mut member = spawn_member(&world, &[(HARD, "1")]);
    let status = tokio::task::spawn_blocking(move || member.wait().unwrap()).await.unwrap();
    assert_eq!(status.signal(), Some(6), "{status:?}");
}

fn busy(report: &[u8]) -> u32 {
    <pipeline::event::WorkerReport as prost::Message>::decode(report).unwrap().busy
}

/// Runs [`member`] in a process of its own.
fn spawn_member(world: &World, more: &[(&str, &str)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "members::member", "--ignored", "--nocapture"])
        .env(PREFIX, &world.brokers.topic_prefix)
        .env("SPILLWAY_TEST_BROKERS", &world.brokers.brokers)
        .envs(more.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The body of a child process: a worker whose units never end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by other tests in a process of its own"]
async fn member() {
    let Ok(prefix) = std::env::var(PREFIX) else { return };
    let world = World::with_prefix(1, prefix).await;
    let stage = Scripted::new(async |_, _| std::future::pending::<Result<(), Failure>>().await);
    let limit = Duration::from_millis(300);
    let args = match std::env::var(HARD) {
        Ok(_) => RunnerArgs { soft_limit: limit, hard_limit: 2 * limit, ..quick() },
        Err(_) => RunnerArgs { slots: 2, ..quick() },
    };
    world.start(stage, args).ended().await.unwrap();
}
