//! Bad input through the whole system: each piece gets its answer soon, with a code and advice, and leaves nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::bad_files;
use crate::dev::shared;
use testing::api::{Api, OPTIONS};
use testing::media::talk;
use testing::processes::peak_mib;
use testing::until::until;
use testing::web::Web;

/// How soon after its last byte a video must have its final state.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The most memory that any process may ever have held.
const MEMORY_LIMIT_MIB: u64 = 600;

#[tokio::test]
async fn bad_input_has_its_answer_within_ten_seconds_and_leaves_nothing() {
    let files = bad_files::all();
    let dev = shared();
    let api = Api::at(dev.address());
    let before = dev.children();
    bad_requests_are_told_at_once(&api).await;
    let mut refused = bad_files_end(&api, files).await;
    refused.extend(bad_urls_end(&api).await);
    refused.push(a_name_is_no_path(&api).await);

    until("nothing of refused videos is left", ANSWER_LIMIT, async || {
        let left = blobs(&dev.data().join("blobs"));
        let is_refused = |path: &PathBuf| refused.iter().any(|id| path.to_string_lossy().contains(id));
        (!left.iter().any(is_refused)).then_some(())
    })
    .await;
    assert_eq!(dev.children(), before, "a process was started again");
    for (name, pid) in before.into_iter().chain([("dev".to_owned(), dev.pid())]) {
        let peak = peak_mib(pid);
        println!("{name} held {peak} MiB at most");
        assert!(peak < MEMORY_LIMIT_MIB, "{name} held {peak} MiB");
    }
}

async fn bad_requests_are_told_at_once(api: &Api) {
    let url = "http://example.com/a.mp4";
    let json = |value: Value| api.post("/v1/videos").json(&value);
    let raw = |query: &str, bytes: &'static [u8]| api.post(&format!("/v1/videos{query}")).body(bytes);
    let text = api.post("/v1/videos").header("content-type", "application/json").body("{\"url\":");
    for (name, request, status, code) in [
        ("no bytes", raw("?name=empty.mp4", b""), 422, "empty_file"),
        ("an unknown option", raw("?wibble=1", b"bytes"), 400, "unknown_option"),
        ("a wrong option", raw("?clips=many", b"bytes"), 422, "invalid_option"),
        ("half of JSON", text, 400, "malformed_request"),
        ("a list", json(json!([url])), 400, "malformed_request"),
        ("a number for a URL", json(json!({ "url": 5 })), 422, "invalid_option"),
        ("a text for a number", json(json!({ "url": url, "clips": "many" })), 422, "invalid_option"),
        ("an unknown member", json(json!({ "url": url, "wibble": 1 })), 400, "unknown_option"),
        ("a local file", json(json!({ "url": "file:///etc/passwd" })), 422, "url_refused"),
        ("no URL", json(json!({ "clips": 1 })), 422, "missing_video"),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{name}");
        assert_eq!(answer.status(), status, "{name}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], code, "{name}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{name}: {problem}");
    }
}

/// Uploads every bad file; returns the ids of the videos that failed.
async fn bad_files_end(api: &Api, files: Vec<bad_files::BadFile>) -> Vec<String> {
    let mut failed = Vec::new();
    for file in files {
        let request = api.post(&format!("/v1/videos?name={}&{OPTIONS}", file.name)).body(file.bytes);
        let answer: Value = request.send().await.expect("an answer").json().await.expect("JSON");
        let id = answer["id"].as_str().unwrap_or_else(|| panic!("{}: {answer}", file.name)).to_owned();
        let video = ended_soon(api, file.name, &id).await;
        let code = video["error"]["code"].as_str();
        if !file.codes.is_empty() {
            assert_eq!(video["state"], "failed", "{}: {video}", file.name);
            assert!(code.is_some_and(|code| file.codes.contains(&code)), "{}: {video}", file.name);
        }
        if video["state"] == "failed" {
            failed.push(id);
        } else {
            assert!(video["duration_s"].as_f64().is_some_and(|seconds| seconds < 60.0), "{}: {video}", file.name);
        }
    }
    failed
}

async fn bad_urls_end(api: &Api) -> Vec<String> {
    let web = Web::start(talk()).await;
    let mut failed = Vec::new();
    for (place, code) in [
        ("nothing", "url_not_found"),
        ("page", "url_not_found"),
        ("loop", "url_redirects"),
        ("endless", "too_large"),
        ("silent", "url_timeout"),
    ] {
        let id = api.submit_url(&web.url(place), OPTIONS).await;
        let video = ended_soon(api, place, &id).await;
        assert_eq!((&video["state"], &video["error"]["code"]), (&json!("failed"), &json!(code)), "{place}: {video}");
        failed.push(id);
    }
    failed
}

/// Uploads a form whose file has a name that leads elsewhere.
async fn a_name_is_no_path(api: &Api) -> String {
    let part = Part::bytes(b"no video".to_vec()).file_name("../../../../tmp/../escaped.mp4");
    let answer = api.post("/v1/videos").multipart(Form::new().part("file", part)).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["name"], "escaped.mp4", "{answer}");
    let id = answer["id"].as_str().expect("an id").to_owned();
    assert_eq!(ended_soon(api, "a path", &id).await["error"]["code"], "not_a_video");
    id
}

/// Waits for a video's end, which must come in time and say what to do if it is a bad one.
async fn ended_soon(api: &Api, name: &str, id: &str) -> Value {
    let begun = Instant::now();
    let video = api.ended(id, ANSWER_LIMIT).await;
    println!("{name}: {} {} after {:?}", video["state"], video["error"]["code"], begun.elapsed());
    if video["state"] != "done" {
        let error = &video["error"];
        for member in ["code", "stage", "message"] {
            assert!(error[member].as_str().is_some_and(|text| !text.is_empty()), "{name}: no {member} in {video}");
        }
    }
    video
}

/// Returns every file below `folder`.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    // What a sweep has just removed is not there to be read.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(blobs(&path)) } else { files.push(path) }
    }
    files
}
