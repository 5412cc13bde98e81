//! The one broker of a test run: a private Kafka, started by the first test that needs it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use pipeline::broker::Broker;
use pipeline::runtime::{Runtime, RuntimeArgs};

use super::folder;

/// Names a broker that runs already; tests then start none.
const GIVEN: &str = "SPILLWAY_TEST_BROKERS";
/// What the names of brokers' folders start with; the id of the process that made one follows.
const FOLDER: &str = "broker-";

/// Returns the address of the broker that tests use.
pub fn broker() -> String {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    let address = ADDRESS.get_or_init(|| match std::env::var(GIVEN) {
        Ok(given) => Ok(given),
        Err(_) => start().map_err(|error| format!("{error:#}")),
    });
    address.clone().expect("a private broker starts")
}

/// Starts a broker on a thread that lives as long as this process: the kernel ends a child with the thread, not the
/// process, that made it, and the thread of a test ends with the test.
fn start() -> Result<String> {
    let (started, address) = channel();
    std::thread::Builder::new().name("broker".to_owned()).spawn(move || keep(&started))?;
    address.recv().context("the broker's thread ended")?
}

fn keep(started: &Sender<Result<String>>) {
    let outcome = tokio::runtime::Runtime::new().context("make a runtime").and_then(|runtime| {
        runtime.block_on(async {
            let folder = folder::of_this_process(FOLDER)?;
            let args = RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(PathBuf::from) };
            let mut broker = Broker::start(&Runtime::new(&args), &folder).await?;
            started.send(Ok(broker.address())).context("the tests are gone")?;
            broker.keep().await
        })
    });
    if let Err(error) = outcome {
        // Nobody hears it if the broker failed later; the tests then fail by themselves.
        let _ = started.send(Err(error));
    }
}
