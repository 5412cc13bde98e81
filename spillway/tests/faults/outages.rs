//! Broker, database and object store cannot be reached, are slow, or answer nothing: stages pause, no attempt is spent,
//! nothing is given up, and all is done soon after it heals.

use std::time::Duration;

use serde_json::Value;
use testing::proxy::{Proxy, SLOW_DOWN, Trouble};
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::servers::Servers;
use crate::system::{Plan, SHORT, System};

/// How soon after healing everything must be done.
const AFTER_HEALING: Duration = Duration::from_secs(120);
/// The most memory that Kafka, Cassandra and S3 may take together: 1.5 GB, in MiB.
const SERVERS_MIB: u64 = 1430;
/// What comes later when an answer is slow.
const SLOW: Trouble = Trouble::Slow(Duration::from_millis(500));
/// An object store that answers nothing but this, and one whose answers break off.
const REFUSING: Trouble = Trouble::Answered(SLOW_DOWN);
const SHORT_BODIES: Trouble = Trouble::Short(20_000);

/// A server that trouble is made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Server {
    Broker,
    Database,
    Objects,
}

impl Server {
    fn proxy(self, servers: &mut Servers) -> &Proxy {
        match self {
            Self::Broker => servers.broker.proxy(),
            Self::Database => &servers.cluster().database_proxy,
            Self::Objects => &servers.cluster().s3_proxy,
        }
    }
}

#[tokio::test]
async fn outages_spend_no_attempt() {
    let lasting = Duration::from_secs(5);
    let troubles = [
        (Server::Broker, Trouble::Cut, lasting),
        (Server::Database, Trouble::Cut, lasting),
        (Server::Objects, REFUSING, lasting),
    ];
    outages(&SHORT, Sample::Tiny(1), &troubles).await;
}

#[tokio::test]
#[ignore = "takes forty minutes: `make faults`"]
async fn outages_spend_no_attempt_in_full() {
    let (long, short) = (Duration::from_secs(6 * 60), Duration::from_secs(2 * 60));
    let troubles = [
        (Server::Broker, Trouble::Cut, long),
        (Server::Broker, SLOW, short),
        (Server::Broker, Trouble::HalfOpen, long),
        (Server::Database, Trouble::Cut, long),
        (Server::Database, SLOW, short),
        (Server::Database, Trouble::HalfOpen, short),
        (Server::Objects, REFUSING, long),
        (Server::Objects, SHORT_BODIES, short),
        (Server::Objects, Trouble::HalfOpen, short),
    ];
    outages(&[], Sample::Talk, &troubles).await;
}

/// Makes each of `troubles` in turn for as long as it says, with work at every stage.
async fn outages(settings: &[(&str, &str)], sample: Sample, troubles: &[(Server, Trouble, Duration)]) {
    // Bodies are large enough to break off.
    let settings: Vec<_> = settings.iter().copied().chain([("SPILLWAY_INLINE_MAX", "16KiB")]).collect();
    let mut system = System::start(Plan::cluster(&settings)).await;
    learn(&system.api, &[sample, Sample::Tiny(0)]).await;
    for (server, trouble, lasting) in troubles {
        let mut ledger = Ledger::default();
        // One is in the middle of its way, one at its beginning.
        let first = ledger.submit(&system.api, sample).await;
        system.api.past(&first, "split").await;
        let videos = [first, ledger.submit(&system.api, Sample::Tiny(0)).await];
        server.proxy(&mut system.servers).make(*trouble);
        sleep(*lasting).await;
        // What is accepted without a broker is published when it is back.
        if *server == Server::Broker {
            ledger.submit(&system.api, Sample::Tiny(0)).await;
        }
        server.proxy(&mut system.servers).make(Trouble::Nothing);
        let balance = ledger.balance(&system, AFTER_HEALING).await;
        println!("{server:?} {trouble:?} for {lasting:?}: all done {:?} after it healed", balance.took);
        for video in &videos {
            let events = system.api.events(video).await;
            let spent: Vec<&Value> = events.iter().filter(|event| event["type"] == "unit_retried").collect();
            assert!(spent.is_empty(), "{server:?} {trouble:?}: attempts were spent: {spent:?}");
        }
        assert_eq!(system.dead_letters(), 0, "{server:?} {trouble:?}");
        assert_eq!(system.died(), Vec::<String>::new(), "{server:?} {trouble:?}");
    }
    let held_mib = system.servers.peak_mib();
    assert!(held_mib < SERVERS_MIB, "{held_mib} MiB");
}
