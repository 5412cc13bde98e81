//! Processes are told to stop: with many units in hand, and one after another under load while messages of older and
//! newer versions are in the topics.

use std::time::{Duration, Instant};

use futures::future::join_all;
use testing::until::until;
use testing::web::Web;
use tokio_util::sync::CancellationToken;

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::system::{Plan, SHORT, System};
use crate::versions::{NEWER_FIELD, echo_all, submit_in_version};

/// Units in hand when the signal comes.
const UNITS: usize = 50;
/// How soon a worker must have ended.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long all work may take.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_worker_told_to_stop_with_fifty_units_hands_them_back() {
    drain(Plan::host(&SHORT), 3).await;
}

#[tokio::test]
#[ignore = "takes two minutes: `make faults`"]
async fn a_worker_told_to_stop_with_fifty_units_hands_them_back_in_full() {
    drain(Plan::cluster(&[]), UNITS).await;
}

#[tokio::test]
async fn restarts_of_every_role_with_old_messages_fail_nothing() {
    roll(Plan::host(&SHORT), &[Sample::Tiny(0), Sample::Tiny(1)], 1).await;
}

#[tokio::test]
#[ignore = "takes three minutes: `make faults`"]
async fn restarts_of_every_role_with_old_messages_fail_nothing_in_full() {
    roll(Plan::cluster(&[]), &[Sample::Tiny(0), Sample::Tiny(1), Sample::Talk], 4).await;
}

/// The units are downloads that wait, so that none is finished within the grace.
async fn drain(plan: Plan<'_>, kept: usize) {
    let mut system = System::start(plan).await;
    let sample = Sample::Tiny(0);
    learn(&system.api, &[sample]).await;
    system.take("fetch").end(END_LIMIT).await;
    let many = system.join("fetch", UNITS as u32).await;
    let web = Web::start(sample.file()).await;
    let url = web.url("held.mp4");
    let videos = join_all((0..UNITS).map(|_| system.api.submit_url(&url, sample.options()))).await;
    until("all are in hand", LIMIT, async || (web.asked("held.mp4") == UNITS).then_some(())).await;
    let told = Instant::now();
    let ended = many.end(END_LIMIT).await;
    println!("ended with {ended} {:?} after the signal", told.elapsed());
    assert_eq!(ended.code(), Some(0));
    web.release();
    let next = system.join("fetch", 4).await;
    let mut ledger = Ledger::default();
    for (number, video) in videos.into_iter().enumerate() {
        system.api.past(&video, "fetch").await;
        if number < kept {
            ledger.note(video, sample);
        } else {
            // To work on all of them would take minutes, and show no more.
            assert_eq!(system.api.delete(&format!("/v1/videos/{video}")).await, 204);
        }
    }
    ledger.balance(&system, LIMIT).await;
    assert_eq!(system.dead_letters(), 0);
    no_attempt_was_spent(&system, &ledger).await;
    assert_eq!(next.end(END_LIMIT).await.code(), Some(0));
}

/// Restarts every process, one after another, `rounds` times, while videos come in, and everything that stages say to each
/// other is said by another version too.
async fn roll(plan: Plan<'_>, samples: &[Sample], rounds: usize) {
    let mut system = System::start(plan).await;
    let lookers_on = [system.serve("autoscale", "--admin-listen").await, system.serve("dashboard", "--listen").await];
    learn(&system.api, samples).await;
    let mut ledger = Ledger::default();
    let over = CancellationToken::new();
    let echo = tokio::spawn(echo_all(system.servers.brokers(), over.clone()));
    for _ in 0..rounds {
        for member in &system.members {
            let sample = samples[ledger.len() % samples.len()];
            ledger.submit(&system.api, sample).await;
            if member.role() == "fetch" {
                for more in [&[][..], &NEWER_FIELD[..]] {
                    ledger.note(submit_in_version(&system, samples[0], more).await, samples[0]);
                }
            }
            assert_eq!(member.restart(LIMIT).await.code(), Some(0), "{}", member.role());
        }
    }
    let balance = ledger.balance(&system, LIMIT).await;
    over.cancel();
    let echoed = echo.await.expect("it was said again");
    println!("said again: {echoed:?}");
    assert!(echoed.messages.len() == 7 && echoed.lacking > 0, "{echoed:?}");
    // What was handed back is begun again; nothing else is lost.
    assert!(balance.redone <= system.members.len() * rounds, "{balance:?}");
    assert_eq!(system.dead_letters(), 0);
    no_attempt_was_spent(&system, &ledger).await;
    for address in lookers_on {
        system.ready(address).await;
    }
}

async fn no_attempt_was_spent(system: &System, ledger: &Ledger) {
    for event in join_all(ledger.ids().map(|id| system.api.events(id))).await.iter().flatten() {
        assert_ne!(event["type"], "unit_retried", "an attempt was spent: {event}");
    }
}
