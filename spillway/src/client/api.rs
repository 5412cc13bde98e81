//! The requests of the HTTP API.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::TryStreamExt;
use humantime::format_duration;
use pipeline::secret::Secret;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::fs::File;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::bytes::Bytes;
use tokio_util::io::ReaderStream;
use url::{Host, Url};

use super::reply::{ClipReply, VideoReply};

/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// How long a server may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take for an answer, and be silent within a file.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a server may take no bytes of an upload, and may take to make them all safe.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(120);

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
    patience: Patience,
}

/// How long a server may be silent.
#[derive(Clone, Copy)]
struct Patience {
    answer: Duration,
    upload: Duration,
}

impl Api {
    /// Prepares to talk to `server`, with the tenant's `key` if one is given; nothing is sent yet.
    ///
    /// # Errors
    /// When the client cannot be set up on this machine, or the key has characters that no key has.
    pub fn new(server: Url, key: Option<&Secret>) -> anyhow::Result<Self> {
        let mut client = reqwest::Client::builder().connect_timeout(CONNECT_PATIENCE);
        if let Some(key) = key {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.reveal())).context("read the key")?;
            value.set_sensitive(true);
            client = client.default_headers(HeaderMap::from_iter([(AUTHORIZATION, value)]));
        }
        if is_loopback(&server) {
            client = client.no_proxy(); // a proxy would look for the server on its own host
        }
        let patience = Patience { answer: ANSWER_PATIENCE, upload: UPLOAD_PATIENCE };
        Ok(Self { client: client.build().context("set up the HTTP client")?, server, patience })
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
        let (moved, mut moves) = watch::channel(());
        let bytes = ReaderStream::with_capacity(file, CHUNK_BYTES).inspect_ok(move |chunk| {
            sent(chunk.len() as u64);
            moved.send_replace(());
        });
        let request = self.client.request(Method::POST, url);
        let request = request.header(CONTENT_LENGTH, metadata.len()).header(CONTENT_TYPE, "application/octet-stream");
        let patience = self.patience.upload;
        let stalled = async {
            loop {
                match timeout(patience, moves.changed()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return tokio::time::sleep(patience).await, // all is sent; now for the answer
                    Err(_) => return,
                }
            }
        };
        let answer = async { judge(request.body(Body::wrap_stream(bytes)).send().await).await };
        tokio::select! {
            answer = answer => self.read(answer?).await,
            () = stalled => Err(Error::Broken(anyhow!("the server took nothing for {}", format_duration(patience)))),
        }
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
        self.ask(self.client.post(url).json(&serde_json::json!({ "url": video }))).await
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
        self.ask(self.client.get(url)).await
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
                let page: List<VideoReply> = self.ask(self.client.get(url)).await?;
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
        let list: List<ClipReply> = self.ask(self.client.get(self.url(&path))).await?;
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
        self.open(request).await
    }

    /// Opens a file that an answer linked to.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn file(&self, link: &str) -> Result<Response, Error> {
        self.open(self.client.get(self.url(link))).await
    }

    /// Waits for the next bytes of an open file; nothing at its end.
    ///
    /// # Errors
    /// When the file broke off, or the server is silent.
    pub async fn next_bytes(&self, file: &mut Response) -> Result<Option<Bytes>, Error> {
        let next = timeout(self.patience.answer, file.chunk()).await.map_err(|_| self.silent())?;
        next.map_err(|e| Error::Broken(e.into()))
    }

    /// Sends a request, and waits for the head of its answer.
    async fn open(&self, request: RequestBuilder) -> Result<Response, Error> {
        timeout(self.patience.answer, async { judge(request.send().await).await }).await.map_err(|_| self.silent())?
    }

    /// Sends a request, and reads its answer.
    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        self.read(self.open(request).await?).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T, Error> {
        let answer = timeout(self.patience.answer, response.json()).await.map_err(|_| self.silent())?;
        answer.map_err(|e| Error::Broken(anyhow::Error::new(e).context("read the answer")))
    }

    /// Says that a connection was accepted and nothing came of it.
    fn silent(&self) -> Error {
        Error::Unreachable(anyhow!("no answer for {}", format_duration(self.patience.answer)))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.server.clone();
        let base = self.server.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }
}

/// Tells a refusal, and a server that is not there, from an answer.
async fn judge(answer: Result<Response, reqwest::Error>) -> Result<Response, Error> {
    let response = match answer {
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

/// Says whether `server` is this machine.
fn is_loopback(server: &Url) -> bool {
    match server.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests;
