//! What every blob store must do, written once: a folder and a bucket of a real S3 server run all of it.

mod cases;
mod faulty;
mod refused;

use std::time::Duration;

use pipeline::blob::{Blobs, Bucket, Location};
use pipeline::id::{TenantId, VideoId};
use tempfile::TempDir;
use testing::s3::{Access, s3};
use uuid::Uuid;

/// An empty blob store.
pub struct Home {
    pub blobs: Blobs,
    place: Place,
}

enum Place {
    Folder(TempDir),
    Bucket(Access, String),
}

impl Home {
    async fn folder() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = Blobs::open(&Location::Folder(folder.path().to_owned())).expect("open the blob folder");
        Self { blobs, place: Place::Folder(folder) }
    }

    async fn bucket() -> Self {
        let (access, name) = (s3(), format!("b{}", Uuid::new_v4().simple()));
        access.make_bucket(&name).await.expect("a bucket");
        let blobs = Blobs::open_bucket(&bucket(&name, access.variables())).expect("open the bucket");
        blobs.check().await.expect("the bucket can be used");
        Self { blobs, place: Place::Bucket(access, name) }
    }

    /// Says whether nothing is left: no object, and nothing of an upload.
    async fn is_empty(&self) -> bool {
        match &self.place {
            Place::Folder(folder) => std::fs::read_dir(folder.path()).expect("list a folder").next().is_none(),
            Place::Bucket(access, name) => {
                !access.has_parts(name).await.expect("list parts") && !self.has_objects().await
            }
        }
    }

    /// Says whether any object is listed. Not whether any folder is: this server goes on listing empty ones for a while.
    async fn has_objects(&self) -> bool {
        for tenant in self.blobs.tenants().await.unwrap() {
            for video in self.blobs.videos(&tenant).await.unwrap() {
                if !self.blobs.objects(&tenant, video).await.unwrap().is_empty() {
                    return true;
                }
            }
        }
        false
    }
}

fn bucket(name: &str, variables: Vec<(String, String)>) -> Bucket {
    Bucket { name: name.to_owned(), prefix: "deep/down".to_owned(), variables, patience: Duration::from_secs(1) }
}

fn video() -> (TenantId, VideoId) {
    (TenantId::default_tenant(), VideoId::random())
}

/// Runs every case over the store that `$home` makes.
macro_rules! suite {
    ($home:ident: $($case:ident),+ $(,)?) => {
        mod $home {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::cases::$case(&super::Home::$home().await).await;
                }
            )+
        }
    };
    ($home:ident) => {
        suite!($home:
            objects_are_read_back_whole_and_by_range,
            objects_are_replaced_whole,
            what_is_missing_is_told_from_other_trouble,
            reader_tells_what_became_of_its_object,
            uploads_of_any_length_show_nothing_until_they_are_finished,
            aborted_and_dropped_uploads_leave_nothing,
            uploads_whose_process_died_are_removed_once_they_are_old,
            removing_takes_what_was_named_and_nothing_else,
            what_is_there_is_listed,
        );
    };
}

suite!(folder);
suite!(bucket);
