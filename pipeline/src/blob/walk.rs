//! Walks over what is there, for whoever removes what nothing needs any more.

use std::io;
use std::path::Path as FilePath;

use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{Blobs, Error};
use crate::id::{TenantId, VideoId};

/// An object that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// When it was written.
    pub modified_at: Timestamp,
}

impl Blobs {
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
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_unfinished(&self, before: Timestamp) -> Result<(), Error> {
        if let Some(uploads) = &self.uploads {
            return uploads.give_up(before).await.map_err(Error::Unavailable);
        }
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        let removed = tokio::task::spawn_blocking(move || remove_stale(&folder, before.into())).await;
        removed.map_err(io::Error::other).flatten().map_err(|error| Error::Unavailable(error.into()))
    }
}

/// Removes files that are still under the name of an unfinished upload (`name#1`) and folders that are empty, both
/// untouched since `before`. What vanishes meanwhile is somebody else's doing and fine.
fn remove_stale(folder: &FilePath, before: std::time::SystemTime) -> io::Result<()> {
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

fn is_unfinished(path: &FilePath) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.rsplit_once('#').is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::{Kind, Location, key};
    use super::*;

    #[tokio::test]
    async fn an_upload_shows_only_when_finished_and_stale_ones_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Location::Folder(folder.path().into())).expect("a store");
        let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
        let mut upload = blobs.upload(&key(&tenant, video, Kind::Source, "a")).await.expect("begins");
        upload.write(Bytes::from_static(b"abc")).await.expect("writes");
        assert_eq!(blobs.objects(&tenant, video).await.expect("lists"), []);
        blobs.remove_unfinished(Timestamp::UNIX_EPOCH).await.expect("keeps what is young");
        assert_eq!(blobs.videos(&tenant).await.expect("lists"), [video]);
        blobs.remove_unfinished(Timestamp::now() + jiff::SignedDuration::from_secs(60)).await.expect("removes");
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
