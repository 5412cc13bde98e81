//! The blob store: sources, segments, clips, in a local folder or S3, under `tenant/video/kind/id`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use crate::event::BlobRef;
use crate::failure::Failure;
use crate::id::{TenantId, VideoId};

/// What kind of object a key names; each has its own life, see `sweep` in `docs/operations.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The video as it came.
    Source,
    /// A piece of it on its way to a worker.
    Segment,
    /// What a worker found in a piece.
    Result,
    /// What was found in a window, as JSON.
    Analysis,
    /// A clip's files.
    Clip,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Segment => "segment",
            Self::Result => "result",
            Self::Analysis => "analysis",
            Self::Clip => "clip",
        }
    }
}

/// Returns the key of the object `id` of `kind` that belongs to `video`.
pub fn key(tenant: &TenantId, video: VideoId, kind: Kind, id: &str) -> String {
    format!("{tenant}/{video}/{}/{id}", kind.as_str())
}

/// Where blobs are kept: a folder of this host, or `s3://bucket/prefix`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// A folder; serves one host.
    Folder(PathBuf),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("give the path of a folder".to_owned());
        }
        Ok(Self::Folder(text.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

/// Why the blob store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("no such object")]
    NotFound,
    /// No room is left.
    #[error("no space left for blobs")]
    Full,
    /// It cannot be reached, or answers with an error.
    #[error("blob store unavailable")]
    Unavailable(#[source] anyhow::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::Retry(error.into()),
            Error::Full | Error::Unavailable(_) => Self::Unavailable(error.into()),
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        if matches!(error, object_store::Error::NotFound { .. }) {
            return Self::NotFound;
        }
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(current) = cause {
            let full =
                |e: &io::Error| e.kind() == io::ErrorKind::StorageFull || e.kind() == io::ErrorKind::QuotaExceeded;
            if current.downcast_ref::<io::Error>().is_some_and(full) {
                return Self::Full;
            }
            cause = current.source();
        }
        Self::Unavailable(error.into())
    }
}

/// The blob store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    folder: Arc<std::path::Path>,
}

/// An object that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// When it was written.
    pub modified_at: Timestamp,
}

impl Blobs {
    /// Opens the store at `location`, making the folder if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made or opened.
    pub fn open(location: &Location) -> anyhow::Result<Self> {
        let Location::Folder(path) = location;
        std::fs::create_dir_all(path)?;
        // Without fsync a 2xx would not survive a power cut; without clean-up each removed video leaves its folders.
        let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Arc::new(objects), folder: path.canonicalize()?.into() })
    }

    /// Stores `bytes` under `key`, in place of what was there; durable when it returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<BlobRef, Error> {
        let length = bytes.len() as u64;
        self.objects.put(&Path::from(key), bytes.into()).await?;
        Ok(BlobRef { key: key.to_owned(), bytes: length })
    }

    /// Begins to store an object of unknown length under `key`. Nothing is visible until it is finished.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn upload(&self, key: &str) -> Result<Upload, Error> {
        let parts = self.objects.put_multipart(&Path::from(key)).await?;
        Ok(Upload { key: key.to_owned(), parts, bytes: 0 })
    }

    /// Returns how many bytes a part of an [`Upload`] should have: many uploads hold one each in memory.
    pub fn part_bytes(&self) -> usize {
        512 << 10
    }

    /// Reads the whole object; for small ones.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        Ok(self.objects.get(&Path::from(key)).await?.bytes().await?)
    }

    /// Reads the bytes `range` of the object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes, Error> {
        Ok(self.objects.get_range(&Path::from(key), range).await?)
    }

    /// Returns the length of the object in bytes.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn size(&self, key: &str) -> Result<u64, Error> {
        Ok(self.objects.head(&Path::from(key)).await?.size)
    }

    /// Removes one object; it may be gone already.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        match self.objects.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the tenants that have objects.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let listed = self.objects.list_with_delimiter(None).await?;
        Ok(listed.common_prefixes.iter().filter_map(|p| p.filename()?.parse().ok()).collect())
    }

    /// Returns the videos of `tenant` that have objects.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn videos(&self, tenant: &TenantId) -> Result<Vec<VideoId>, Error> {
        let listed = self.objects.list_with_delimiter(Some(&Path::from(tenant.as_str()))).await?;
        Ok(listed.common_prefixes.iter().filter_map(|p| p.filename()?.parse().ok()).collect())
    }

    /// Returns every object of `video`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn objects(&self, tenant: &TenantId, video: VideoId) -> Result<Vec<Object>, Error> {
        let prefix = Path::from(format!("{tenant}/{video}"));
        let listed: Vec<_> = self.objects.list(Some(&prefix)).try_collect().await?;
        let modified = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
        let object = |meta: object_store::ObjectMeta| Object {
            modified_at: modified(meta.last_modified.timestamp_millis()),
            key: meta.location.into(),
        };
        Ok(listed.into_iter().map(object).collect())
    }

    /// Removes uploads begun before `before` and never finished (their process died), and folders left empty since.
    /// Blocks: to be called where that is allowed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn remove_unfinished(&self, before: Timestamp) -> io::Result<()> {
        remove_stale(&self.folder, before.into())
    }

    /// Removes every object of `video`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_video(&self, tenant: &TenantId, video: VideoId) -> Result<(), Error> {
        self.remove_under(&format!("{tenant}/{video}")).await
    }

    /// Removes every object of one `kind` of `video`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_kind(&self, tenant: &TenantId, video: VideoId, kind: Kind) -> Result<(), Error> {
        self.remove_under(&format!("{tenant}/{video}/{}", kind.as_str())).await
    }

    async fn remove_under(&self, prefix: &str) -> Result<(), Error> {
        let mut found = self.objects.list(Some(&Path::from(prefix)));
        while let Some(object) = found.try_next().await? {
            match self.objects.delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Opens the object for reading by range from a thread that may block (never from an async task).
    ///
    /// # Panics
    /// When called outside a tokio runtime.
    pub fn reader(&self, blob: &BlobRef) -> Reader {
        Reader {
            objects: self.objects.clone(),
            path: Path::from(blob.key.as_str()),
            length: blob.bytes,
            at: 0,
            window: Bytes::new(),
            window_start: 0,
            runtime: tokio::runtime::Handle::current(),
        }
    }
}

/// Removes files that are still under the name of an unfinished upload (`name#1`) and folders that are empty, both
/// untouched since `before`. What vanishes meanwhile is somebody else's doing and fine.
fn remove_stale(folder: &std::path::Path, before: std::time::SystemTime) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        let is_stale = metadata.modified()? < before;
        let path = entry.path();
        if metadata.is_dir() {
            match remove_stale(&path, before) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ if is_stale => drop(std::fs::remove_dir(&path)), // refuses unless it is empty
                _ => {}
            }
        } else if is_stale && is_unfinished(&path) {
            drop(std::fs::remove_file(&path));
        }
    }
    Ok(())
}

