//! One broker of a test's own, with a proxy in front of it.

use std::net::SocketAddr;

use anyhow::Result;
use pipeline::broker::node;

use super::{data, jars, start};
use crate::folder::new_folder;
use crate::proxy::Proxy;
use crate::server::{Server, free_addresses};

/// A broker that can be killed, and be made hard to reach.
pub struct Alone {
    server: Server,
    proxy: Proxy,
}

impl Alone {
    /// Starts a broker.
    ///
    /// # Errors
    /// One line: Java or Kafka's jars are missing, or the broker's own last words.
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    /// Starts a broker with `further` settings, a line each, which count instead of its own.
    ///
    /// # Errors
    /// As [`Alone::start`].
    pub async fn start_with(further: &str) -> Result<Self> {
        let (jars, folder) = (jars()?, new_folder("kafka")?);
        node::prepare(&jars, &data(&folder))?;
        let [listens, controller, front]: [SocketAddr; 3] = free_addresses()?;
        let proxy = Proxy::start_at(front, listens).await?;
        let mut settings = node::settings(&data(&folder), listens.port(), controller.port());
        // What is said last counts.
        settings.push_str(&format!("advertised.listeners=PLAINTEXT://{front}\n{further}"));
        let server = start(jars, folder, &settings).await?;
        Ok(Self { server, proxy })
    }

    /// Returns what stands in front of it: all that clients know.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Kills it without a word.
    pub async fn kill(&mut self) {
        self.server.kill().await;
    }

    /// Returns its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Returns whether it ever said `words`.
    pub fn said(&self, words: &str) -> bool {
        self.server.said(words)
    }

    /// Starts it again at its address, with what it had written.
    ///
    /// # Errors
    /// As [`Alone::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        self.server.start_again().await
    }
}
