//! Apache Cassandra nodes: the CQL server that stands for ScyllaDB too. One is about 400 MB and takes 9 s to start.

mod proxy;
mod settings;

pub use proxy::Proxy;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Result;
use tokio::process::Command;

use crate::certificates::Certificates;
use crate::folder::new_folder;
use crate::server::{Launch, Ready, Server, fetched, free_addresses, shared};
use settings::{EXPORTS, LOG_CONFIG, OPENS};

/// Names a node that runs already, `host:port`; tests then start none.
const GIVEN: &str = "SPILLWAY_TEST_CQL";

/// Who may do everything at a node of [`Doors::Guarded`], and the password.
pub const USER: (&str, &str) = ("cassandra", "cassandra");

/// Returns the address of the node that the tests of this process share, `host:port`; each uses keyspaces of its own.
pub fn cassandra() -> String {
    static ADDRESS: OnceLock<Result<String, String>> = OnceLock::new();
    shared(&ADDRESS, async {
        if let Ok(given) = std::env::var(GIVEN) {
            return Ok(given);
        }
        let node = Cassandra::start(Doors::Open).await?;
        let address = node.address();
        // It lives as long as the process.
        std::mem::forget(node);
        Ok(address)
    })
}

/// Who is let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doors {
    /// Everybody.
    Open,
    /// Who speaks TLS, shows a certificate of [`Cassandra::certificates`] and gives the password of [`USER`].
    Guarded,
}

/// A node of a test's own.
pub struct Cassandra {
    server: Server,
    address: SocketAddr,
    certificates: Certificates,
}

impl Cassandra {
    /// Starts a node and waits until it takes clients.
    ///
    /// # Errors
    /// One line: Java or Cassandra is missing, or the node's own last words.
    pub async fn start(doors: Doors) -> Result<Self> {
        let jars = fetched("Cassandra", "cassandra")?;
        let folder = new_folder("cassandra")?;
        let [address, storage] = free_addresses()?;
        let certificates = Certificates::make(&folder)?;
        for name in ["triggers", "tmp"] {
            fs::create_dir_all(folder.join(name))?;
        }
        let mut text = settings::node(&folder, address.port(), storage.port());
        text.push_str(&match doors {
            Doors::Open => settings::open(),
            Doors::Guarded => settings::guarded(&certificates),
        });
        fs::write(folder.join("cassandra.yaml"), text)?;
        fs::write(folder.join("logback.xml"), LOG_CONFIG)?;
        let home = folder.clone();
        let command = Box::new(move || command(&jars, &home));
        // It listens once it serves; the line of its log that says so comes a moment before.
        let ready = Ready::Listens(address);
        let server = Server::start(Launch { name: "Cassandra", folder, command, ready }).await?;
        Ok(Self { server, address, certificates })
    }

    /// Returns its address, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns what a guarded node knows clients by.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Returns its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Kills it without a word.
    pub async fn kill(&mut self) {
        self.server.kill().await;
    }

    /// Starts it again at its address, with what it had written.
    ///
    /// # Errors
    /// As [`Cassandra::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start_again().await
    }
}

fn command(jars: &Path, folder: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms64m", "-Xmx256m", "-XX:MaxDirectMemorySize=256m", "-Xss512k", "-XX:+ExitOnOutOfMemoryError"]);
    // The first compiler alone starts faster, and tests ask little of it.
    command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(EXPORTS.iter().map(|name| format!("--add-exports={name}=ALL-UNNAMED")));
    command.args(OPENS.iter().map(|name| format!("--add-opens={name}=ALL-UNNAMED")));
    // Nobody to gossip with: no waiting for the ring.
    command.args(["-Dcassandra.ring_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0"]);
    command.args(["-Dcassandra.superuser_setup_delay_ms=0", "-Dcassandra-foreground=yes"]);
    command.args(["-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"]);
    command.arg("-Djava.net.preferIPv4Stack=true");
    let folders: [(&str, PathBuf); 4] = [
        ("cassandra.storagedir", folder.to_owned()),
        ("cassandra.triggers_dir", folder.join("triggers")),
        ("java.io.tmpdir", folder.join("tmp")),
        ("jna.tmpdir", folder.join("tmp")),
    ];
    command.args(folders.map(|(name, path)| format!("-D{name}={}", path.display())));
    let files = [("cassandra.config", "cassandra.yaml"), ("logback.configurationFile", "logback.xml")];
    command.args(files.map(|(name, path)| format!("-D{name}=file://{}", folder.join(path).display())));
    command.arg("-cp").arg(jars.join("*")).arg("org.apache.cassandra.service.CassandraDaemon");
    command
}
