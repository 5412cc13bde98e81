//! A broker that lets in only who it knows: by password over TLS, or by certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use pipeline::broker::node;
use tokio::process::Command;

use super::{data, jars, start};
use crate::certificates::Certificates;
use crate::folder::new_folder;
use crate::server::{Server, free_addresses};

/// Who is known, and the password.
pub const USER: (&str, &str) = ("spillway", "tests-secret");

/// A broker with two doors for clients.
pub struct Guarded {
    server: Server,
    passwords: SocketAddr,
    certified: SocketAddr,
    certificates: Certificates,
}

impl Guarded {
    /// Starts a broker.
    ///
    /// # Errors
    /// One line: Java or Kafka's jars are missing, or the broker's own last words.
    pub async fn start() -> Result<Self> {
        let (jars, folder) = (jars()?, new_folder("kafka")?);
        let certificates = Certificates::make(&folder)?;
        let [passwords, certified, inside, controller] = free_addresses()?;
        let mut settings = node::settings(&data(&folder), inside.port(), controller.port());
        // What is said last counts.
        settings.push_str(&doors(&certificates, passwords, certified, inside, controller));
        format(&jars, &folder, &settings).await?;
        let server = start(jars, folder, &settings).await?;
        Ok(Self { server, passwords, certified, certificates })
    }

    /// Returns where it asks for the password of [`USER`] over TLS (`SASL_SSL`): by SCRAM-SHA-512, SCRAM-SHA-256 or
    /// PLAIN.
    pub fn passwords(&self) -> String {
        self.passwords.to_string()
    }

    /// Returns where it asks for a client's certificate (`SSL`).
    pub fn certified(&self) -> String {
        self.certified.to_string()
    }

    /// Returns what it shows, and knows clients by.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Returns its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

fn doors(
    certificates: &Certificates,
    passwords: SocketAddr,
    certified: SocketAddr,
    inside: SocketAddr,
    controller: SocketAddr,
) -> String {
    let (pair, authority) = (certificates.server_pair.display(), certificates.authority.display());
    let module = "org.apache.kafka.common.security";
    let (user, password) = USER;
    format!(
        "\
listeners=PASSWORDS://{passwords},CERTIFIED://{certified},INSIDE://{inside},CONTROLLER://{controller}
advertised.listeners=PASSWORDS://{passwords},CERTIFIED://{certified},INSIDE://{inside}
listener.security.protocol.map=PASSWORDS:SASL_SSL,CERTIFIED:SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INSIDE
ssl.keystore.type=PEM
ssl.keystore.location={pair}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.certified.ssl.client.auth=required
listener.name.passwords.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.passwords.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.passwords.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.passwords.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{user}=\"{password}\";
"
    )
}

/// Makes the broker's storage. Names and passwords for SCRAM are part of it.
async fn format(jars: &Path, folder: &Path, settings: &str) -> Result<()> {
    let properties = folder.join("format.properties");
    fs::write(&properties, settings)?;
    let (user, password) = USER;
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(jars.join("*"));
    command.args(["kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c"]).arg(&properties);
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256"] {
        command.args(["--add-scram", &format!("{mechanism}=[name={user},password={password}]")]);
    }
    let said =
        command.kill_on_drop(true).output().await.context("format Kafka's storage: is Java 17 or later installed?")?;
    if !said.status.success() {
        bail!("Kafka's storage was not formatted: {}", String::from_utf8_lossy(&said.stderr));
    }
    Ok(())
}
