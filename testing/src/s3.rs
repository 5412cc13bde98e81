//! An object store that speaks S3: SeaweedFS, in one process of about 250 MB that starts in 3 s.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::folder::new_folder;
use crate::server::{Launch, Ready, Server, ask, fetched, free_addresses, shared};

/// A bucket that is there.
pub const BUCKET: &str = "spillway";
/// Who may do everything but make buckets: the access key and its secret.
pub const KEYS: (&str, &str) = ("tests-access-key", "tests-secret-key");
/// Who may only look.
pub const READER_KEYS: (&str, &str) = ("tests-reader-key", "tests-reader-secret");

/// Returns the store that the tests of this process share; each uses a prefix of its own in [`BUCKET`].
pub fn s3() -> Access {
    static ACCESS: OnceLock<Result<Access, String>> = OnceLock::new();
    shared(&ACCESS, async {
        let store = S3::start().await?;
        let access = store.access().clone();
        // It lives as long as the process.
        std::mem::forget(store);
        Ok(access)
    })
}

/// Where a store is.
#[derive(Clone, Debug)]
pub struct Access {
    address: SocketAddr,
    filer: SocketAddr,
}

impl Access {
    /// Returns its address, `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns the variables that lead a client there.
    pub fn variables(&self) -> Vec<(String, String)> {
        variables(&format!("http://{}", self.address), KEYS)
    }

    /// Makes a bucket. It is a folder of the filer, whose own interface needs no signature.
    ///
    /// # Errors
    /// When that fails.
    pub async fn make_bucket(&self, name: &str) -> Result<()> {
        let request = format!("POST /buckets/{name}/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
        let answer = ask(self.filer, &request).await.context("make a bucket")?;
        if answer.split(' ').nth(1) != Some("201") {
            bail!("no bucket was made: {answer}");
        }
        Ok(())
    }

    /// Says whether parts of uploads that never ended are left in a bucket.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn has_parts(&self, bucket: &str) -> Result<bool> {
        let request = format!("GET /buckets/{bucket}/.uploads/ HTTP/1.0\r\nAccept: application/json\r\n\r\n");
        Ok(ask(self.filer, &request).await.context("list uploads")?.contains("FullPath"))
    }
}

/// Returns the variables that lead a client to `endpoint`.
pub fn variables(endpoint: &str, (key, secret): (&str, &str)) -> Vec<(String, String)> {
    let variables = [
        ("AWS_ENDPOINT", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// A store of a test's own.
pub struct S3 {
    server: Server,
    access: Access,
}

impl S3 {
    /// Starts a store with [`BUCKET`] in it.
    ///
    /// # Errors
    /// One line: its program is missing, or its own last words.
    pub async fn start() -> Result<Self> {
        let program = fetched("SeaweedFS", "weed")?;
        let folder = new_folder("s3")?;
        fs::create_dir_all(folder.join("data"))?;
        fs::write(folder.join("identities.json"), identities())?;
        let ports: [SocketAddr; 8] = free_addresses()?;
        let [address, filer, ..] = ports;
        let home = folder.clone();
        let command = Box::new(move || command(&program, &home, &ports));
        let ready = Ready::Answers(address, "/healthz");
        let server = Server::start(Launch { name: "SeaweedFS", folder, command, ready }).await?;
        let access = Access { address, filer };
        access.make_bucket(BUCKET).await?;
        Ok(Self { server, access })
    }

    /// Returns where it is.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Returns its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Kills it without a word.
    pub async fn kill(&mut self) {
        self.server.kill().await;
    }

    /// Starts it again at its address, with what it held.
    ///
    /// # Errors
    /// As [`S3::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start_again().await
    }
}

/// The ports are those of the S3 interface, the filer, master and volume server, and of their insides.
fn command(program: &Path, folder: &Path, ports: &[SocketAddr; 8]) -> Command {
    let port = |index: usize| ports[index].port();
    let names = ["s3", "filer", "master", "volume"];
    let mut command = Command::new(program);
    // Its heap would grow to twice what it uses.
    command.env("GOMEMLIMIT", "160MiB");
    command.args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]);
    command.arg(format!("-dir={}", folder.join("data").display()));
    command.arg(format!("-s3.config={}", folder.join("identities.json").display()));
    for (index, name) in names.iter().enumerate() {
        command.arg(format!("-{name}.port={}", port(index)));
        command.arg(format!("-{name}.port.grpc={}", port(index + names.len())));
    }
    for name in ["s3", "filer"] {
        command.arg(format!("-{name}.localSocket={}", folder.join(name).with_extension("sock").display()));
    }
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"]);
    command.args(["-master.telemetry=false", "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64"]);
    command.args(["-volume.max=1000", "-volume.preStopSeconds=0"]);
    command
}

fn identities() -> String {
    let identity = |name: &str, (key, secret): (&str, &str), actions: &str| {
        format!(
            r#"{{"name":"{name}","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],"actions":[{actions}]}}"#
        )
    };
    let writer = identity("writer", KEYS, r#""Admin","Read","Write","List","Tagging""#);
    let reader = identity("reader", READER_KEYS, r#""Read","List""#);
    format!(r#"{{"identities":[{writer},{reader}]}}"#)
}
