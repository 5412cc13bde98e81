//! A server as a child process: started, found ready, killed, started again at the same address.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{LazyLock, OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use pipeline::{child, loopback};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::runtime::{Builder, Runtime};

/// Where `scripts/setup-servers` put the servers that only tests need, if not in `target/servers`.
const SERVERS: &str = "SPILLWAY_TEST_SERVERS";
/// The longest a start may take: several start at once, on a machine that also builds.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How often is looked whether a server is ready.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The one thread that starts servers. The kernel ends a child with the thread, not the process, that made it, and the
/// thread of a test ends with the test.
pub(crate) static STARTER: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("servers").enable_all().build();
    runtime.expect("a thread for servers")
});

/// What `cell` holds: the address of a server that the tests of this process share, started by the first that asks.
/// Blocks meanwhile.
///
/// # Panics
/// When it does not start.
pub(crate) fn shared<T: Clone + Send + 'static>(
    cell: &'static OnceLock<Result<T, String>>,
    start: impl Future<Output = Result<T>> + Send + 'static,
) -> T {
    let shared = cell.get_or_init(|| {
        let (tell, started) = mpsc::channel();
        STARTER.spawn(async move { tell.send(start.await) });
        started.recv().expect("its start is told").map_err(|error| format!("{error:#}"))
    });
    shared.clone().unwrap_or_else(|error| panic!("a server that tests need does not start: {error}"))
}

/// When a server counts as ready.
pub(crate) enum Ready {
    /// It listens.
    Listens(SocketAddr),
    /// It answers to a GET of this path with 200.
    Answers(SocketAddr, &'static str),
    /// This stands in what it said.
    Says(&'static str),
}

/// How a server is started, the first time and each time after it was killed.
pub(crate) struct Launch {
    /// Its name for people, such as `Cassandra`.
    pub(crate) name: &'static str,
    /// Holds its data and its log; removed with it.
    pub(crate) folder: PathBuf,
    /// What starts it; what it says goes to its log.
    pub(crate) command: Box<dyn Fn() -> Command + Send + Sync>,
    /// When it is ready.
    pub(crate) ready: Ready,
}

/// A server that runs, or was killed.
pub(crate) struct Server {
    launch: Launch,
    child: Child,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// One line: its program is missing, it ended, it is not ready in time.
    pub(crate) async fn start(launch: Launch) -> Result<Self> {
        let child = spawn(&launch).await?;
        let mut server = Self { launch, child };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Returns its process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns whether it said `words` since it was started.
    pub(crate) fn said(&self, words: &str) -> bool {
        said(&log_of(&self.launch), words)
    }

    /// Kills it without a word.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("a server is killed");
    }

    /// Starts it again on its data, at its address, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.kill().await;
        self.child = spawn(&self.launch).await?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let (name, log, begun) = (self.launch.name, log_of(&self.launch), Instant::now());
        while !is_ready(&self.launch.ready, &log).await {
            if let Some(status) = self.child.try_wait()? {
                bail!("{name} ended while starting ({status}): {} (log: {})", last_words(&log), log.display());
            }
            if begun.elapsed() > START_LIMIT {
                bail!("{name} did not start within {START_LIMIT:?}; see {}", log.display());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _ = self.child.start_kill();
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The log of a test that failed is kept, until the next process that needs servers.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.launch.folder);
        }
    }
}

async fn spawn(launch: &Launch) -> Result<Child> {
    let output = fs::File::create(log_of(launch)).context("make a server's log")?;
    let mut command = (launch.command)();
    command.stdout(Stdio::from(output.try_clone()?)).stderr(Stdio::from(output));
    let (name, program) = (launch.name, command.as_std().get_program().to_owned());
    // An end in order takes seconds, and nothing of it is needed afterwards.
    let spawned = STARTER.spawn(async move { child::spawn(&mut command, Signal::SIGKILL) }).await?;
    spawned.with_context(|| match program.to_str() {
        Some("java") => {
            format!("start {name}: is Java 17 or later installed? (apt-get install default-jre-headless)")
        }
        _ => format!("start {name}"),
    })
}

fn log_of(launch: &Launch) -> PathBuf {
    launch.folder.join("server.log")
}

async fn is_ready(ready: &Ready, log: &Path) -> bool {
    match ready {
        Ready::Listens(address) => TcpStream::connect(address).await.is_ok(),
        Ready::Answers(address, path) => {
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            ask(*address, &request).await.is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
        }
        Ready::Says(words) => said(log, words),
    }
}

fn said(log: &Path, words: &str) -> bool {
    fs::read_to_string(log).unwrap_or_default().contains(words)
}

/// Sends one plain HTTP request and returns the answer.
///
/// # Errors
/// When nobody answers.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Returns the last line of a log that tells of an error, else the last line.
fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let telling = |line: &&str| line.contains("ERROR") || line.contains("Exception") || line.contains("FATAL");
    let line = text.lines().rfind(telling).or_else(|| text.lines().next_back());
    line.unwrap_or("it said nothing").to_owned()
}

/// Returns where `file` lies that `scripts/setup-servers` fetched.
///
/// # Errors
/// One line that says how to get it.
pub(crate) fn fetched(name: &str, file: &str) -> Result<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers");
    let path = std::env::var_os(SERVERS).map_or_else(default, PathBuf::from).join(file);
    if !path.exists() {
        bail!("{name} is not at {}; run `scripts/setup-servers target/servers` in the source folder", path.display());
    }
    Ok(path)
}

/// Finds loopback addresses that nobody listens on, all different.
///
/// # Errors
/// When there are none.
pub(crate) fn free_addresses<const COUNT: usize>() -> Result<[SocketAddr; COUNT]> {
    let mut found = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    for index in 0..COUNT {
        while found[index].port() == 0 {
            let address = loopback::free_address().context("find a free port")?;
            if !found.contains(&address) {
                found[index] = address;
            }
        }
    }
    Ok(found)
}
