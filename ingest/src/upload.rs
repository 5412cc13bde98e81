//! Takes a body of any length into the blob store with constant memory.

use std::error::Error;
use std::io;

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use bytes::BytesMut;
use futures::{Stream, StreamExt};
use pipeline::blob::{self, Blobs};
use pipeline::event::BlobRef;
use pipeline::failure::Code;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

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
    E: Error + 'static,
{
    let mut writer = Writer::new(target);
    let mut hasher = hashed.then(Sha256::new);
    let result = read_all(limits, &mut body, &mut writer, &mut hasher).await;
    match result {
        Ok(()) => Ok(Received { blob: writer.finish().await?, sha256: hasher.map(|h| h.finalize().into()) }),
        Err(problem) => {
            writer.abort().await;
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
    E: Error + 'static,
{
    let end = Instant::now() + limits.upload_total;
    let mut bytes = 0u64;
    loop {
        let patience = end.min(Instant::now() + limits.upload_idle);
        let chunk = timeout_at(patience, body.next()).await.map_err(|_| timed_out())?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|e| match cause(&e) {
            Some(io::ErrorKind::TimedOut) => timed_out(),
            _ => broken_off(&e, &format!("after {bytes} bytes")),
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

/// Refuses a body whose stated length is over the limit before any of it is read. `beside` is how many bytes it may
/// have beside the upload.
///
/// # Errors
/// When it is.
pub fn check_length(limits: &Limits, content_length: Option<u64>, beside: u64) -> Result<(), Problem> {
    let most = limits.max_upload_bytes.saturating_add(beside);
    if content_length.is_some_and(|length| length > most) { Err(too_large(limits)) } else { Ok(()) }
}

/// Returns what kind of I/O error made a body end early, if that is what is beneath `error`.
fn cause(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Says that the bytes did not come in time.
pub fn timed_out() -> Problem {
    Problem::new(Kind::UploadTimeout, "No bytes came for too long, or the upload took too long; send it again.")
}

/// Says that the bytes broke off; `place` is where, such as `after 5 bytes`.
fn broken_off(error: &dyn Error, place: &str) -> Problem {
    let detail = format!("The upload broke off {place} ({}); send it again.", shorten(&error.to_string()));
    Problem::new(Kind::UploadInterrupted, detail)
}

fn too_large(limits: &Limits) -> Problem {
    let detail = format!("{} The limit is {} bytes.", Code::TooLarge.message(), limits.max_upload_bytes);
    Problem::new(Kind::TooLarge, detail)
}

impl From<MultipartError> for Problem {
    fn from(error: MultipartError) -> Self {
        match cause(&error) {
            Some(io::ErrorKind::TimedOut) => timed_out(),
            Some(io::ErrorKind::ConnectionAborted) => broken_off(&error, "within the form"),
            _ => Self::new(Kind::MalformedRequest, format!("The form cannot be read: {}", shorten(&error.body_text()))),
        }
    }
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
