//! A broker that stood still for so long that its controller put it aside, and then goes on: what reads from it reads again.

use std::time::Duration;

use jiff::Timestamp;
use nix::sys::signal::Signal;
use pipeline::kafka::BrokerArgs;
use pipeline::kafka::tail::{Since, follow};
use pipeline::kafka::topics::Shape;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use testing::kafka::Alone;
use testing::processes::send;

use crate::world::{Scripted, World, eventually, quick};

/// Short, so that it is soon over. The controller says when it puts a broker aside.
const SESSION: &str = "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=500\n";
/// Longer than that.
const STILL: Duration = Duration::from_secs(4);
/// How soon its controller has looked at its session when both go on.
const LOOKED: Duration = Duration::from_secs(1);
/// Records of each round.
const RECORDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_was_put_aside_is_read_again() {
    let broker = Alone::start_with(SESSION).await.unwrap();
    let publish_timeout = Duration::from_secs(5);
    let brokers = BrokerArgs { publish_timeout, ..BrokerArgs::new(broker.proxy().address().to_string()) };
    let world = World::at(brokers, Shape::with_partitions(4)).await;
    let stage = Scripted::new(async |_, _| Ok(()));
    let worker = world.start(stage, quick());
    let mut reports = follow(&world.brokers, Topic::WorkerReport, Since::Time(Timestamp::now())).await.unwrap();
    reports.recv().await.unwrap().unwrap();
    world.submit_many(Lane::Express, RECORDS).await;
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, RECORDS).await;

    put_aside(&broker).await;
    // Who publishes may only find out with a record that fails; in another lane, so that none is counted.
    eventually("records are taken again", async || world.try_submit(Lane::Batch).await.ok()).await;
    world.submit_many(Lane::Express, RECORDS).await;
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 2 * RECORDS).await;
    while reports.try_recv().is_ok() {}
    let report = tokio::time::timeout(Duration::from_secs(60), reports.recv());
    report.await.expect("reports come again").unwrap().unwrap();
    worker.stop().await.unwrap();
}

/// Lets a broker stand still until its controller has put it aside. Both are one process, and when that goes on the broker
/// may be heard before its session is looked at: then it stands still once more.
async fn put_aside(broker: &Alone) {
    let pid = broker.pid().unwrap();
    eventually("the broker is put aside", async || {
        send(pid, Signal::SIGSTOP);
        tokio::time::sleep(STILL).await;
        send(pid, Signal::SIGCONT);
        tokio::time::sleep(LOOKED).await;
        broker.said("handleBrokerFenced").then_some(())
    })
    .await;
}
