//! Who may see and change what in the dashboard, over HTTP as browsers and programs speak it.

use std::process::Command;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::dashboard::browse;
use crate::dev::command;
use crate::pages::{ALONE, BESIDE_API, Dashboard, Ground, token};

const OPERATOR: &str = "the key of an operator";
const READER: &str = "the key of a reader";

/// Logs in with `key` and returns the cookie.
async fn log_in(dashboard: &Dashboard, key: &str) -> String {
    let form = format!("key={}&next=/capacity?users%3D500", key.replace(' ', "+"));
    let answer = dashboard.client.post(dashboard.url("/login")).body(form);
    let answer = answer.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/capacity?users=500");
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    cookie.split(';').next().expect("a cookie").to_owned()
}

async fn log_out(dashboard: &Dashboard, cookie: &str, token: &str) -> StatusCode {
    let asked = dashboard.client.post(dashboard.url("/logout")).body(format!("csrf={token}")).header("cookie", cookie);
    let asked = asked.header("content-type", "application/x-www-form-urlencoded");
    asked.send().await.expect("an answer").status()
}

/// Asks to drain a worker that is not there: 404 for who may, 403 for who may not.
async fn drain(dashboard: &Dashboard, cookie: &str, token: &str) -> (StatusCode, Value) {
    let body = format!("csrf={token}&worker=nobody");
    let asked = dashboard.client.post(dashboard.url("/workers/drain")).body(body).header("cookie", cookie);
    let asked = asked.header("content-type", "application/x-www-form-urlencoded");
    let answer = asked.header("accept", "application/json").send().await.expect("an answer");
    (answer.status(), answer.json().await.expect("a problem"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_change_things_changes_nothing() {
    let ground = Ground::new().await;
    refused_to_strangers(&ground);
    let session = with_keys(&ground).await;
    begun_elsewhere(&ground, &session).await;
    without_keys(&ground).await;
}

/// Without a key nobody but this host is to reach it, whatever serves it.
fn refused_to_strangers(ground: &Ground) {
    let refused = |mut call: Command, why: &str| {
        let output = call.output().expect("spillway starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(why), "{call:?}: {error}");
    };
    for role in [ALONE, BESIDE_API] {
        refused(ground.serve(role, "0.0.0.0:0"), "--operator-key");
        let mut short = ground.serve(role, "127.0.0.1:0");
        short.args(["--operator-key", "short"]);
        refused(short, "at least 16 characters");
    }
    let mut dev = command();
    dev.args(["dev", "--listen", "0.0.0.0:0", "--brokers", &ground.brokers()]);
    dev.arg("--data").arg(ground.home.data().join("dev"));
    refused(dev, "the dashboard is not shown at 0.0.0.0");
}

/// Returns a session that goes on.
async fn with_keys(ground: &Ground) -> String {
    let keys = ["--operator-key", OPERATOR, "--reader-key", READER];
    let dashboard = Dashboard::start(ground, ALONE, &keys).await;
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

    let (reader, operator) = (log_in(&dashboard, READER).await, log_in(&dashboard, OPERATOR).await);
    let page = get("/workers", &[("cookie", &operator)]).await.expect("an answer");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    let token = token(&page.text().await.expect("a page"));
    let of_reader = get("/workers", &[("cookie", &reader)]).await.expect("an answer").text().await.expect("a page");

    let (status, problem) = drain(&dashboard, &operator, &token).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &"not_found".into()));
    let (status, problem) = drain(&dashboard, &operator, "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let (status, problem) = drain(&dashboard, &operator, &self::token(&of_reader)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let (status, problem) = drain(&dashboard, &reader, &self::token(&of_reader)).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"read_only".into()));

    nothing_is_changed(&dashboard, (&operator, &reader), &self::token(&of_reader)).await;

    // Another site's page does not end a session: it does not know the token.
    assert_eq!(log_out(&dashboard, &operator, "").await, StatusCode::FORBIDDEN);
    assert_eq!(drain(&dashboard, &operator, &token).await.0, StatusCode::NOT_FOUND);
    assert_eq!(log_out(&dashboard, &operator, &token).await, StatusCode::SEE_OTHER);
    let (status, _) = drain(&dashboard, &operator, &token).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    browse("doors.py", vec![dashboard.url(""), OPERATOR.to_owned(), READER.to_owned()]).await;
    reader
}

/// No path takes a change without the token of the session, or from who may only look: all that there are are tried.
async fn nothing_is_changed(dashboard: &Dashboard, (operator, reader): (&str, &str), of_reader: &str) {
    let send = async |method: Method, path: &str, (name, value): (&'static str, &str), token: &str| {
        let body = format!("csrf={token}&action=discard&id=cut/0/7&worker=nobody&stage=cut&pin=fixed:0&url=http://a/b");
        let asked = dashboard.client.request(method, dashboard.url(path)).body(body).header(name, value);
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        let answer = asked.header("accept", "application/json").send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json::<Value>().await.expect("a problem")["code"].as_str().unwrap_or_default().to_owned())
    };
    let (forged, read_only) =
        ((StatusCode::FORBIDDEN, "forged".to_owned()), (StatusCode::FORBIDDEN, "read_only".to_owned()));
    let mut changes = Vec::new();
    for path in ::dashboard::paths() {
        let asked = concrete(path);
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            assert_eq!(
                send(method, &asked, ("cookie", operator), "").await.0,
                StatusCode::METHOD_NOT_ALLOWED,
                "{path}"
            );
        }
        let without_token = send(Method::POST, &asked, ("cookie", operator), "").await;
        if without_token.0 == StatusCode::METHOD_NOT_ALLOWED {
            continue;
        }
        changes.push(path);
        assert_eq!(without_token, forged, "{path}");
        assert_eq!(send(Method::POST, &asked, ("cookie", operator), of_reader).await, forged, "{path}");
        assert_eq!(send(Method::POST, &asked, ("cookie", ""), "").await.0, StatusCode::UNAUTHORIZED, "{path}");
        // Who may only look may leave.
        if path != "/logout" {
            assert_eq!(send(Method::POST, &asked, ("cookie", reader), of_reader).await, read_only, "{path}");
            let program = format!("Bearer {READER}");
            assert_eq!(send(Method::POST, &asked, ("authorization", &program), "").await, read_only, "{path}");
        }
    }
    let known =
        ["/new", "/videos/{tenant}/{video}/{act}", "/letters/act", "/autoscaler/pin", "/workers/drain", "/logout"];
    assert_eq!(changes, known);
}

/// Names something wherever a path differs.
fn concrete(path: &str) -> String {
    let names = [
        ("{tenant}", "default"),
        ("{video}", "7f724280-50f9-4848-b9a7-e441770f049d"),
        ("{act}", "cancel"),
        ("{stage}", "cut"),
        ("{partition}", "0"),
        ("{offset}", "7"),
        ("{name}", "20261126T081929Z-users-6"),
        ("{clip}", "0"),
        ("{file}", "video.mp4"),
    ];
    let path = names.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
    assert!(!path.contains('{'), "{path}");
    path
}

/// Another process with the same key takes the session, and none of a role whose key it does not have.
async fn begun_elsewhere(ground: &Ground, of_reader: &str) {
    let dashboard = Dashboard::start(ground, ALONE, &["--reader-key", READER]).await;
    let page = dashboard.client.get(dashboard.url("/workers")).header("cookie", of_reader).send().await;
    assert_eq!(page.expect("an answer").status(), StatusCode::OK);
    let forged = of_reader.replacen("reader.", "operator.", 1);
    let page = dashboard.client.get(dashboard.url("/workers")).header("cookie", forged).send().await;
    assert_eq!(page.expect("an answer").status(), StatusCode::SEE_OTHER);
}

async fn without_keys(ground: &Ground) {
    let dashboard = Dashboard::start(ground, ALONE, &[]).await;
    let foreign = dashboard.client.get(dashboard.url("/")).header("host", "evil.example").send().await;
    assert_eq!(foreign.expect("an answer").status(), StatusCode::MISDIRECTED_REQUEST);
    let (status, problem) = drain(&dashboard, "", "").await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &"forged".into()));
    let page = dashboard.client.get(dashboard.url("/")).send().await.expect("an answer").text().await.expect("a page");
    let (status, _) = drain(&dashboard, "", &token(&page)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let nowhere = dashboard.client.get(dashboard.url("/live?view=nothing")).send().await.expect("an answer");
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
}
