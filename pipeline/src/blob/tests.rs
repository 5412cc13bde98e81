use std::path::Path as FilePath;

use super::*;

fn open(folder: &FilePath) -> Blobs {
    Blobs::open(&Location::Folder(folder.to_owned())).expect("open the blob folder")
}

#[tokio::test]
async fn removing_a_video_takes_unfinished_uploads_along() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(folder.path());
    let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
    blobs.put(&key(&tenant, video, Kind::Source, "original"), Bytes::from_static(b"x")).await.unwrap();
    // What a process that was killed leaves behind.
    let staged = folder.path().join(format!("{tenant}/{video}/source/original#1"));
    std::fs::write(&staged, b"half").unwrap();
    blobs.remove_video(&tenant, video).await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn no_key_leads_out_of_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("blobs");
    let blobs = open(&root);
    let hostile = ["../outside", "a/../../outside", "/etc/outside", "a/./b", "a//b", "a\\..\\b", "x#1", "nul\0"];
    for key in hostile {
        blobs.put(key, Bytes::from_static(b"x")).await.ok();
    }
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
    assert!(!FilePath::new("/etc/outside").exists());
}

#[test]
fn a_full_disk_is_told_from_other_trouble() {
    let wrapped = |error: io::Error| object_store::Error::Generic { store: "test", source: Box::new(error) };
    let full = std::fs::write("/dev/full", b"x").expect_err("the device takes nothing");
    assert!(matches!(Error::from(wrapped(full)), Error::Full));
    assert!(matches!(Error::from(wrapped(io::ErrorKind::PermissionDenied.into())), Error::Unavailable(_)));
}
