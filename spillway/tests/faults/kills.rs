//! Processes and servers are killed without a word: workers at random, the API just after it answered, the broker, the
//! database, everything at once.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::signal::Signal;
use pipeline::store;
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use testing::rows::{compare, rows};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::chance::chance;
use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::servers::KEYSPACE;
use crate::system::{PARTITIONS, Plan, SHORT_LIVES, System};

/// Every sample that is submitted here.
const SAMPLES: [Sample; 3] = [Sample::Tiny(0), Sample::Tiny(1), Sample::Talk];
/// The cheap ones among them.
const TINY: [Sample; 2] = [Sample::Tiny(0), Sample::Tiny(1)];
/// The longest after an answer that the API is killed.
const AFTER_ANSWER: Duration = Duration::from_millis(500);
/// How long a process may take to end.
const END_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn workers_killed_at_random_lose_nothing() {
    kill_workers(Plan::host(&SHORT_LIVES), Duration::from_secs(2), 6, 1).await;
}

#[tokio::test]
#[ignore = "takes ten minutes: `make faults`"]
async fn workers_killed_at_random_lose_nothing_in_full() {
    kill_workers(Plan::cluster(&[]), Duration::from_secs(10), 30, 4).await;
}

#[tokio::test]
async fn ingest_killed_after_its_answers_loses_no_upload() {
    kill_ingest(Plan::host(&SHORT_LIVES), 3, 4).await;
}

#[tokio::test]
#[ignore = "takes ten minutes: `make faults`"]
async fn ingest_killed_after_its_answers_loses_no_upload_in_full() {
    kill_ingest(Plan::cluster(&[]), 20, 10).await;
}

#[tokio::test]
async fn broker_database_and_everything_killed_lose_nothing() {
    kill_servers(Plan::cluster(&SHORT_LIVES), &TINY, 2).await;
}

#[tokio::test]
#[ignore = "takes ten minutes: `make faults`"]
async fn broker_database_and_everything_killed_lose_nothing_in_full() {
    kill_servers(Plan::cluster(&[]), &SAMPLES, 6).await;
}

/// Kills a random worker each `every`, `times` times, while `videos` come in each time.
async fn kill_workers(plan: Plan<'_>, every: Duration, times: usize, videos: usize) {
    let mut chance = chance("kill_workers");
    let system = System::start(plan).await;
    learn(&system.api, &SAMPLES).await;
    let mut ledger = Ledger::default();
    for _ in 0..times {
        for _ in 0..videos {
            ledger.submit(&system.api, *SAMPLES.choose(&mut chance).expect("there are some")).await;
        }
        sleep(every).await;
        kill_a_worker(&system, &mut chance).await;
    }
    let balance = ledger.balance(&system, Duration::from_secs(300)).await;
    assert_eq!(balance.videos, times * videos);
    assert_eq!(system.dead_letters(), 0);
    assert_eq!(system.died(), Vec::<String>::new());
}

async fn kill_a_worker(system: &System, chance: &mut StdRng) {
    let workers: Vec<_> = system.members.iter().filter(|member| member.role() != "ingest").collect();
    let worker = workers.choose(chance).expect("a worker");
    println!("killing {}", worker.role());
    worker.kill().await;
}

/// In each round, uploads come at once, and the API is killed within half a second of its first answer.
async fn kill_ingest(plan: Plan<'_>, rounds: usize, uploads: usize) {
    let mut chance = chance("kill_ingest");
    let system = System::start(plan).await;
    learn(&system.api, &TINY).await;
    let ingest = system.member("ingest");
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let wait = chance.random_range(Duration::ZERO..AFTER_ANSWER);
        let (answered, over) = (Notify::new(), Notify::new());
        let wanted = ledger.len() + uploads;
        let mut killed = false;
        while ledger.len() < wanted {
            let sends = (ledger.len()..wanted).map(|number| {
                let (api, sample, answered) = (&system.api, TINY[number % TINY.len()], &answered);
                async move {
                    let mut own = Ledger::default();
                    // Not told of is not accepted.
                    own.try_submit(api, sample).await.ok()?;
                    answered.notify_one();
                    Some(own)
                }
            });
            let sent = async {
                let sent = join_all(sends).await;
                over.notify_one();
                sent
            };
            let kill = async {
                tokio::select! {
                    biased;
                    () = answered.notified(), if !killed => {
                        sleep(wait).await;
                        ingest.kill().await;
                        true
                    }
                    () = over.notified() => killed,
                }
            };
            let (sent, is_killed) = tokio::join!(sent, kill);
            killed = is_killed;
            sent.into_iter().flatten().for_each(|own| ledger.add(own));
        }
        println!("round {round}: killed after {wait:?}");
    }
    let balance = ledger.balance(&system, Duration::from_secs(900)).await;
    assert_eq!(balance.videos, rounds * uploads);
    assert_eq!(system.dead_letters(), 0);
    assert_eq!(system.died(), Vec::<String>::new());
}

/// Kills the broker, then the database, then everything at once, each time with work at hand and a worker that has just died.
async fn kill_servers(plan: Plan<'_>, samples: &[Sample], videos: usize) {
    let mut chance = chance("kill_servers");
    let mut system = System::start(plan).await;
    learn(&system.api, samples).await;
    let mut ledger = Ledger::default();
    let disturb = async |ledger: &mut Ledger, system: &System, chance: &mut StdRng| {
        for number in 0..videos {
            ledger.submit(&system.api, samples[number % samples.len()]).await;
        }
        sleep(chance.random_range(Duration::ZERO..Duration::from_secs(3))).await;
        kill_a_worker(system, chance).await;
    };
    disturb(&mut ledger, &system, &mut chance).await;
    system.servers.broker.kill().await;
    system.servers.broker.start_again().await.expect("the broker is back");

    disturb(&mut ledger, &system, &mut chance).await;
    system.servers.cluster().database.kill().await;
    system.servers.cluster().database.start_again().await.expect("the database is back");

    disturb(&mut ledger, &system, &mut chance).await;
    system.members.iter().for_each(|member| member.send(Signal::SIGKILL));
    system.servers.kill_and_start_again().await;
    ledger.balance(&system, Duration::from_secs(300)).await;
    assert_eq!(system.dead_letters(), 0);
    lose_the_store(system, samples[0]).await;
}

/// Makes another keyspace from what topics and bucket tell once nobody works any more: it has what the first one had.
async fn lose_the_store(mut system: System, sample: Sample) {
    let mut unwanted = Ledger::default();
    let deleted = unwanted.submit(&system.api, sample).await;
    assert_eq!(system.api.delete(&format!("/v1/videos/{deleted}")).await, 204);
    for ended in join_all(system.members.drain(..).map(|member| member.end(END_LIMIT))).await {
        assert!(ended.success(), "{ended}");
    }
    let again = [("SPILLWAY_STORE", system.servers.cluster().keyspace("again").store.to_string())];
    let rebuilt = system.call(&["rebuild"], &again.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    println!("{}", String::from_utf8_lossy(&rebuilt.stdout));
    let cluster = system.servers.cluster();
    let contents = async |name: &str| {
        let store = store::open(&cluster.keyspace(name)).await.expect("open the store");
        rows(&store, PARTITIONS.parse().expect("a number"), &[deleted.parse().expect("an id")]).await
    };
    let (before, after) = (contents(KEYSPACE).await, contents("again").await);
    assert!(before.len() > 20, "{before:?}");
    compare(&before, &after);
}
