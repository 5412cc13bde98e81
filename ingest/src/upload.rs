//! Takes a body of any length into the blob store with constant memory.

use std::fmt::Display;

use axum::body::Bytes;
use bytes::BytesMut;
use futures::{Stream, StreamExt};
use pipeline::blob::{self, Blobs};
use pipeline::event::BlobRef;
use pipeline::failure::Code;
use sha2::{Digest, Sha256};
use tokio::time::{Duration, Instant, timeout_at};

use crate::app::Limits;
use crate::metrics;
use crate::problem::{Kind, Problem, shorten};

/// What is done with the bytes.
pub enum Target<'a> {
    /// They are stored under this key.
    Store(&'a Blobs, String),
    /// They are only looked at: the same request was accepted before.
    Discard,
}

/// What came.
pub struct Received {
    /// The stored object, unless it was discarded.
    pub blob: Option<BlobRef>,
    /// SHA-256 of the bytes, if it was asked for.
    pub sha256: Option<[u8; 32]>,
}

/// Reads `body` to its end. Whatever goes wrong, nothing of it stays in the blob store.
///
/// # Errors
/// An empty, too large, too slow or broken upload, or a blob store that is full or away.
pub async fn receive<S, E>(limits: &Limits, target: Target<'_>, hashed: bool, mut body: S) -> Result<Received, Problem>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let mut writer = Writer::new(target);
    let mut hasher = hashed.then(Sha256::new);
    let result = read_all(limits, &mut body, &mut writer, &mut hasher).await;
    match result {
        Ok(()) => Ok(Received { blob: writer.finish().await?, sha256: hasher.map(|h| h.finalize().into()) }),
        Err(problem) => {
            writer.abort().await;
            if !matches!(problem.kind(), Kind::UploadTimeout | Kind::UploadInterrupted) {
                linger(&mut body).await;
            }
            Err(problem)
        }
    }
}

async fn read_all<S, E>(
    limits: &Limits,
    body: &mut S,
    writer: &mut Writer<'_>,
    hasher: &mut Option<Sha256>,
) -> Result<(), Problem>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Display,
{
    let end = Instant::now() + limits.upload_total;
    let mut bytes = 0u64;
    loop {
        let patience = end.min(Instant::now() + limits.upload_idle);
        let chunk = timeout_at(patience, body.next()).await.map_err(|_| timed_out())?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|e| {
            let detail = format!("The upload broke off after {bytes} bytes: {}", shorten(&e.to_string()));
            Problem::new(Kind::UploadInterrupted, detail)
        })?;
        bytes += chunk.len() as u64;
        metrics::upload_bytes(chunk.len());
        if bytes > limits.max_upload_bytes {
            return Err(too_large(limits));
        }
        if let Some(hasher) = hasher {
            hasher.update(&chunk);
        }
        writer.write(chunk).await?;
    }
    if bytes == 0 {
        return Err(Problem::new(Kind::EmptyFile, Code::EmptyFile.message()));
    }
    Ok(())
}

/// Refuses an upload whose stated length is over the limit before any of it is read.
///
/// # Errors
/// When it is.
pub async fn check_length<S: Stream + Unpin>(
    limits: &Limits,
    content_length: Option<u64>,
    body: &mut S,
) -> Result<(), Problem> {
    if content_length.is_some_and(|length| length > limits.max_upload_bytes) {
        linger(body).await;
        return Err(too_large(limits));
    }
    Ok(())
}

/// Says that the bytes did not come in time.
pub fn timed_out() -> Problem {
    Problem::new(Kind::UploadTimeout, "No bytes came for too long, or the upload took too long; send it again.")
}

fn too_large(limits: &Limits) -> Problem {
    let detail = format!("{} The limit is {} bytes.", Code::TooLarge.message(), limits.max_upload_bytes);
    Problem::new(Kind::TooLarge, detail)
}

/// Reads on for a moment without keeping anything: an answer followed by a close with bytes unread resets the
/// connection, and then the caller would never see why it was refused.
async fn linger<S: Stream + Unpin>(body: &mut S) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let end = Instant::now() + PATIENCE;
    while let Ok(Some(_)) = timeout_at(end, body.next()).await {}
}

/// Gathers chunks into parts and stores them.
struct Writer<'a> {
    target: Target<'a>,
    upload: Option<blob::Upload>,
    part: BytesMut,
}

impl<'a> Writer<'a> {
    fn new(target: Target<'a>) -> Self {
        Self { target, upload: None, part: BytesMut::new() }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Problem> {
        let Target::Store(blobs, _) = &self.target else { return Ok(()) };
        let part_bytes = blobs.part_bytes();
        let mut rest = chunk;
        while !rest.is_empty() {
            if self.part.is_empty() {
                self.part.reserve(part_bytes); // at once: growing by doubling would leave twice as much behind
            }
            let taken = rest.split_to(rest.len().min(part_bytes - self.part.len()));
            self.part.extend_from_slice(&taken);
            if self.part.len() == part_bytes {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Problem> {
        let Target::Store(blobs, key) = &self.target else { return Ok(()) };
        if self.upload.is_none() {
            self.upload = Some(blobs.upload(key).await?);
        }
        if let Some(upload) = &mut self.upload {
            upload.write(self.part.split().freeze()).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Option<BlobRef>, Problem> {
        if !self.part.is_empty()
            && let Err(problem) = self.flush().await
        {
            self.abort().await;
            return Err(problem);
        }
        match self.upload {
            Some(upload) => Ok(Some(upload.finish().await?)),
            None => Ok(None),
        }
    }

    /// Frees what was stored so far. When that fails too the sweep removes it later.
    async fn abort(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(error = %format_args!("{:#}", anyhow::Error::from(error)), "unfinished upload not removed");
        }
    }
}
