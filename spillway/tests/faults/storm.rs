//! Workers join and leave all the time.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use pipeline::event::WorkerReport;
use pipeline::kafka::{BrokerArgs, reader};
use pipeline::topic::Topic;
use prost::Message;
use rand::RngExt;
use rand::seq::IndexedRandom;
use testing::log::REASSIGNED;
use testing::member::Member;
use testing::until::until;
use tokio::time::{Instant, sleep_until};

use crate::chance::chance;
use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::system::{Plan, SHORT, System};

/// Between one worker's coming or going and the next.
const EVERY: Duration = Duration::from_secs(3);
/// The stages that workers come and go at: those with most of the work.
const STAGES: [&str; 3] = ["transcribe", "analyze", "cut"];
/// How many there are beyond one a stage, at most.
const MORE: usize = 3;
/// The most work that may be done again, in percent.
const REDONE_PERCENT: f64 = 5.0;
/// How long a worker may take to leave: what it has in hand is finished.
const LEAVE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn workers_that_come_and_go_repeat_nothing() {
    storm(Plan::host(&SHORT), 5).await;
}

#[tokio::test]
#[ignore = "takes four minutes: `make faults`"]
async fn workers_that_come_and_go_repeat_nothing_in_full() {
    storm(Plan::cluster(&[]), 40).await;
}

/// Lets a worker come or go `turns` times.
async fn storm(plan: Plan<'_>, turns: u32) {
    let mut chance = chance("storm");
    let system = System::start(plan).await;
    let samples = [Sample::Talk, Sample::Tiny(0), Sample::Tiny(1)];
    learn(&system.api, &samples).await;
    let mut ledger = Ledger::default();
    let mut guests: Vec<Member> = Vec::new();
    let (mut joins, mut leaves) = (0, 0);
    let (begun, before) = (Instant::now(), system.log().units(REASSIGNED).len());
    for turn in 1..=turns {
        ledger.submit(&system.api, *samples.choose(&mut chance).expect("there are some")).await;
        if guests.is_empty() || (guests.len() < MORE && chance.random()) {
            let stage = STAGES.choose(&mut chance).expect("there are some");
            guests.push(system.join(stage, 2).await);
            joins += 1;
        } else {
            let guest = guests.swap_remove(chance.random_range(0..guests.len()));
            assert_eq!(guest.end(LEAVE).await.code(), Some(0));
            leaves += 1;
        }
        sleep_until(begun + EVERY * turn).await;
    }
    let reassigned = system.log().units(REASSIGNED).len() - before;
    println!("{joins} joined and {leaves} left within {:?}: {reassigned} changes of assignments", begun.elapsed());
    let (brokers, workers) = (system.servers.brokers(), STAGES.len() + joins);
    until(&format!("{workers} workers were heard"), LEAVE, async || (heard(&brokers).await == workers).then_some(()))
        .await;
    assert!(reassigned >= turns as usize, "partitions stayed where they were");
    // One that leaves with everything still to be done.
    system.member("cut").send(Signal::SIGTERM);
    let balance = ledger.balance(&system, Duration::from_secs(300)).await;
    println!("{:.1} % of {} units redone", balance.redone_percent(), balance.units);
    assert!(balance.redone_percent() < REDONE_PERCENT, "{balance:?}");
    assert_eq!(system.dead_letters(), 0);
}

/// Returns how many workers of [`STAGES`] ever told how they are.
async fn heard(brokers: &BrokerArgs) -> usize {
    let mut workers = BTreeSet::new();
    for span in reader::spans(brokers, Topic::WorkerReport).await.expect("the topic is there") {
        let mut records = reader::read(brokers, span).expect("the topic can be read");
        while let Some(record) = records.recv().await {
            let report = WorkerReport::decode(&*record.expect("a record").body).expect("a report");
            if STAGES.contains(&report.stage().as_str()) {
                workers.insert(report.worker);
            }
        }
    }
    workers.len()
}
