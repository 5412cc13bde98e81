//! The one broker of a test run: a private Kafka, started by the first test that asks for it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc;

use pipeline::broker::Broker;
use pipeline::runtime::{Runtime, RuntimeArgs};

/// Returns the address of the broker that tests use: that of `SPILLWAY_TEST_BROKERS`, else of a private one.
pub fn broker() -> String {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| std::env::var("SPILLWAY_TEST_BROKERS").unwrap_or_else(|_| start())).clone()
}

/// Starts a broker that ends with this process, and returns its address.
fn start() -> String {
    let folder = folder();
    let (started, address) = mpsc::channel();
    // The broker belongs to the thread that starts it, so that thread must live as long as the tests.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let runtime_args = RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(PathBuf::from) };
            let broker = Broker::start(&Runtime::new(&runtime_args), &folder).await.expect("a private broker");
            started.send(broker.address()).expect("a test waits for the address");
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("the broker starts; its thread says why not")
}

/// Returns a folder of this process; what processes that are gone left behind is removed.
fn folder() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kafka");
    for left in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let alive = Path::new("/proc").join(left.file_name()).exists();
        if !alive {
            std::fs::remove_dir_all(left.path()).expect("remove what an earlier run left");
        }
    }
    let own = all.join(std::process::id().to_string());
    std::fs::create_dir_all(&own).expect("a folder for the broker");
    own
}
