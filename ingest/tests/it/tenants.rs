//! Tenants of a file: who comes in, and what each sees and may.

use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use pipeline::event::VideoSubmitted;
use pipeline::id::OnBehalfOf;
use pipeline::lane::Lane;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::server::{Server, problem};

/// A file of tenants.
pub struct File {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl File {
    /// Writes `tenants`: name, keys, and further lines of the table.
    pub fn of(tenants: &[(&str, &[&str], &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = Self { path: folder.path().join("tenants.toml"), _folder: folder };
        file.write(tenants);
        file
    }

    pub fn write(&self, tenants: &[(&str, &[&str], &str)]) {
        let mut text = String::new();
        for (name, keys, rest) in tenants {
            let hash = |key: &&str| Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let hashes: Vec<String> = keys.iter().map(hash).collect();
            text += &format!("[[tenant]]\nname = {name:?}\nkey_sha256 = {hashes:?}\n{rest}\n");
        }
        std::fs::write(&self.path, text).expect("a file");
    }

    pub async fn serve(&self, flags: &[&str]) -> Server {
        let path = self.path.to_str().expect("a path in UTF-8");
        Server::start(&[&["--tenants", path], flags].concat()).await
    }
}

/// Somebody with a key.
pub fn caller(key: &str) -> Client {
    let value = HeaderValue::from_str(&format!("Bearer {key}")).expect("a header");
    Client::builder().default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)])).build().expect("a client")
}

impl Server {
    /// Submits a URL.
    pub async fn submit_url(&self, caller: &Client, options: Value) -> Response {
        let mut body = json!({"url": "https://example.org/talk.mp4"});
        body.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
        caller.post(format!("{}/v1/videos", self.url)).json(&body).send().await.expect("an answer")
    }

    /// Submits a URL and returns the video.
    pub async fn accepted(&self, caller: &Client, options: Value) -> Value {
        let response = self.submit_url(caller, options).await;
        assert_eq!(response.status(), 202);
        response.json().await.expect("JSON")
    }
}

#[tokio::test]
async fn without_a_key_of_the_file_nobody_comes_in() {
    let file = File::of(&[("acme", &["old", "new"], "")]);
    let server = file.serve(&[]).await;
    for path in ["/v1/videos", "/v1/videos/x", "/v1/videos/x/events", "/v1/videos/x/clips", "/v1/videos/x/analysis"] {
        let refused = server.get(path).await;
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
        problem(401, "unauthorized", refused).await;
    }
    problem(401, "unauthorized", server.post("/v1/videos", "bytes").await).await;
    problem(401, "unauthorized", server.submit_url(&caller("other"), json!({})).await).await;
    assert!(server.files().is_empty());
    server.accepted(&caller("old"), json!({})).await;
    server.accepted(&caller("new"), json!({})).await;
    for open in ["/livez", "/openapi.json"] {
        assert_eq!(server.get(open).await.status(), 200);
    }
}

#[tokio::test]
async fn another_tenants_video_is_not_there() {
    let file = File::of(&[("acme", &["a"], ""), ("bolt", &["b"], "")]);
    let server = file.serve(&[]).await;
    let (acme, bolt) = (caller("a"), caller("b"));
    let video = server.accepted(&acme, json!({})).await;
    let path = format!("{}/v1/videos/{}", server.url, video["id"].as_str().expect("an id"));
    assert_eq!(acme.get(&path).send().await.expect("an answer").status(), 200);
    for rest in ["", "/clips", "/events", "/analysis"] {
        problem(404, "video_not_found", bolt.get(format!("{path}{rest}")).send().await.expect("an answer")).await;
    }
    problem(404, "video_not_found", bolt.delete(&path).send().await.expect("an answer")).await;
    let list: Value =
        bolt.get(format!("{}/v1/videos", server.url)).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(list["items"], json!([]));
}

