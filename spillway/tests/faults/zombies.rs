//! A worker is stopped past its session and its claim's lease, another does its work, and it goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use pipeline::id::{TenantId, UnitId, VideoId};
use serde_json::Value;
use testing::log::{BEGUN, ORPHANED};
use testing::member::Member;
use testing::until::{looking_each, until};

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::system::{Plan, SHORT_LIVES, System};

/// How long things may take that wait for sessions and leases.
const LIMIT: Duration = Duration::from_secs(120);
/// How often a unit is done before its worker could be stopped, at most.
const TRIES: u32 = 8;

#[tokio::test]
async fn a_worker_that_was_stopped_overwrites_nothing() {
    stop_and_go_on(Plan::host(&SHORT_LIVES), &["cut"]).await;
}

#[tokio::test]
#[ignore = "takes five minutes: `make faults`"]
async fn a_worker_that_was_stopped_overwrites_nothing_in_full() {
    stop_and_go_on(Plan::cluster(&[]), &["fetch", "split", "transcribe", "analyze", "moments", "cut"]).await;
}

async fn stop_and_go_on(plan: Plan<'_>, stages: &[&'static str]) {
    let system = System::start(plan).await;
    learn(&system.api, &[Sample::Talk]).await;
    let mut ledger = Ledger::default();
    for stage in stages {
        let (video, second) = stopped_with_work(&system, &mut ledger, stage).await;
        let (files, log) = (files_of(&system, &video).await, log_of(&system, &video).await);
        assert!(!files.is_empty());

        system.member(stage).send(Signal::SIGCONT);
        assert_eq!(second.end(LIMIT).await.code(), Some(0));
        // It is the only one now, so this shows that it works again.
        let later = ledger.submit(&system.api, Sample::Talk).await;
        done(&system, &later).await;
        // It ends when it has nothing in hand, neither old nor new.
        assert_eq!(system.member(stage).restart(LIMIT).await.code(), Some(0));
        assert_eq!(files_of(&system, &video).await, files, "the {stage} that went on wrote over what is there");
        assert_eq!(log_of(&system, &video).await, log, "the {stage} that went on told something more");
    }
    ledger.balance(&system, LIMIT).await;
    assert_eq!(system.dead_letters(), 0);
    assert_eq!(system.died(), Vec::<String>::new());
}

/// Stops the worker of `stage` while it has a unit in hand, and lets another do its work. Returns the unit's video, and
/// the other.
async fn stopped_with_work(system: &System, ledger: &mut Ledger, stage: &'static str) -> (String, Member) {
    let worker = system.member(stage);
    for _ in 0..TRIES {
        let mut log = system.log().follow();
        let video = ledger.submit(&system.api, Sample::Talk).await;
        looking_each(Duration::from_millis(1), &format!("{stage} begins {video}"), LIMIT, async || {
            log.says(BEGUN, stage, &video).then_some(())
        })
        .await;
        worker.send(Signal::SIGSTOP);
        if !can_be_written(system).await {
            worker.send(Signal::SIGCONT);
            continue;
        }
        let second = system.join(stage, 2).await;
        done(system, &video).await;
        // The work that another found left behind was in hand.
        if system.log().says(ORPHANED, stage, &video) {
            return (video, second);
        }
        worker.send(Signal::SIGCONT);
        second.end(LIMIT).await;
    }
    panic!("{stage} was never stopped with a unit in hand");
}

/// Returns the log of a video that has ended, without the word that it is over, which bears the time it was asked for.
async fn log_of(system: &System, video: &str) -> Vec<Value> {
    let mut events = system.api.events(video).await;
    events.retain(|event| event["type"] != "closed");
    events
}

/// Says whether the store takes writes: a worker that was stopped in the middle of one holds SQLite's only lock, and
/// nobody can take its work before it goes on or is killed.
async fn can_be_written(system: &System) -> bool {
    let Ok(store) = system.servers.store().await else { return false };
    let unit = UnitId::derive("none", &TenantId::default_tenant(), VideoId::random(), "none");
    store.claim(unit, "the test", Timestamp::now(), Duration::from_secs(1)).await.is_ok()
}

async fn done(system: &System, video: &str) {
    until(&format!("{video} is done"), LIMIT, async || {
        (system.api.video(video).await?["state"] == "done").then_some(())
    })
    .await;
}

/// When each file of a video was written; the ledger compares their bytes. Returns once a file that is written from now on has
/// another time: a bucket tells seconds.
async fn files_of(system: &System, video: &str) -> BTreeMap<String, Timestamp> {
    let video = video.parse().expect("an id");
    let objects =
        system.servers.blobs().objects(&TenantId::default_tenant(), video).await.expect("the video's objects");
    let files: BTreeMap<_, _> = objects.into_iter().map(|object| (object.key, object.modified_at)).collect();
    let last = files.values().max().map_or(0, |written| written.as_second());
    until("the second is over", LIMIT, async || (Timestamp::now().as_second() > last).then_some(())).await;
    files
}
