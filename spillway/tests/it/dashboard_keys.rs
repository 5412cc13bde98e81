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
use tokio::time::timeout;

use crate::dashboard::browse;
use crate::dev::{Home, command};
use testing::until::until;

const OPERATOR: &str = "the key of an operator";
const READER: &str = "the key of a reader";
/// How long the dashboard may take to be there.
const LIMIT: Duration = Duration::from_secs(60);

/// A running `spillway dashboard`.
pub struct Dashboard {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Dashboard {
    /// Starts it on `home` with `keys` as flags, and waits until it is ready.
    pub async fn start(home: &Home, brokers: &str, keys: &[&str]) -> Self {
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

    /// Returns a page as who accepts `kind` gets it.
    pub async fn get(&self, path: &str, kind: &str) -> String {
        let asked = self.client.get(self.url(path)).header("accept", kind);
        let answer = asked.send().await.expect("an answer").error_for_status().expect("a page");
        answer.text().await.expect("text")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Logs in with `key` and returns the cookie.
    async fn log_in(&self, key: &str) -> String {
        let form = format!("key={}&next=/capacity?users%3D500", key.replace(' ', "+"));
        let answer = self.client.post(self.url("/login")).body(form);
        let answer =
            answer.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()["location"], "/capacity?users=500");
        let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    async fn log_out(&self, cookie: &str, token: &str) -> StatusCode {
        let asked = self.client.post(self.url("/logout")).body(format!("csrf={token}")).header("cookie", cookie);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        asked.send().await.expect("an answer").status()
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
    let session = with_keys(&home, &broker.address()).await;
    begun_elsewhere(&home, &broker.address(), &session).await;
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

/// Returns a session that goes on.
async fn with_keys(home: &Home, brokers: &str) -> String {
    let keys = ["--operator-key", OPERATOR, "--reader-key", READER];
    let dashboard = Dashboard::start(home, brokers, &keys).await;
    let get = |path: &str, headers: &[(&'static str, &str)]| {
        let asked = dashboard.client.get(dashboard.url(path));
        headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value)).send()
    };

    let answer = get("/", &[("accept", "text/html")]).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/login");
    let answer = get("/capacity?users=500", &[("accept", "text/html")]).await.expect("an answer");
    assert_eq!(answer.headers()["location"], "/login?next=%2Fcapacity%3Fusers%3D500");
    // Else the script of a page would take the door for what it follows, again and again.
    let stream = get("/live?view=bar", &[("accept", "text/html, text/event-stream")]).await.expect("an answer");
    assert_eq!(stream.status(), StatusCode::UNAUTHORIZED);
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

    // Another site's page does not end a session: it does not know the token.
    assert_eq!(dashboard.log_out(&operator, "").await, StatusCode::FORBIDDEN);
    assert_eq!(dashboard.drain(&operator, &token).await.0, StatusCode::NOT_FOUND);
    assert_eq!(dashboard.log_out(&operator, &token).await, StatusCode::SEE_OTHER);
    let (status, _) = dashboard.drain(&operator, &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    browse("doors.py", vec![dashboard.url(""), OPERATOR.to_owned(), READER.to_owned()]).await;
    reader
}

/// Another process with the same key takes the session, and none of a role whose key it does not have.
async fn begun_elsewhere(home: &Home, brokers: &str, of_reader: &str) {
    let dashboard = Dashboard::start(home, brokers, &["--reader-key", READER]).await;
    let page = dashboard.client.get(dashboard.url("/workers")).header("cookie", of_reader).send().await;
    assert_eq!(page.expect("an answer").status(), StatusCode::OK);
    let forged = of_reader.replacen("reader.", "operator.", 1);
    let page = dashboard.client.get(dashboard.url("/workers")).header("cookie", forged).send().await;
    assert_eq!(page.expect("an answer").status(), StatusCode::SEE_OTHER);
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
    nothing_there(&dashboard).await;
    numbers(&dashboard).await;
    the_dry_run_shows_what_it_goes_by(&dashboard).await;
    refused_to_people(&dashboard).await;
    letters_that_are_not_there(&dashboard, &token(&page)).await;
    let nowhere = dashboard.client.get(dashboard.url("/live?view=nothing")).send().await.expect("an answer");
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}

/// Every page has its numbers for programs, the bar with them, and what cannot be read is told as what is refused.
async fn numbers(dashboard: &Dashboard) {
    let ask = async |path: &str| {
        let asked = dashboard.client.get(dashboard.url(path)).header("accept", "application/json");
        let answer = asked.send().await.expect("an answer");
        let (status, kind) = (answer.status(), answer.headers()["content-type"].to_str().expect("text").to_owned());
        (status, kind, answer.json::<Value>().await.unwrap_or_else(|error| panic!("{path}: {error}")))
    };
    let pages = ["/", "/new", "/videos", "/queues", "/queues/cut", "/letters", "/workers", "/autoscaler"];
    for path in pages.into_iter().chain(["/autoscaler/decisions", "/capacity", "/loadtests", "/cost"]) {
        let (status, kind, page) = ask(path).await;
        assert_eq!((status, &*kind), (StatusCode::OK, "application/json"), "{path}");
        assert_eq!(page["bar"]["queued"], 0, "{path}: {page}");
    }
    let wrong =
        ["/letters/cut/a/b", "/workers/drain", "/live", "/videos?id=x", "/videos?colour=red", "/capacity?users=-1"];
    for path in wrong {
        let (status, kind, problem) = ask(path).await;
        assert!(status.is_client_error() && kind == "application/problem+json", "{path}: {status} {kind}");
        assert_eq!(problem["code"], "refused", "{path}: {problem}");
    }
    // A watched video that is gone does not end the stream without a word.
    let gone = "/live?view=video/default/7f724280-50f9-4848-b9a7-e441770f049d";
    let mut stream = dashboard.client.get(dashboard.url(gone)).send().await.expect("an answer");
    let mut said = String::new();
    while !said.contains("it may have been deleted") {
        let piece = timeout(LIMIT, stream.chunk()).await.expect("in time").expect("a stream");
        said.push_str(&String::from_utf8_lossy(&piece.expect("the stream goes on")));
    }
}

/// What is not given in the dry run is what its field shows in its place.
async fn the_dry_run_shows_what_it_goes_by(dashboard: &Dashboard) {
    let answer = dashboard.client.get(dashboard.url("/autoscaler")).send().await.expect("an answer");
    let page = answer.text().await.expect("a page");
    let usual = planning::policy::Policy::default();
    for (field, value) in [("coverage", usual.coverage), ("down", usual.down_window_s)] {
        let (_, rest) = page.split_once(&format!("name=\"{field}\"")).expect("a field");
        let (tag, _) = rest.split_once('>').expect("its end");
        assert!(tag.contains(&format!("placeholder=\"{value}\"")), "{tag}");
    }
}

/// To people, what is refused stays where it was given, or a page leads back there.
async fn refused_to_people(dashboard: &Dashboard) {
    for (path, kept) in [("/videos?id=xyz", "value=\"xyz\""), ("/capacity?users=99999999", "value=\"99999999\"")] {
        let answer = dashboard.client.get(dashboard.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let page = answer.text().await.expect("a page");
        assert!(page.contains(kept) && page.contains("role=\"alert\""), "{page}");
    }
    let form = dashboard.client.get(dashboard.url("/capacity?users=5&videos=20&priority=&seeds=1&lengths="));
    let answer = form.header("accept", "text/html").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/capacity?users=5&videos=20&seeds=1");
    let asked = dashboard.client.get(dashboard.url("/autoscaler?wait=0"));
    let asked = asked.header("referer", dashboard.url("/autoscaler?stage=cut"));
    let page = asked.send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("href=\"/autoscaler?stage=cut\""), "{page}");
}

/// Letters that nobody knows are neither settled nor sent to work.
async fn letters_that_are_not_there(dashboard: &Dashboard, token: &str) {
    let ask = async |path: &str| dashboard.client.get(dashboard.url(path)).send().await.expect("an answer").status();
    assert_eq!(ask("/letters/cut/0/7").await, StatusCode::NOT_FOUND);
    for action in ["replay", "discard"] {
        let asked = dashboard.client.post(dashboard.url("/letters/act")).header("accept", "application/json");
        let asked = asked.body(format!("csrf={token}&action={action}&id=cut/0/7"));
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        let done: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&done["letters"][0]["id"], &done["letters"][0]["became"]), (&"cut/0/7".into(), &"gone".into()));
    }
}

/// What there is not is told in a page to people, and as a problem to programs.
async fn nothing_there(dashboard: &Dashboard) {
    let ask = async |path: &str, accept: &str| {
        let asked = dashboard.client.get(dashboard.url(path)).header("accept", accept);
        let answer = asked.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    };
    let (status, page) = ask("/nothing/here", "text/html").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("There is no page at this address."), "{page}");
    let (status, problem) = ask("/nothing", "application/json").await;
    assert!(status == StatusCode::NOT_FOUND && problem.contains("not_found"), "{problem}");
    let (status, described) = ask("/openapi.json", "application/json").await;
    assert!(status == StatusCode::OK && described.contains("/v1/videos"), "{described}");
}

/// Finds the token that changes from a page must carry.
fn token(page: &str) -> String {
    let (_, rest) = page.split_once("data-csrf=\"").expect("a token");
    rest.split('"').next().expect("a token").to_owned()
}