/// Asks `server`'s API from within its process.
async fn ask(server: &Server, method: &str, path: &str, tenant: Option<&str>, body: &str) -> (u16, Value) {
    let router = ingest::router(server.app.clone(), Router::new());
    let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
    if let Some(tenant) = tenant {
        request = request.extension(OnBehalfOf(tenant.parse().expect("a tenant")));
    }
    let response =
        router.oneshot(request.body(Body::from(body.to_owned())).expect("a request")).await.expect("an answer");
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn code_of_the_same_process_asks_for_any_tenant() {
    let file = File::of(&[("acme", &["a"], "priority = true"), ("bolt", &["b"], "")]);
    let server = file.serve(&[]).await;
    let ids: Vec<String> = server.app.tenants.ids().iter().map(ToString::to_string).collect();
    assert_eq!(ids, ["acme", "bolt"]);
    let wanted = r#"{"url": "https://example.org/talk.mp4", "priority": true}"#;
    let (status, video) = ask(&server, "POST", "/v1/videos", Some("acme"), wanted).await;
    assert_eq!((status, &video["lane"]), (202, &json!("priority")), "{video}");
    let path = video["links"]["self"].as_str().expect("a path");
    assert_eq!(ask(&server, "GET", path, Some("acme"), "").await.0, 200);
    assert_eq!(ask(&server, "GET", path, Some("bolt"), "").await.0, 404);
    assert_eq!(ask(&server, "DELETE", path, Some("bolt"), "").await.0, 404);
    let (status, nobody) = ask(&server, "GET", path, Some("nobody"), "").await;
    assert_eq!((status, &nobody["code"]), (404, &json!("not_found")), "{nobody}");
    assert_eq!(ask(&server, "GET", path, None, "").await.0, 401, "for nobody a key is needed");
    assert_eq!(ask(&server, "DELETE", path, Some("acme"), "").await.0, 204);

    let alone = Server::start(&[]).await;
    assert_eq!(ask(&alone, "GET", "/v1/videos", Some("default"), "").await.0, 200);
    assert_eq!(ask(&alone, "GET", "/v1/videos", Some("acme"), "").await.0, 404, "there is one tenant");
}

#[tokio::test]
async fn no_header_makes_a_caller_another_tenant() {
    let file = File::of(&[("acme", &["a"], ""), ("bolt", &["b"], "")]);
    let server = file.serve(&[]).await;
    server.accepted(&caller("a"), json!({})).await;
    for name in ["OnBehalfOf", "On-Behalf-Of", "X-On-Behalf-Of", "Tenant", "X-Tenant", "Extensions"] {
        let asked =
            |client: &Client| client.get(format!("{}/v1/videos?limit=5", server.url)).header(name, "acme").send();
        problem(401, "unauthorized", asked(&Client::new()).await.expect("an answer")).await;
        let list: Value = asked(&caller("b")).await.expect("an answer").json().await.expect("JSON");
        assert_eq!(list["items"], json!([]), "{name}");
    }
}

#[tokio::test]
async fn the_file_says_who_may_be_first_and_is_followed() {
    let file = File::of(&[("acme", &["a"], "priority = true"), ("bolt", &["b"], "")]);
    let server = file.serve(&[]).await;
    let (acme, bolt) = (caller("a"), caller("b"));
    assert_eq!(server.accepted(&acme, json!({"priority": true})).await["lane"], "priority");
    assert_eq!(server.accepted(&bolt, json!({"priority": true})).await["lane"], "standard");

    file.write(&[("bolt", &["b2"], "priority = true")]);
    assert!(server.app.tenants.refresh().expect("a file"));
    problem(401, "unauthorized", server.submit_url(&acme, json!({})).await).await;
    problem(401, "unauthorized", server.submit_url(&bolt, json!({})).await).await;
    std::fs::write(&file.path, "[[tenant]]\nname = \"bolt\"").expect("a file");
    let mistake = server.app.tenants.refresh().expect_err("a mistake").to_string();
    assert!(mistake.ends_with("tenants.toml: tenant \"bolt\": missing field `key_sha256`"), "{mistake}");
    server.accepted(&caller("b2"), json!({})).await;
}

#[tokio::test]
async fn what_is_beyond_a_tenants_share_goes_lower_and_says_so() {
    let file = File::of(&[("acme", &["a"], "priority = true"), ("bolt", &["b"], "weight = 2")]);
    let server = file.serve(&[]).await;
    let (acme, bolt) = (caller("a"), caller("b"));
    let mut found = Vec::new();
    for (who, count) in [(&acme, 12), (&bolt, 3)] {
        for _ in 0..count {
            let video = server.accepted(who, json!({})).await;
            found.push((video["lane"].as_str().expect("a lane").to_owned(), video["lanes_lower"].as_u64()));
        }
    }
    let expected = |lane: &str, lanes| (lane.to_owned(), Some(lanes));
    assert_eq!(found[0], expected("standard", 0));
    assert!(found[1..12].iter().all(|video| video.0 == "batch"));
    assert_eq!((found[1].1, found[9].1, found[10].1), (Some(1), Some(1), Some(2)));
    assert_eq!(found[12..], [expected("standard", 0), expected("standard", 0), expected("batch", 1)]);

    // Who may be first loses that before anything else.
    server.accepted(&acme, json!({"priority": true})).await;
    let jobs: Vec<_> = server.published::<VideoSubmitted>().into_iter().map(|message| message.job).collect();
    assert_eq!(jobs.last().map(|job| (job.lane(), job.lanes_lower)), Some((Lane::Batch, 1)));
}

#[tokio::test]
async fn one_tenant_has_nobody_to_share_with() {
    let server = Server::start(&[]).await;
    for _ in 0..3 {
        let video = server.accepted(&server.client, json!({})).await;
        assert_eq!((&video["lane"], &video["lanes_lower"]), (&json!("standard"), &json!(0)));
    }
}
