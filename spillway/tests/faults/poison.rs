//! A video kills its worker each time it is touched: when it is fetched, or when its sound is heard.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use testing::log::{BEGUN, GIVEN_UP, ORPHANED};
use testing::until::{looking_each, until};
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

#[tokio::test]
#[ignore = "takes five minutes: `make faults`"]
async fn a_video_whose_sound_kills_its_worker_is_given_up_alone_in_full() {
    poison_sound(Plan::cluster(&[])).await;
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
    only_the_poison_was_given_up(&system, &poison, &beside, sample).await;
}

/// The worker is killed as soon as it begins on the poison's sound, which it takes seconds to hear; it has that of the
/// others in hand too, because all of it waited for it.
async fn poison_sound(plan: Plan<'_>) {
    let mut system = System::start(plan).await;
    let sample = Sample::Talk;
    learn(&system.api, &[sample]).await;
    assert_eq!(system.take("transcribe").end(LIMIT).await.code(), Some(0));
    let mut beside = join_all((0..=BESIDE).map(|_| system.api.upload(sample.file(), sample.options()))).await;
    join_all(beside.iter().map(|id| system.api.past(id, "split"))).await;
    let worker = system.join("transcribe", beside.len() as u32).await;
    for id in &beside {
        let begun = || system.log().says(BEGUN, "transcribe", id);
        until(&format!("the sound of {id} is in hand"), LIMIT, async || begun().then_some(())).await;
    }
    worker.kill().await;
    let poison = beside.swap_remove(0);
    let (mut log, mut touched) = (system.log().follow(), 0);
    for death in 1..=LONE_DEATHS {
        looking_each(Duration::from_millis(1), &format!("it runs alone the {death}. time"), LIMIT, async || {
            touched += usize::from(log.says(BEGUN, "transcribe", &poison));
            (touched == 1 + death).then_some(())
        })
        .await;
        worker.kill().await;
    }
    let video = system.api.ended(&poison, LIMIT).await;
    assert_eq!((&video["state"], &video["error"]["code"]), (&json!("partial"), &json!("parts_missing")), "{video}");
    assert!(
        beside.iter().chain([&poison]).all(|id| system.log().says(ORPHANED, "transcribe", id)),
        "one was done before"
    );
    only_the_poison_was_given_up(&system, &poison, &beside, sample).await;
}

async fn only_the_poison_was_given_up(system: &System, poison: &str, beside: &[String], sample: Sample) {
    for id in beside {
        let video = system.api.ended(id, LIMIT).await;
        assert_eq!((&video["state"], &video["error"]), (&json!("done"), &json!(null)), "{video}");
        assert!(prints(&system.api, id).await == expected(sample), "other clips of {id}");
    }
    let given_up = system.log().units(GIVEN_UP);
    assert!(given_up.iter().all(|unit| unit[1] == poison) && given_up.len() == 1, "{given_up:?}");
    assert_eq!(system.died(), Vec::<String>::new());
}
