//! A running `spillway dev`: the real binary on a folder of its own and a free loopback port. Nothing of it outlives
//! the tests: it is killed when it is dropped, and a guard kills it when the tests' process ends in any way.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pipeline::loopback;
use tempfile::TempDir;

use testing::log::Log;
use testing::processes::{self, children_of};
use testing::until::{LOOK_EVERY, until};

/// The program under test.
pub const SPILLWAY: &str = env!("CARGO_BIN_EXE_spillway");

/// How long it may take to be ready; a machine that builds something else meanwhile is slow.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Kills process `$1` and removes folder `$2` once nobody holds the other end of its standard input; a line says that
/// there is nothing to do. Kafka takes a moment to end and writes until then.
const GUARD: &str =
    r#"read -r _ && exit; kill -9 "$1"; for _ in 1 2 3 4 5 6 7 8 9; do sleep 1; rm -rf "$2" && exit; done"#;

/// Every worker and the API: what must be there, the broker apart.
pub const ROLES: [&str; 8] = ["fetch", "split", "transcribe", "analyze", "moments", "cut", "gather", "ingest"];

/// A folder for a service's data, which may be started on it several times.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    /// Returns the data folder that the service gets.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns what all processes that ran here logged.
    pub fn log(&self) -> Log {
        Log::new(self.folder.path().join("dev.log"))
    }
}

/// A running service.
pub struct Dev {
    child: Child,
    guard: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: Log,
}

impl Dev {
    /// Starts it on `home` with `settings` in its environment, and waits until it is ready.
    pub fn start(home: &Home, settings: &[(&str, &str)]) -> Self {
        let folder = home.folder.path();
        let said = folder.join("dev.out");
        let (address, admin) = (loopback::free_address(), loopback::free_address());
        let (address, admin) = (address.expect("a free port"), admin.expect("a free port"));
        let log = home.log();
        let mut command = command();
        command.arg("dev").arg("--data").arg(home.data()).args(["--listen", &address.to_string()]);
        command.args(["--admin-listen", &admin.to_string()]);
        command.envs(settings.iter().copied()).stdin(Stdio::null());
        command.stdout(File::create(&said).expect("a file for what it says"));
        let appended = OpenOptions::new().create(true).append(true).open(log.path());
        command.stderr(appended.expect("a file for its log"));
        let child = command.spawn().expect("start spillway");
        let guard = guard(child.id(), folder);
        let mut dev = Self { child, guard, address, admin, log };
        dev.wait_until_ready(&said);
        dev
    }

    /// Returns the address of its HTTP API.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns where it is, as `--server` takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns where its first process tells about itself.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns its log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Returns its children: every role and the broker, with their process ids.
    pub fn children(&self) -> BTreeMap<String, u32> {
        let children = children_of(self.pid());
        for role in ROLES.iter().chain(&["broker"]) {
            assert!(children.contains_key(*role), "no {role} among {children:?}");
        }
        children
    }

    /// Returns the process id of the child called `role`.
    pub fn child(&self, role: &str) -> u32 {
        *children_of(self.pid()).get(role).unwrap_or_else(|| panic!("no {role} is running"))
    }

    /// Kills the child called `role` without a word, and waits until another has taken its place.
    pub async fn kill(&self, role: &str) {
        self.kill_process(role, self.child(role)).await;
    }

    /// Does the same with a child whose process id is known: looking for it takes time that some work does not last.
    pub async fn kill_process(&self, role: &str, pid: u32) {
        processes::send(pid, Signal::SIGKILL);
        until(&format!("{role} is started again"), Duration::from_secs(60), async || {
            children_of(self.pid()).get(role).is_some_and(|new| *new != pid).then_some(())
        })
        .await;
    }

    /// Sends it `signal` and waits for its end.
    pub async fn end(&mut self, signal: Signal, limit: Duration) -> ExitStatus {
        processes::send(self.pid(), signal);
        let what = format!("spillway dev ends after {signal}");
        until(&what, limit, async || self.child.try_wait().expect("wait for spillway")).await
    }

    fn wait_until_ready(&mut self, said: &Path) {
        let begun = Instant::now();
        while !std::fs::read_to_string(said).unwrap_or_default().contains("spillway is ready") {
            if let Some(status) = self.child.try_wait().expect("wait for spillway") {
                panic!("spillway dev ended with {status} before it was ready");
            }
            assert!(begun.elapsed() < READY_LIMIT, "spillway dev is not ready after {READY_LIMIT:?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Shows the end of its log if the test that uses it has failed.
    fn tell(&self) {
        if std::thread::panicking() {
            eprintln!("the last that spillway dev logged:\n{}", self.log.tail(60));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.tell();
        // The kernel ends its children with it; errors mean that it has ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut input) = self.guard.stdin.take() {
            let _ = input.write_all(b"done\n");
        }
        let _ = self.guard.wait();
    }
}

/// The service that tests share which leave it as they found it.
pub struct Shared(&'static (Home, Dev));

impl Deref for Shared {
    type Target = Dev;

    fn deref(&self) -> &Dev {
        &self.0.1
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.1.tell();
    }
}

impl Shared {
    /// Returns its data folder.
    pub fn data(&self) -> PathBuf {
        self.0.0.data()
    }
}

/// The most bytes of a video that the shared service admits.
pub const SHARED_MAX_BYTES: u64 = 24 << 20;

/// Returns the shared service, started by the first test that needs it. It fetches from loopback.
pub fn shared() -> Shared {
    static SHARED: OnceLock<(Home, Dev)> = OnceLock::new();
    Shared(SHARED.get_or_init(|| {
        let home = Home::new();
        let max_bytes = SHARED_MAX_BYTES.to_string();
        let settings = [
            ("SPILLWAY_ALLOW_PRIVATE_URLS", "true"),
            ("SPILLWAY_MAX_BYTES", &max_bytes),
            ("SPILLWAY_URL_IDLE_TIMEOUT", "2s"),
            ("SPILLWAY_SWEEP_EVERY", "500ms"),
        ];
        let dev = Dev::start(&home, &settings);
        (home, dev)
    }))
}

/// Returns a call of the program that hears nothing of this process's settings but where run-time files lie.
pub fn command() -> Command {
    processes::command(SPILLWAY)
}

fn guard(pid: u32, folder: &Path) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", GUARD, "guard", &pid.to_string()]).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("sh is installed")
}
