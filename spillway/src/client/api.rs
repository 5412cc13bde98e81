//! The requests of the HTTP API.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use futures::TryStreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use url::Url;

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers there.
    #[error("cannot reach the server")]
    Unreachable(#[source] anyhow::Error),
    /// The file cannot be read.
    #[error("cannot read the input")]
    Unreadable(#[source] anyhow::Error),
    /// The server said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection broke, or the answer cannot be understood.
    #[error("the exchange with the server broke off")]
    Broken(#[source] anyhow::Error),
}

impl Error {
    /// Returns the stable name of what is wrong.
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Unreadable(_) => "unreadable",
            Self::Refused(refusal) => &refusal.code,
            Self::Broken(_) => "broken_off",
        }
    }
}

/// What the server said when it said no.
#[derive(Debug, Deserialize, thiserror::Error)]
#[error("{detail} ({code})")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable name of the problem.
    pub code: String,
    /// What is wrong and what to do.
    pub detail: String,
}

/// What is used of a video.
#[derive(Clone, Debug, Deserialize)]
pub struct VideoReply {
    /// Its id.
    pub id: String,
    /// Where it is on its way.
    pub state: String,
    /// Its lane.
    pub lane: String,
    /// Why it did not end well.
    pub error: Option<VideoErrorReply>,
}

/// Why a video did not end well.
#[derive(Clone, Debug, Deserialize)]
pub struct VideoErrorReply {
    /// The stable name of the reason.
    pub code: String,
    /// Where it happened.
    pub stage: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What is used of a clip.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipReply {
    /// Its id.
    pub id: String,
    /// Where it begins in the source, in seconds.
    pub start_s: f64,
    /// Where it ends in the source, in seconds.
    pub end_s: f64,
    /// How good it is, 0 to 1.
    pub score: f64,
    /// Why it was chosen.
    pub reasons: Vec<ReasonReply>,
    /// Its files.
    pub links: ClipLinksReply,
}

/// One reason for a choice.
#[derive(Clone, Debug, Deserialize)]
pub struct ReasonReply {
    /// One sentence.
    pub text: String,
}

/// Paths of a clip's files.
#[derive(Clone, Debug, Deserialize)]
pub struct ClipLinksReply {
    /// The video.
    pub video: Option<String>,
    /// The captions.
    pub captions: Option<String>,
    /// A still picture.
    pub poster: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Vec<T>,
    next: Option<String>,
}

/// A server. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: reqwest::Client,
    server: Url,
}

impl Api {
    /// Prepares to talk to `server`; nothing is sent yet.
    ///
    /// # Errors
    /// When the client cannot be set up on this machine.
    pub fn new(server: Url) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).build();
        Ok(Self { client: client.context("set up the HTTP client")?, server })
    }

    /// Uploads a file, telling `sent` how many bytes went out.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn upload(
        &self,
        path: &Path,
        options: &[(&'static str, String)],
        sent: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<VideoReply, Error> {
        let unreadable =
            |e: std::io::Error| Error::Unreadable(anyhow::Error::new(e).context(path.display().to_string()));
        let file = File::open(path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Error::Unreadable(anyhow::anyhow!("{} is not a file", path.display())));
        }
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let mut url = self.url("/v1/videos");
        url.query_pairs_mut().extend_pairs(options).extend_pairs(name.map(|name| ("name", name)));
        let bytes = ReaderStream::with_capacity(file, CHUNK_BYTES).inspect_ok(move |chunk| sent(chunk.len() as u64));
        let request = self.client.request(Method::POST, url);
        let request = request.header(CONTENT_LENGTH, metadata.len()).header(CONTENT_TYPE, "application/octet-stream");
        read(send(request.body(Body::wrap_stream(bytes))).await?).await
    }

    /// Submits a URL to be fetched by the server.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn submit_url(&self, video: &str, options: &[(&'static str, String)]) -> Result<VideoReply, Error> {
        let mut url = self.url("/v1/videos");
        if !options.is_empty() {
            url.query_pairs_mut().extend_pairs(options);
        }
        read(send(self.client.post(url).json(&serde_json::json!({ "url": video }))).await?).await
    }

    /// Returns a video.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn video(&self, id: &str) -> Result<VideoReply, Error> {
        let mut url = self.url("/v1/videos");
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(id);
        }
        read(send(self.client.get(url)).await?).await
    }

    /// Returns the videos that have not ended.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unfinished(&self) -> Result<Vec<VideoReply>, Error> {
        let mut found = Vec::new();
        for state in ["processing", "queued"] {
            let mut cursor = None;
            loop {
                let mut url = self.url("/v1/videos");
                url.query_pairs_mut().append_pair("state", state).append_pair("limit", "100").extend_pairs(cursor);
                let page: List<VideoReply> = read(send(self.client.get(url)).await?).await?;
                found.extend(page.items);
                match page.next {
                    Some(next) => cursor = Some(("cursor", next)),
                    None => break,
                }
            }
        }
        Ok(found)
    }

    /// Returns the finished clips of a video.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn clips(&self, id: &str) -> Result<Vec<ClipReply>, Error> {
        let path = format!("/v1/videos/{id}/clips");
        let list: List<ClipReply> = read(send(self.client.get(self.url(&path))).await?).await?;
        Ok(list.items)
    }

    /// Opens a video's events after the one with id `last`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn events(&self, id: &str, last: Option<&str>) -> Result<Response, Error> {
        let mut request = self.client.get(self.url(&format!("/v1/videos/{id}/events")));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        send(request).await
    }

    /// Opens a file that an answer linked to.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn file(&self, link: &str) -> Result<Response, Error> {
        send(self.client.get(self.url(link))).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        let base = self.server.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Error> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Err(Error::Unreachable(error.into())),
        Err(error) => return Err(Error::Broken(error.into())),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let refusal = response.json::<Refusal>().await.unwrap_or_else(|_| Refusal {
        status: status.as_u16(),
        code: "unknown".to_owned(),
        detail: format!("The server answered {status}; is it a spillway server?"),
    });
    Err(Error::Refused(refusal))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    response.json().await.map_err(|e| Error::Broken(anyhow::Error::new(e).context("read the answer")))
}
