//! Processes that serve the dashboard's pages over a Kafka of their own, with nobody who works.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pipeline::broker::Broker;
use pipeline::loopback;
use pipeline::runtime::{Runtime, RuntimeArgs};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::dev::{Home, command};
use testing::until::until;

/// How long a process may take to be there.
pub const LIMIT: Duration = Duration::from_secs(60);
/// What serves the pages without the API.
pub const ALONE: &[&str] = &["dashboard"];
/// What serves them beside it.
pub const BESIDE_API: &[&str] = &["ingest", "--dashboard"];

/// Brokers with topics, and folders for who serves pages over them.
pub struct Ground {
    pub home: Home,
    broker: Broker,
}

impl Ground {
    pub async fn new() -> Self {
        let home = Home::new();
        let runtime = Runtime::new(&RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(Into::into) });
        let broker = Broker::start(&runtime, &home.data().join("broker")).await.expect("start Kafka");
        let ground = Self { home, broker };
        let made = command().args(["topics", "--partitions", "1", "--brokers", &ground.brokers()]).output();
        assert!(made.expect("spillway starts").status.success());
        ground
    }

    /// Returns where its Kafka is.
    pub fn brokers(&self) -> String {
        self.broker.address()
    }

    /// Returns the call of `role` that listens at `listen`.
    pub fn serve(&self, role: &[&str], listen: &str) -> Command {
        let mut command = command();
        command.args(role).args(["--listen", listen, "--brokers", &self.brokers()]);
        command.arg("--store").arg(format!("sqlite:{}", self.home.data().join("spillway.db").display()));
        command.arg("--blobs").arg(self.home.data().join("blobs"));
        command
    }
}

/// A running process that serves the pages.
pub struct Dashboard {
    child: Child,
    address: SocketAddr,
    pub client: Client,
}

impl Dashboard {
    /// Starts `role` with `flags` and waits until it is ready.
    pub async fn start(ground: &Ground, role: &[&str], flags: &[&str]) -> Self {
        let address = loopback::free_address().expect("a free port");
        let mut command = ground.serve(role, &address.to_string());
        let child = command.args(flags).stdout(Stdio::null()).spawn().expect("start the dashboard");
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        let dashboard = Self { child, address, client };
        let ready = dashboard.url("/readyz");
        until("the dashboard is ready", LIMIT, async || {
            dashboard.client.get(&ready).send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
        })
        .await;
        dashboard
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns a page as people get it.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.client.get(self.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("a page")
    }

    /// Returns a page as programs get it.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.client.get(self.url(path)).header("accept", "application/json").send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.expect("JSON")
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // Already ended, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds the token that changes from a page must carry.
pub fn token(page: &str) -> String {
    let (_, rest) = page.split_once("data-csrf=\"").expect("a token");
    rest.split('"').next().expect("a token").to_owned()
}
