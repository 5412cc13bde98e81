//! Fetches a URL that a user gave: by our own client only, to addresses that were checked.
//!
//! Each hop's host is resolved here, every address it has is checked, and the connection is pinned to them, so
//! that a name cannot mean another address a moment later. Redirects are followed by hand, through the same gate.

mod address;
mod gate;

pub use gate::{Gate, Resolve};

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::{Bytes, BytesMut};
use pipeline::blob::Upload;
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Pulse;
use reqwest::{Client, Response, StatusCode, header};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

/// How many redirects are followed.
const MAX_REDIRECTS: usize = 3;

/// How long resolving a name and connecting may take, each.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes are collected before they are stored, which bounds memory.
const PART_BYTES: usize = 8 << 20;

/// What a download may do.
pub(crate) struct Policy {
    /// Whom it may ask.
    pub gate: Gate,
    /// The most bytes.
    pub max_bytes: u64,
    /// The longest time in all.
    pub total: Duration,
    /// The longest time without a byte.
    pub idle: Duration,
}

/// Fetches `url` into `upload`, which the caller finishes or aborts.
///
/// # Errors
/// [`Failure::Reject`] with a code of its own for what will not change; [`Failure::Retry`] for what may: a network
/// that fails, a server that is busy.
pub(crate) async fn download(url: &str, policy: &Policy, upload: &mut Upload, pulse: &Pulse) -> Result<(), Failure> {
    let deadline = Instant::now() + policy.total;
    let stopped = pulse.stop().cancelled();
    tokio::select! {
        fetched = timeout_at(deadline, fetch(url, policy, upload, pulse)) => {
            fetched.unwrap_or_else(|_| Err(reject(Code::UrlTimeout, "not done in the time allowed")))
        }
        () = stopped => Err(pipeline::outbox::Stopped.into()),
    }
}

async fn fetch(url: &str, policy: &Policy, upload: &mut Upload, pulse: &Pulse) -> Result<(), Failure> {
    let mut url = Url::parse(url).map_err(|error| Failure::reject(Code::UrlRefused, error))?;
    for _ in 0..=MAX_REDIRECTS {
        pulse.beat()?;
        let response = request(&url, policy).await?;
        match redirect(&url, &response)? {
            Some(target) => url = target,
            None => return store(check(response, policy)?, policy, upload, pulse).await,
        }
    }
    Err(reject(Code::UrlRedirects, "a fourth redirect"))
}

/// What may pass; if it does not, the user is told that the URL failed.
fn retry(error: anyhow::Error) -> Failure {
    Failure::Retry(error.context(Code::UrlFailed))
}

fn reject(code: Code, what: impl std::fmt::Display) -> Failure {
    Failure::reject(code, anyhow!("{what}"))
}

/// Asks for `url` at addresses that were checked.
async fn request(url: &Url, policy: &Policy) -> Result<Response, Failure> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(reject(Code::UrlRefused, format_args!("the scheme {} is not admitted", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(reject(Code::UrlRefused, "a URL with a name or password in it is not admitted"));
    }
    let addresses = policy.gate.addresses(url).await?;
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("spillway/", env!("CARGO_PKG_VERSION")))
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .context("prepare HTTP client")
        .map_err(Failure::Retry)?;
    let asked = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity").send();
    match timeout(policy.idle, asked).await {
        Ok(answered) => answered.map_err(|error| retry(anyhow::Error::new(error.without_url()).context("ask"))),
        Err(elapsed) => Err(Failure::reject(Code::UrlTimeout, elapsed)),
    }
}

/// Returns where `response` leads, if it is a redirect.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    use StatusCode as S;
    let moved = [S::MOVED_PERMANENTLY, S::FOUND, S::SEE_OTHER, S::TEMPORARY_REDIRECT, S::PERMANENT_REDIRECT];
    if !moved.contains(&response.status()) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| from.join(location).ok());
    target.map(Some).ok_or_else(|| reject(Code::UrlFailed, "a redirect leads nowhere"))
}

/// Refuses an answer that cannot be a video.
fn check(response: Response, policy: &Policy) -> Result<Response, Failure> {
    let status = response.status();
    if status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) {
        return Err(retry(anyhow!("the server answered {status}")));
    }
    if status.is_client_error() {
        return Err(reject(Code::UrlNotFound, format_args!("the server answered {status}")));
    }
    if status != StatusCode::OK {
        return Err(reject(Code::UrlFailed, format_args!("the server answered {status}")));
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
        return Err(reject(Code::UrlNotFound, "the server answered with a web page"));
    }
    if response.content_length().is_some_and(|length| length > policy.max_bytes) {
        return Err(reject(Code::TooLarge, "the server announces more bytes than are admitted"));
    }
    Ok(response)
}

/// Stores the body part by part.
async fn store(mut response: Response, policy: &Policy, upload: &mut Upload, pulse: &Pulse) -> Result<(), Failure> {
    let mut seen: u64 = 0;
    let mut part = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut response, policy).await? {
        pulse.beat()?;
        seen += chunk.len() as u64;
        if seen > policy.max_bytes {
            return Err(reject(Code::TooLarge, format_args!("more than {} bytes", policy.max_bytes)));
        }
        part.extend_from_slice(&chunk);
        if part.len() >= PART_BYTES {
            upload.write(part.split().freeze()).await?;
        }
    }
    Ok(upload.write(part.freeze()).await?)
}

async fn next_chunk(response: &mut Response, policy: &Policy) -> Result<Option<Bytes>, Failure> {
    match timeout(policy.idle, response.chunk()).await {
        Ok(read) => read.map_err(|error| retry(anyhow::Error::new(error.without_url()).context("read body"))),
        Err(elapsed) => Err(Failure::reject(Code::UrlTimeout, elapsed)),
    }
}
