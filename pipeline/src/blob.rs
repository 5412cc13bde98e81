//! The blob store: sources, segments, clips, in a local folder or S3, under `tenant/video/kind/id`.

mod args;
mod bucket;
mod reader;
mod uploads;
mod walk;

pub use args::{BlobArgs, Location};
pub use bucket::Bucket;
pub use reader::Reader;
pub use walk::Object;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tracing::warn;

use self::uploads::Uploads;
use crate::event::BlobRef;
use crate::failure::Failure;
use crate::id::{TenantId, VideoId};

/// What kind of object a key names; each has its own life, see `docs/operations.md`.
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
    /// Set where objects are files.
    folder: Option<Arc<std::path::Path>>,
    /// Set where they are in a bucket.
    uploads: Option<Uploads>,
}

fn open_folder(path: &std::path::Path) -> anyhow::Result<Blobs> {
    std::fs::create_dir_all(path)?;
    // Files, and the folders that name them, are on disk before a write is said to be done. An empty folder goes
    // with its last file.
    let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(true).with_automatic_cleanup(true);
    Ok(Blobs { objects: Arc::new(objects), folder: Some(path.into()), uploads: None })
}

impl Blobs {
    /// Opens the store at `location`, making a folder that is missing. Whether a bucket can be used shows later.
    ///
    /// # Errors
    /// When the folder cannot be made or opened, or the `AWS_*` variables say nothing sensible.
    pub fn open(location: &Location) -> anyhow::Result<Self> {
        match location {
            Location::Folder(path) => open_folder(path).with_context(|| format!("open the blob folder {location}")),
            Location::S3 { bucket, prefix } => Self::open_bucket(&Bucket::from_environment(bucket, prefix)),
        }
    }

    /// Opens the store in a bucket.
    ///
    /// # Errors
    /// When its variables say nothing sensible.
    pub fn open_bucket(bucket: &Bucket) -> anyhow::Result<Self> {
        let (objects, uploads) = bucket.open().with_context(|| format!("open the blob store {bucket}"))?;
        Ok(Self { objects, folder: None, uploads: Some(uploads) })
    }

    /// Opens the store that `args` name and sees that it can be used.
    ///
    /// # Errors
    /// One line: the folder cannot be made, the bucket is missing, the keys are refused, nobody answers.
    pub async fn connect(args: &BlobArgs) -> anyhow::Result<Self> {
        let location = &args.blobs;
        let blobs = match location {
            Location::Folder(_) => Self::open(location)?,
            Location::S3 { bucket, prefix } => {
                let patience = args.s3_patience;
                Self::open_bucket(&Bucket { patience, ..Bucket::from_environment(bucket, prefix) })?
            }
        };
        blobs.check().await.with_context(|| format!("reach the blob store {location}"))?;
        Ok(blobs)
    }

    /// Sees that the store is there and lets us in.
    ///
    /// # Errors
    /// One line: the bucket is missing, the keys are refused, nobody answers.
    pub async fn check(&self) -> anyhow::Result<()> {
        match self.folder {
            Some(_) => Ok(self.ping().await?),
            None => bucket::check(&self.objects).await,
        }
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
        Ok(Upload { key: key.to_owned(), parts: Some(parts), folder: self.folder.clone(), bytes: 0 })
    }

    /// Returns how many bytes each part of an [`Upload`] but the last has: small, because many uploads hold one each
    /// in memory, and as large as a bucket wants them.
    pub fn part_bytes(&self) -> usize {
        if self.folder.is_some() { 256 << 10 } else { 8 << 20 }
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

    /// Asks whether the store answers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ping(&self) -> Result<(), Error> {
        if let Some(folder) = &self.folder
            && let Err(error) = tokio::fs::metadata(folder).await
        {
            return Err(Error::Unavailable(anyhow::Error::new(error).context("find the blob folder")));
        }
        match self.size("ping").await {
            Ok(_) | Err(Error::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
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
        if let Some(folder) = &self.folder {
            return remove_folder(folder, folder.join(prefix)).await;
        }
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
        Reader::new(self.objects.clone(), blob)
    }
}

/// Removes a folder with all that is in it, also what uploads that never ended left: no list shows that.
async fn remove_folder(root: &std::path::Path, path: PathBuf) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::Unavailable(error.into())),
        _ => {}
    }
    remove_empty_above(root, path).await;
    Ok(())
}

/// Removes the folders above `path`, up to `root`, as long as they are empty.
async fn remove_empty_above(root: &std::path::Path, mut path: PathBuf) {
    while path.pop() && path != root && path.starts_with(root) {
        if tokio::fs::remove_dir(&path).await.is_err() {
            return;
        }
    }
}

/// An object being stored piece by piece. Dropped without [`Upload::finish`] it is given up.
pub struct Upload {
    key: String,
    /// Taken once it is finished or given up.
    parts: Option<Box<dyn MultipartUpload>>,
    folder: Option<Arc<std::path::Path>>,
    bytes: u64,
}

impl Upload {
    /// Adds one part. Each but the last has [`Blobs::part_bytes`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn write(&mut self, part: Bytes) -> Result<(), Error> {
        let Some(parts) = &mut self.parts else { return Err(Error::NotFound) };
        self.bytes += part.len() as u64;
        Ok(parts.put_part(PutPayload::from(part)).await?)
    }

    /// Makes the object visible; durable when it returns.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn finish(mut self) -> Result<BlobRef, Error> {
        let Some(parts) = &mut self.parts else { return Err(Error::NotFound) };
        parts.complete().await?;
        self.parts = None;
        Ok(BlobRef { key: std::mem::take(&mut self.key), bytes: self.bytes })
    }

    /// Gives the object up and frees its parts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn abort(mut self) -> Result<(), Error> {
        match self.parts.take() {
            Some(parts) => give_up(parts, self.folder.take(), std::mem::take(&mut self.key)).await,
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // A client that goes away drops its request and this with it: the parts are freed all the same.
        if let (Some(parts), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) {
            let (folder, key) = (self.folder.take(), std::mem::take(&mut self.key));
            runtime.spawn(async move {
                if let Err(error) = give_up(parts, folder, key).await {
                    warn!(error = %format!("{:#}", anyhow::Error::new(error)), "parts of a dropped upload stay behind");
                }
            });
        }
    }
}

async fn give_up(
    mut parts: Box<dyn MultipartUpload>,
    folder: Option<Arc<std::path::Path>>,
    key: String,
) -> Result<(), Error> {
    parts.abort().await?;
    if let Some(root) = folder {
        remove_empty_above(&root, root.join(Path::from(key).as_ref())).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
