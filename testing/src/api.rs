//! The HTTP API as its users see it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::until::until;

/// How long a video of these tests may take, whatever else the machine does.
pub const VIDEO_LIMIT: Duration = Duration::from_secs(150);

/// How the clips of these tests are made: short and small, so that they are cheap.
pub const OPTIONS: &str = "clips=2&min_clip_s=3&max_clip_s=4&height=320";

/// A client of one service.
pub struct Api {
    client: Client,
    server: String,
}

/// A clip: how it was planned, and its files.
#[derive(Debug, PartialEq)]
pub struct Clip {
    /// All that is told of it but names: ids and links differ from video to video.
    pub plan: Value,
    /// The file that plays.
    pub video: Vec<u8>,
    /// WebVTT.
    pub captions: Vec<u8>,
    /// A still picture.
    pub poster: Vec<u8>,
}

impl Api {
    /// Returns a client of the service at `address`.
    ///
    /// # Panics
    /// When none can be made; so do the others that need an answer and get none.
    pub fn at(address: SocketAddr) -> Self {
        let client = Client::builder().no_proxy().timeout(VIDEO_LIMIT).build().expect("a client");
        Self { client, server: format!("http://{address}") }
    }

    /// Returns its address, as `--server` takes it.
    pub fn server(&self) -> String {
        self.server.clone()
    }

    /// Begins a POST.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.server))
    }

    /// Returns the answer to a GET.
    pub async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Returns the answer to a GET of a stream that goes on after the event `id`.
    pub async fn get_after(&self, path: &str, id: i64) -> Response {
        let asked = self.client.get(format!("{}{path}", self.server)).header("last-event-id", id);
        asked.send().await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Returns the answer to a GET of a page's numbers.
    pub async fn get_json(&self, path: &str) -> Response {
        let asked = self.client.get(format!("{}{path}", self.server)).header("accept", "application/json");
        asked.send().await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Returns the status that a DELETE has.
    pub async fn delete(&self, path: &str) -> StatusCode {
        self.client.delete(format!("{}{path}", self.server)).send().await.expect("an answer").status()
    }

    /// Uploads `file` and returns the video's id.
    pub async fn upload(&self, file: &Path, options: &str) -> String {
        let bytes = std::fs::read(file).expect("read");
        accepted(self.post(&format!("/v1/videos?{options}")).body(bytes)).await
    }

    /// Submits `url` and returns the video's id.
    pub async fn submit_url(&self, url: &str, options: &str) -> String {
        accepted(self.post(&format!("/v1/videos?{options}")).json(&json!({ "url": url }))).await
    }

    /// Returns a video as it is now; nothing while the API cannot be reached.
    pub async fn video(&self, id: &str) -> Option<Value> {
        let response = self.try_get(&format!("/v1/videos/{id}")).await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }

    /// Waits until `stage` of a video has finished a unit.
    pub async fn past(&self, id: &str, stage: &str) {
        until(&format!("{stage} of {id} is done"), VIDEO_LIMIT, async || {
            let video = self.video(id).await?;
            let stages = video["stages"].as_array()?;
            stages.iter().any(|s| s["stage"] == stage && s["done"].as_u64() > Some(0)).then_some(())
        })
        .await;
    }

    /// Waits until a video has ended and returns it.
    pub async fn ended(&self, id: &str, limit: Duration) -> Value {
        until(&format!("{id} ends"), limit, async || {
            self.video(id).await.filter(|v| !matches!(v["state"].as_str(), Some("queued" | "processing")))
        })
        .await
    }

    /// Waits until a video is done, whole.
    pub async fn done(&self, id: &str) -> Value {
        let video = self.ended(id, VIDEO_LIMIT).await;
        assert_eq!((&video["state"], &video["error"]), (&json!("done"), &Value::Null), "{video}");
        assert_eq!(video["completeness"], 1.0, "{video}");
        // What its last units say may be recorded just after its end.
        until(&format!("all units of {id} are counted"), Duration::from_secs(10), async || {
            let video = self.video(id).await?;
            let stages = video["stages"].as_array()?;
            stages.iter().all(|stage| stage["done"] == stage["total"] && stage["failed"] == 0).then_some(video)
        })
        .await
    }

    /// Returns the clips of a video, with their files.
    pub async fn clips(&self, id: &str) -> Vec<Clip> {
        let list: Value = self.get(&format!("/v1/videos/{id}/clips")).await.json().await.expect("JSON");
        let mut clips = Vec::new();
        for item in list["items"].as_array().expect("items") {
            let mut plan = item.clone();
            let members = plan.as_object_mut().expect("an object");
            members.remove("id");
            members.remove("links");
            let links = &item["links"];
            clips.push(Clip {
                plan,
                video: self.file(&links["video"]).await,
                captions: self.file(&links["captions"]).await,
                poster: self.file(&links["poster"]).await,
            });
        }
        clips
    }

    /// Returns the event log of a video that has ended.
    pub async fn events(&self, id: &str) -> Vec<Value> {
        let stream = self.get(&format!("/v1/videos/{id}/events")).await.text().await.expect("events");
        parse_events(&stream)
    }

    /// Reads a video's events as they come until `enough` is satisfied with them.
    pub async fn events_until(&self, id: &str, mut enough: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let mut response = self.get(&format!("/v1/videos/{id}/events")).await;
        let mut stream = Vec::new();
        while let Some(chunk) = response.chunk().await.expect("events") {
            stream.extend_from_slice(&chunk);
            let events = parse_events(&String::from_utf8_lossy(&stream));
            if enough(&events) {
                return events;
            }
        }
        panic!("the events ended too early: {}", String::from_utf8_lossy(&stream));
    }

    async fn file(&self, link: &Value) -> Vec<u8> {
        let path = link.as_str().unwrap_or_else(|| panic!("no link but {link}"));
        let response = self.get(path).await.error_for_status().expect("the file");
        response.bytes().await.expect("bytes").to_vec()
    }

    /// Returns the answer to a GET, if there is one.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Response> {
        self.client.get(format!("{}{path}", self.server)).send().await
    }
}

async fn accepted(request: RequestBuilder) -> String {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    body["id"].as_str().expect("an id").to_owned()
}

/// Reads the data of whole server-sent events.
fn parse_events(stream: &str) -> Vec<Value> {
    let whole = stream.rfind("\n\n").map_or("", |end| &stream[..end]);
    let data = whole.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|text| serde_json::from_str(text).expect("JSON")).collect()
}
