//! The one broker of a test run: a private Kafka, started by the first test that needs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use anyhow::{Context, Result};
use pipeline::broker::Broker;
use pipeline::runtime::{Runtime, RuntimeArgs};

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
            let folder = folder(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
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

/// Makes this process's folder, and removes those of processes that are gone: none can remove its own, because its
/// broker ends after it.
fn folder(all: &Path) -> Result<PathBuf> {
    let this = std::process::id().to_string();
    for entry in fs::read_dir(all).context("list the folder for tests' files")? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(FOLDER));
        if process.is_some_and(|id| id == this || !Path::new("/proc").join(id).exists()) {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(format!("{FOLDER}{this}"));
    fs::create_dir_all(&own).context("make the broker's folder")?;
    Ok(own)
}
