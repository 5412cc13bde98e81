//! A video kills its worker each time it is touched.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use testing::log::GIVEN_UP;
use testing::until::until;
use testing::web::Web;

use crate::samples::{Sample, expected, learn, prints};
use crate::system::{Plan, SHORT_LIVES, System};

/// How many other videos are in the worker with it.
const BESIDE: usize = 3;
/// Deaths alone before it is given up.
const LONE_DEATHS: usize = 3;
/// How long a step may take: sessions and leases end before it.
const LIMIT: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_video_that_kills_its_worker_is_given_up_alone() {
    poison(Plan::host(&SHORT_LIVES)).await;
}

#[tokio::test]
#[ignore = "takes five minutes: `make faults`"]
async fn a_video_that_kills_its_worker_is_given_up_alone_in_full() {
    poison(Plan::cluster(&[])).await;
}

/// The poison is a download that never ends, so that it is in hand for certain when its worker is killed; those beside
/// it are downloads that wait until the first death.
async fn poison(plan: Plan<'_>) {
    let system = System::start(plan).await;
    let sample = Sample::Tiny(0);
    learn(&system.api, &[sample]).await;
    let web = Web::start(sample.file()).await;
    let held = web.url("held.mp4");
    let beside = join_all((0..BESIDE).map(|_| system.api.submit_url(&held, sample.options()))).await;
    let poison = system.api.submit_url(&web.url("never.mp4"), sample.options()).await;
    until("all are in one worker", LIMIT, async || {
        (web.asked("held.mp4") == BESIDE && web.asked("never.mp4") == 1).then_some(())
    })
    .await;
    system.member("fetch").kill().await;
    web.release();
    for death in 1..=LONE_DEATHS {
        until(&format!("it runs alone the {death}. time"), LIMIT, async || {
            (web.asked("never.mp4") == 1 + death).then_some(())
        })
        .await;
        system.member("fetch").kill().await;
    }
    let video = system.api.ended(&poison, LIMIT).await;
    assert_eq!((&video["state"], &video["error"]["code"]), (&json!("failed"), &json!("crashed")), "{video}");
    assert_eq!(web.asked("never.mp4"), 1 + LONE_DEATHS, "it was touched again");
    for id in &beside {
        let video = system.api.ended(id, LIMIT).await;
        assert_eq!((&video["state"], &video["error"]), (&json!("done"), &json!(null)), "{video}");
        assert!(prints(&system.api, id).await == expected(sample), "other clips of {id}");
    }
    let given_up = system.log().units(GIVEN_UP);
    assert!(given_up.iter().all(|unit| unit[1] == poison) && given_up.len() == 1, "{given_up:?}");
    assert_eq!(system.died(), Vec::<String>::new());
}
