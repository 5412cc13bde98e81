//! Who may see and change what in the dashboard, over HTTP as browsers and programs speak it.

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

const OPERATOR: &str = "the key of an operator";
const READER: &str = "the key of a reader";
/// How long the dashboard may take to be there.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `spillway dashboard`.
struct Dashboard {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Dashboard {
    async fn start(home: &Home, brokers: &str, keys: &[&str]) -> Self {
        let address = loopback::free_address().expect("a free port");
        let mut command = serve(home, brokers, &address.to_string());
        let child = command.args(keys).stdout(Stdio::null()).spawn().expect("start the dashboard");
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        let dashboard = Self { child, address, client };
        let ready = dashboard.url("/readyz");
        until("the dashboard is ready", LIMIT, async || {
            dashboard.client.get(&ready).send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
        })
        .await;
        dashboard
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Logs in with `key` and returns the cookie.
    async fn log_in(&self, key: &str) -> String {
        let form = format!("key={}", key.replace(' ', "+"));
        let answer = self.client.post(self.url("/login")).body(form);
        let answer =
            answer.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    /// Asks to drain a worker that is not there: 404 for who may, 403 for who may not.
    async fn drain(&self, cookie: &str, token: &str) -> (StatusCode, Value) {
        let body = format!("csrf={token}&worker=nobody");
        let asked = self.client.post(self.url("/workers/drain")).body(body).header("cookie", cookie);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        let answer = asked.header("accept", "application/json").send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("a problem"))
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // Already ended, or it ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(home: &Home, brokers: &str, listen: &str) -> Command {
    let mut command = command();
    command.args(["dashboard", "--listen", listen, "--brokers", brokers]);
    command.arg("--store").arg(format!("sqlite:{}", home.data().join("spillway.db").display()));
    command.arg("--blobs").arg(home.data().join("blobs"));
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_change_things_changes_nothing() {
    let home = Home::new();
    let runtime = Runtime::new(&RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(Into::into) });
    let broker = Broker::start(&runtime, &home.data().join("broker")).await.expect("start Kafka");
    let made = command().args(["topics", "--partitions", "1", "--brokers", &broker.address()]).output();
    assert!(made.expect("spillway starts").status.success());

    refused_to_strangers(&home, &broker.address());
    with_keys(&home, &broker.address()).await;
    without_keys(&home, &broker.address()).await;
}

/// Without a key nobody but this host is to reach it.
fn refused_to_strangers(home: &Home, brokers: &str) {
    let output = serve(home, brokers, "0.0.0.0:0").output().expect("spillway starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("--operator-key"), "{error}");
    let output = serve(home, brokers, "127.0.0.1:0").args(["--operator-key", "short"]).output().expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("at least 16 characters"), "{error}");
}

async fn with_keys(home: &Home, brokers: &str) {
    let keys = ["--operator-key", OPERATOR, "--reader-key", READER];
    let dashboard = Dashboard::start(home, brokers, &keys).await;
    let get = |path: &str, headers: &[(&'static str, &str)]| {
        let asked = dashboard.client.get(dashboard.url(path));
        headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value)).send()
    };

    let answer = get("/", &[("accept", "text/html")]).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/login");
    for path in ["/", "/live?view=bar", "/workers", "/videos"] {
        let answer = get(path, &[("accept", "application/json")]).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let wrong = dashboard.client.post(dashboard.url("/login")).body("key=nobody");
    let wrong = wrong.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::FORBIDDEN);
    let program = get("/", &[("authorization", &format!("Bearer {READER}")), ("accept", "application/json")]);
    let program = program.await.expect("an answer");
    assert_eq!(program.status(), StatusCode::OK);
    assert!(program.json::<Value>().await.expect("JSON")["now"]["stages"].is_array());

    let (reader, operator) = (dashboard.log_in(READER).await, dashboard.log_in(OPERATOR).await);
    let page = get("/workers", &[("cookie", &operator)]).await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let token = token(&page.text().await.expect("a page"));
    let of_reader = get("/workers", &[("cookie", &reader)]).await.expect("an answer").text().await.expect("a page");

    let (status, problem) = dashboard.drain(&operator, &token).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &"not_found".into()));
    let (status, problem) = dashboard.drain(&operator, "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let (status, problem) = dashboard.drain(&operator, &self::token(&of_reader)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let (status, problem) = dashboard.drain(&reader, &self::token(&of_reader)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"read_only".into()));

    let left = dashboard.client.post(dashboard.url("/logout")).header("cookie", &operator).send().await;
    assert_eq!(left.expect("an answer").status(), StatusCode::SEE_OTHER);
    let (status, _) = dashboard.drain(&operator, &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

async fn without_keys(home: &Home, brokers: &str) {
    let dashboard = Dashboard::start(home, brokers, &[]).await;
    let foreign = dashboard.client.get(dashboard.url("/")).header("host", "evil.example").send().await;
    assert_eq!(foreign.expect("an answer").status(), StatusCode::MISDIRECTED_REQUEST);
    let (status, problem) = dashboard.drain("", "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let page = dashboard.client.get(dashboard.url("/")).send().await.expect("an answer").text().await.expect("a page");
    let (status, _) = dashboard.drain("", &token(&page)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let nowhere = dashboard.client.get(dashboard.url("/live?view=nothing")).send().await.expect("an answer");
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}

/// Finds the token that changes from a page must carry.
fn token(page: &str) -> String {
    let (_, rest) = page.split_once("data-csrf=\"").expect("a token");
    rest.split('"').next().expect("a token").to_owned()
}
