//! Workers die without a word while they work.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::dev::{Dev, Home};
use testing::api::{Api, Clip, OPTIONS, VIDEO_LIMIT};
use testing::log::{BEGUN, ORPHANED};
use testing::media::talk;
use testing::until::{looking_each, until};
use testing::web::Web;

/// The stages whose units are claimed, in the order of the flow.
const CLAIMED: [&str; 6] = ["fetch", "split", "transcribe", "analyze", "moments", "cut"];

/// How often a stage whose units last only moments is tried until the kill comes while it has one in hand.
const TRIES: u32 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_any_worker_loses_nothing() {
    let home = Home::new();
    let settings = [
        ("SPILLWAY_ALLOW_PRIVATE_URLS", "true"),
        // A claim outlives its owner by this, so the test need not wait for the usual half minute.
        ("SPILLWAY_CLAIM_LEASE", "3s"),
        ("SPILLWAY_LOG", "info,pipeline::runner=debug"),
    ];
    let dev = Dev::start(&home, &settings);
    let api = Api::at(dev.address());
    let web = Web::start(talk()).await;
    let undisturbed = api.upload(talk(), OPTIONS).await;
    api.done(&undisturbed).await;
    let expected = api.clips(&undisturbed).await;
    assert_eq!(expected.len(), 2);

    let id = api.submit_url(&web.url("talk.mp4"), OPTIONS).await;
    // The first download never ends, so it is in hand for certain.
    until("the video is fetched", VIDEO_LIMIT, async || (web.asked("talk.mp4") == 1).then_some(())).await;
    dev.kill("fetch").await;
    dev.kill("ingest").await;
    kill_at_work(&dev, "split", &id).await;
    dev.kill("gather").await;
    tokio::join!(kill_at_work(&dev, "transcribe", &id), kill_at_work(&dev, "analyze", &id));
    kill_at_work(&dev, "moments", &id).await;
    kill_at_work(&dev, "cut", &id).await;
    api.done(&id).await;
    check_same(&expected, &api.clips(&id).await);
    check_log(&api.events(&id).await);

    for stage in CLAIMED {
        kill_in_hand(&dev, &api, stage, &id, &expected).await;
    }
}

/// Kills the worker of `stage` as soon as it begins a unit of `video`.
async fn kill_at_work(dev: &Dev, stage: &str, video: &str) {
    let pid = dev.child(stage);
    let mut log = dev.log().follow();
    let what = format!("{stage} begins a unit of {video}");
    let begun = async || log.says(BEGUN, stage, video).then_some(());
    looking_each(Duration::from_millis(1), &what, VIDEO_LIMIT, begun).await;
    dev.kill_process(stage, pid).await;
}

/// Makes sure that a unit of `stage` was in hand when its worker was killed: of `video`, else, because it was done
/// too soon, of another one.
async fn kill_in_hand(dev: &Dev, api: &Api, stage: &str, video: &str, expected: &[Clip]) {
    let mut last = video.to_owned();
    for tried in 0..TRIES {
        if dev.log().says(ORPHANED, stage, &last) {
            println!("{stage} was killed with a unit in hand, after {tried} more tries");
            return;
        }
        last = api.upload(talk(), OPTIONS).await;
        kill_at_work(dev, stage, &last).await;
        api.done(&last).await;
        check_same(expected, &api.clips(&last).await);
    }
    panic!("{stage} was never killed with a unit in hand");
}

/// Compares clips; whole videos are not printed.
#[track_caller]
fn check_same(expected: &[Clip], found: &[Clip]) {
    for (one, other) in expected.iter().zip(found) {
        assert_eq!(one.plan, other.plan);
    }
    assert!(expected == found, "the plan is the same, but the files are not");
}

/// The log must tell of each unit and each clip once, however often it was done.
fn check_log(events: &[Value]) {
    let mut told = BTreeSet::new();
    for event in events {
        let name = match event["type"].as_str() {
            Some("unit_done") => format!("{} {}", event["stage"], event["unit"]),
            Some("clip_ready") => format!("clip {}", event["clip"]["id"]),
            Some("ended") => "ended".to_owned(),
            _ => continue,
        };
        assert!(told.insert(name.clone()), "told twice: {name}");
    }
    assert!(told.contains("ended"), "{told:?}");
}