fn is_unfinished(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// An object being stored piece by piece. Dropped without [`Upload::finish`] it leaves nothing visible.
pub struct Upload {
    key: String,
    parts: Box<dyn MultipartUpload>,
    bytes: u64,
}

impl Upload {
    /// Adds one part. All parts but the last have [`Blobs::part_bytes`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn write(&mut self, part: Bytes) -> Result<(), Error> {
        self.bytes += part.len() as u64;
        Ok(self.parts.put_part(PutPayload::from(part)).await?)
    }

    /// Makes the object visible; durable when it returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn finish(mut self) -> Result<BlobRef, Error> {
        self.parts.complete().await?;
        Ok(BlobRef { key: self.key, bytes: self.bytes })
    }

    /// Gives the object up and frees its parts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn abort(mut self) -> Result<(), Error> {
        Ok(self.parts.abort().await?)
    }
}

/// How much a [`Reader`] fetches at once, in bytes.
const WINDOW: u64 = 1 << 20;

/// Reads an object by range, a window at a time; blocks the calling thread.
pub struct Reader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    length: u64,
    at: u64,
    window: Bytes,
    window_start: u64,
    runtime: tokio::runtime::Handle,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let inside = self.window_start..self.window_start + self.window.len() as u64;
        if !inside.contains(&self.at) {
            let range = self.at..(self.at + WINDOW).min(self.length);
            self.window = self.runtime.block_on(self.objects.get_range(&self.path, range)).map_err(io::Error::other)?;
            self.window_start = self.at;
        }
        let rest = &self.window[(self.at - self.window_start) as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl io::Seek for Reader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(n) => Some(n),
            io::SeekFrom::End(n) => self.length.checked_add_signed(n),
            io::SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_shows_only_when_finished_and_stale_ones_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Location::Folder(folder.path().into())).expect("a store");
        let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
        let mut upload = blobs.upload(&key(&tenant, video, Kind::Source, "a")).await.expect("begins");
        upload.write(Bytes::from_static(b"abc")).await.expect("writes");
        assert_eq!(blobs.objects(&tenant, video).await.expect("lists"), []);
        blobs.remove_unfinished(Timestamp::UNIX_EPOCH).expect("keeps what is young");
        assert_eq!(blobs.videos(&tenant).await.expect("lists"), [video]);
        blobs.remove_unfinished(Timestamp::now() + jiff::SignedDuration::from_secs(60)).expect("removes");
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0);
        assert!(upload.finish().await.is_err());
    }

    #[tokio::test]
    async fn removing_an_object_twice_is_fine_and_leaves_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Location::Folder(folder.path().into())).expect("a store");
        let key = key(&TenantId::default_tenant(), VideoId::random(), Kind::Clip, "a");
        blobs.put(&key, Bytes::from_static(b"abc")).await.expect("stores");
        blobs.remove(&key).await.expect("removes");
        blobs.remove(&key).await.expect("is gone already");
        assert_eq!(blobs.tenants().await.expect("lists"), []);
    }
}
