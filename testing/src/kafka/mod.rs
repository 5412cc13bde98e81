//! Apache Kafka: the product's own private broker, which the tests of a process share; one of a test's own,
//! behind a proxy ([`Alone`]); clusters of several brokers ([`Cluster`]); and one that lets in only who it knows ([`Guarded`]). A broker is 200 MB and takes 3 s to start.

mod alone;
mod cluster;
mod guarded;

pub use alone::Alone;
pub use cluster::{Cluster, Places};
pub use guarded::{Guarded, USER};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;
use pipeline::broker::{Broker, node};
use pipeline::runtime::{Runtime, RuntimeArgs, RuntimeFile};

use crate::folder::new_folder;
use crate::server::{Launch, Ready, Server, shared};

/// Names a broker that runs already; tests then start none.
const GIVEN: &str = "SPILLWAY_TEST_BROKERS";
/// The most heap of one broker, in MiB: 96 suffice for records of 4 MiB.
const HEAP_MIB: u32 = 192;

/// Added to what a broker logs: what its controller decides about brokers, which some tests wait for.
const CONTROLLER_TELLS: &str = r#"<Logger name="org.apache.kafka.controller" level="info"/></Loggers>"#;

/// Returns the address of the broker that the tests of this process share, `host:port`; each uses topics of its own.
pub fn broker() -> String {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    shared(&ADDRESS, async {
        if let Ok(given) = std::env::var(GIVEN) {
            return Ok(given);
        }
        let mut broker = Broker::start(&runtime(), &new_folder("broker")?).await?;
        let address = broker.address();
        // It lives as long as the process. What goes wrong with it, the tests find out.
        tokio::spawn(async move { broker.keep().await });
        Ok(address)
    })
}

/// Returns where the tests' run-time files lie.
pub fn runtime() -> Runtime {
    Runtime::new(&RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(PathBuf::from) })
}

fn jars() -> Result<PathBuf> {
    Ok(runtime().locate(RuntimeFile::Kafka)?)
}

/// Starts a node on `folder`, which holds its storage, with `settings`.
async fn start(jars: PathBuf, folder: PathBuf, settings: &str) -> Result<Server> {
    let properties = folder.join("server.properties");
    fs::write(&properties, settings)?;
    let log_config = node::LOG_CONFIG.replace("</Loggers>", CONTROLLER_TELLS);
    fs::write(folder.join("log4j2.xml"), log_config)?;
    let command = Box::new(move || node::command(&jars, &properties, HEAP_MIB));
    Server::start(Launch { name: "Kafka", folder, command, ready: Ready::Says(node::STARTED) }).await
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
