//! `spillway dev` ends, in order or not, and goes on where it was.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::dev::{Dev, Home, ROLES};
use testing::api::{Api, OPTIONS};
use testing::media::talk;
use testing::processes::all_gone;
use testing::web::Web;

/// How long the kernel and Kafka may take to end what has lost its parent.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);
/// How long an end in order may take: what is in hand is finished.
const END_LIMIT: Duration = Duration::from_secs(60);
/// A claim outlives its owner by this, so the tests need not wait for the usual half minute.
const SETTINGS: [(&str, &str); 1] = [("SPILLWAY_CLAIM_LEASE", "3s")];

#[tokio::test]
async fn a_killed_service_leaves_no_orphan_and_goes_on_with_its_work() {
    let home = Home::new();
    let mut dev = Dev::start(&home, &SETTINGS);
    let id = begin(&dev).await;
    let children = dev.children();
    dev.end(Signal::SIGKILL, END_LIMIT).await;
    all_gone(&children, ORPHAN_LIMIT).await;
    drop(dev);

    let dev = Dev::start(&home, &SETTINGS);
    finish(&dev, &id).await;
}

#[tokio::test]
async fn an_interrupted_service_ends_in_order_and_goes_on_with_its_work() {
    let home = Home::new();
    let mut dev = Dev::start(&home, &SETTINGS);
    loopback_is_refused(&dev).await;
    let id = begin(&dev).await;
    let children = dev.children();
    let status = dev.end(Signal::SIGINT, END_LIMIT).await;
    assert_eq!(status.code(), Some(0), "{status}");
    all_gone(&children, ORPHAN_LIMIT).await;
    let mut ended = dev.log().children_ended();
    ended.sort();
    let mut expected = ROLES.map(|role| (role.to_owned(), "exit status: 0".to_owned()));
    expected.sort();
    assert_eq!(ended, expected);
    drop(dev);

    let mut dev = Dev::start(&home, &SETTINGS);
    finish(&dev, &id).await;
    let status = dev.end(Signal::SIGTERM, END_LIMIT).await;
    assert_eq!(status.code(), Some(0), "{status}");
}

/// Submits a video and waits until it is in work.
async fn begin(dev: &Dev) -> String {
    let api = Api::at(dev.address());
    let id = api.upload(talk(), OPTIONS).await;
    api.past(&id, "split").await;
    let video = api.video(&id).await.expect("the video");
    assert_eq!(video["state"], "processing", "{video}");
    id
}

async fn finish(dev: &Dev, id: &str) {
    let api = Api::at(dev.address());
    api.done(id).await;
    assert_eq!(api.clips(id).await.len(), 2);
}

/// Without the flag that allows it, nothing is fetched from this machine.
async fn loopback_is_refused(dev: &Dev) {
    let web = Web::start(talk()).await;
    let api = Api::at(dev.address());
    let id = api.submit_url(&web.url("talk.mp4"), OPTIONS).await;
    let video = api.ended(&id, END_LIMIT).await;
    assert_eq!((&video["state"], &video["error"]["code"]), (&"failed".into(), &"url_refused".into()), "{video}");
    assert_eq!(web.asked("talk.mp4"), 0);
}
