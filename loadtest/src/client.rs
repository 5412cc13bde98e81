//! The requests of a load test. Nothing is tried again: what does not succeed at once is counted.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// How long a server may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take for the answer to an upload.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// The most videos on a page of the list.
const PAGE: &str = "100";

/// A server. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
}

/// One video to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The sender's key.
    pub key: Option<String>,
    /// The same name is the same video.
    pub name: String,
    /// It asks for the priority lane.
    pub priority: bool,
    /// What is sent.
    pub content: Content,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Content {
    /// The video itself.
    Upload(Bytes),
    /// Where the server is to fetch it.
    Url(String),
}

/// What came of sending a video.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was accepted, under this id.
    Accepted(String),
    /// The server said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// After how many seconds to come again, if it said that.
        retry_after_s: Option<u64>,
    },
    /// It could not be sent, or no answer came.
    Broken(String),
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Listed>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
}

impl Client {
    /// Prepares to talk to `server`; nothing is sent yet.
    ///
    /// # Errors
    /// When the client cannot be set up on this machine.
    pub fn new(server: Url) -> Result<Self> {
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_PATIENCE).timeout(ANSWER_PATIENCE);
        if server.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.")) {
            http = http.no_proxy(); // a proxy would look for the server on its own host
        }
        Ok(Self { http: http.build().context("set up the HTTP client")?, server })
    }

    /// Sends a video once.
    pub async fn submit(&self, request: Request) -> Answer {
        let mut url = self.url("/v1/videos");
        url.query_pairs_mut().append_pair("name", &request.name);
        if request.priority {
            url.query_pairs_mut().append_pair("priority", "true");
        }
        let post = self.entitled(self.http.post(url), request.key.as_deref()).header("Idempotency-Key", request.name);
        let post = match request.content {
            Content::Upload(bytes) => post.header(CONTENT_TYPE, "application/octet-stream").body(bytes),
            Content::Url(url) => post.json(&serde_json::json!({ "url": url })),
        };
        match answer(post).await {
            Ok(answer) => answer,
            Err(error) => Answer::Broken(format!("{error:#}")),
        }
    }

    /// Returns the ids of a tenant's videos that have not ended. One that ends meanwhile may be among them; none that
    /// has not is missing: a video only ever goes from the state that is asked for first to the other one.
    ///
    /// # Errors
    /// When the server does not answer as it should.
    pub async fn unfinished(&self, key: Option<&str>) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for state in ["queued", "processing"] {
            let mut cursor = None;
            loop {
                let mut url = self.url("/v1/videos");
                url.query_pairs_mut().append_pair("state", state).append_pair("limit", PAGE).extend_pairs(cursor);
                let answer = self.entitled(self.http.get(url), key).send().await.context("list videos")?;
                let page: Page = answer.error_for_status()?.json().await.context("read the list of videos")?;
                found.extend(page.items.into_iter().map(|listed| listed.id));
                match page.next {
                    Some(next) => cursor = Some(("cursor", next)),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// Returns the log of a video that has ended; nothing when there is no such video.
    ///
    /// # Errors
    /// When the server does not answer as it should.
    pub async fn log(&self, id: &str, key: Option<&str>) -> Result<Option<Vec<Value>>> {
        let get = self.entitled(self.http.get(self.url(&format!("/v1/videos/{id}/events"))), key);
        let answer = get.send().await.context("ask for a video's log")?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let text = answer.error_for_status()?.text().await.context("read a video's log")?;
        let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
        let events = data.map(|data| serde_json::from_str(data.trim())).collect::<Result<Vec<Value>, _>>();
        Ok(Some(events.context("understand a video's log")?))
    }

    /// Says whether the server answers.
    ///
    /// # Errors
    /// Why not.
    pub async fn check(&self, key: Option<&str>) -> Result<()> {
        let mut url = self.url("/v1/videos");
        url.query_pairs_mut().append_pair("limit", "1");
        let answer = self.entitled(self.http.get(url), key).send().await;
        let status = answer.with_context(|| format!("cannot reach the server {}", self.server))?.status();
        ensure!(status.is_success(), "the server {} answers with {status}; are address and key right?", self.server);
        Ok(())
    }

    fn entitled(&self, request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        let base = self.server.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }
}

async fn answer(post: RequestBuilder) -> Result<Answer> {
    let answer = post.send().await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(Answer::Accepted(answer.json::<Listed>().await?.id));
    }
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    // Read to its end, so that the connection can be used again.
    answer.bytes().await?;
    Ok(Answer::Refused { status: status.as_u16(), retry_after_s: seconds })
}
