//! A cluster: every topic on up to three brokers, and nothing acknowledged that fewer than two have.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use futures::future::try_join_all;
use pipeline::broker::node;

use super::{data, jars, start};
use crate::folder::new_folder;
use crate::server::{Server, free_addresses};

/// Where the brokers of a cluster will listen, known before it starts.
#[derive(Clone, Debug)]
pub struct Places {
    /// The brokers, in the order of their numbers.
    pub brokers: Vec<SocketAddr>,
    /// What they tell clients to connect to: themselves, unless something stands in front of them.
    pub advertised: Vec<SocketAddr>,
    /// Where they talk among each other.
    inside: Vec<SocketAddr>,
    controllers: Vec<SocketAddr>,
}

impl Places {
    /// Finds places for three brokers.
    ///
    /// # Errors
    /// When there are no free ports.
    pub fn find() -> Result<Self> {
        let free: [SocketAddr; 9] = free_addresses()?;
        let of = |from: usize| free[from..from + 3].to_vec();
        Ok(Self { brokers: of(0), advertised: of(0), inside: of(3), controllers: of(6) })
    }

    fn settings(&self, index: usize) -> String {
        let (inside, controller) = (self.inside[index], self.controllers[index]);
        let voters = self.controllers.iter().enumerate().map(|(index, place)| format!("{}@{place}", index + 1));
        let voters = voters.collect::<Vec<String>>().join(",");
        let (listens, advertised) = (self.brokers[index], self.advertised[index]);
        format!(
            "\
node.id={}
controller.quorum.voters={voters}
listeners=CLIENTS://{listens},INSIDE://{inside},CONTROLLER://{controller}
advertised.listeners=CLIENTS://{advertised},INSIDE://{inside}
listener.security.protocol.map=CLIENTS:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INSIDE
metadata.max.idle.interval.ms=500
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
",
            index + 1
        )
    }
}

/// Three brokers, each a controller too: one of them may be away.
pub struct Cluster {
    brokers: Vec<Server>,
    places: Places,
}

impl Cluster {
    /// Starts a cluster.
    ///
    /// # Errors
    /// One line: Java or Kafka's jars are missing, or a broker's own last words.
    pub async fn start() -> Result<Self> {
        Self::start_at(Places::find()?).await
    }

    /// Starts a cluster at `places`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_at(places: Places) -> Result<Self> {
        // None is ready until most are.
        let brokers = try_join_all((0..places.brokers.len()).map(|index| start_one(&places, index))).await?;
        Ok(Self { brokers, places })
    }

    /// Returns the addresses of its brokers, `host:port,...`.
    pub fn addresses(&self) -> String {
        self.places.advertised.iter().map(SocketAddr::to_string).collect::<Vec<String>>().join(",")
    }

    /// Returns the process of broker `index`, from 0, if it runs.
    pub fn pid(&self, index: usize) -> Option<u32> {
        self.brokers[index].pid()
    }

    /// Kills broker `index`, from 0, without a word.
    pub async fn kill(&mut self, index: usize) {
        self.brokers[index].kill().await;
    }

    /// Starts broker `index`, from 0, again at its address, with what it had written.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_again(&mut self, index: usize) -> Result<()> {
        self.brokers[index].start_again().await
    }
}

async fn start_one(places: &Places, index: usize) -> Result<Server> {
    let (jars, folder) = (jars()?, new_folder("kafka")?);
    node::prepare(&jars, &data(&folder))?;
    number(&folder, index)?;
    let mut settings = node::settings(&data(&folder), places.brokers[index].port(), places.controllers[index].port());
    // What is said last counts.
    settings.push_str(&places.settings(index));
    start(jars, folder, &settings).await
}

/// Makes a copy of the formatted storage that of one node among several.
fn number(folder: &Path, index: usize) -> Result<()> {
    let file = data(folder).join("meta.properties");
    let number = index + 1;
    let text = fs::read_to_string(&file)?;
    let kept: String = text
        .lines()
        .filter(|line| line.starts_with("version=") || line.starts_with("cluster.id="))
        .fold(String::new(), |all, line| all + line + "\n");
    fs::write(&file, format!("{kept}node.id={number}\ndirectory.id=B{number}AAAAAAAAAAAAAAAAAAAA\n"))?;
    Ok(())
}
