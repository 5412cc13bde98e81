use std::io::{Read, Seek, SeekFrom};
use std::path::Path as FilePath;

use super::*;

fn open(folder: &FilePath) -> Blobs {
    Blobs::open(&Location::Folder(folder.to_owned())).expect("open the blob folder")
}

fn video() -> (TenantId, VideoId) {
    (TenantId::default_tenant(), VideoId::random())
}

/// Returns every file and folder below `folder`; nothing if it is removed meanwhile, as by an upload that was dropped.
fn all_below(folder: &FilePath) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
        entries => entries.expect("list a folder"),
    };
    for entry in entries {
        let path = entry.expect("read an entry").path();
        if path.is_dir() {
            found.extend(all_below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn objects_are_read_back_whole_and_by_range() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(folder.path());
    let (tenant, video) = video();
    let key = key(&tenant, video, Kind::Segment, "audio-0");
    let bytes: Bytes = (0..3_000_000_u32).map(|n| n as u8).collect();
    let blob = blobs.put(&key, bytes.clone()).await.unwrap();
    assert_eq!((blob.bytes, blobs.size(&key).await.unwrap()), (3_000_000, 3_000_000));
    assert_eq!(blobs.get(&key).await.unwrap(), bytes);
    assert_eq!(blobs.get_range(&key, 10..20).await.unwrap(), bytes.slice(10..20));

    let mut reader = blobs.reader(&blob);
    let read = tokio::task::spawn_blocking(move || {
        let mut whole = Vec::new();
        reader.read_to_end(&mut whole).unwrap();
        reader.seek(SeekFrom::End(-3)).unwrap();
        let mut tail = Vec::new();
        reader.read_to_end(&mut tail).unwrap();
        (whole, tail)
    });
    assert_eq!(read.await.unwrap(), (bytes.to_vec(), bytes[bytes.len() - 3..].to_vec()));
}

#[tokio::test]
async fn uploads_show_nothing_until_they_are_finished() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(folder.path());
    let (tenant, video) = video();
    let key = key(&tenant, video, Kind::Source, "original");
    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"first ")).await.unwrap();
    assert!(matches!(blobs.get(&key).await, Err(Error::NotFound)));
    upload.write(Bytes::from_static(b"second")).await.unwrap();
    let blob = upload.finish().await.unwrap();
    assert_eq!((blob.bytes, blobs.get(&key).await.unwrap()), (12, Bytes::from_static(b"first second")));
}

#[tokio::test]
async fn aborted_and_dropped_uploads_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(folder.path());
    let (tenant, video) = video();
    let key = key(&tenant, video, Kind::Source, "original");

    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"given up")).await.unwrap();
    upload.abort().await.unwrap();
    assert_eq!(all_below(folder.path()), Vec::<PathBuf>::new());

    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"client went away")).await.unwrap();
    drop(upload);
    while !all_below(folder.path()).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn removing_a_video_takes_unfinished_uploads_along_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = open(folder.path());
    let (tenant, doomed) = video();
    let kept = VideoId::random();
    let put = |video, kind, id| {
        let (blobs, key) = (blobs.clone(), key(&tenant, video, kind, id));
        async move { blobs.put(&key, Bytes::from_static(b"x")).await.unwrap() }
    };
    put(doomed, Kind::Source, "original").await;
    put(doomed, Kind::Clip, "a/video.mp4").await;
    let other = put(kept, Kind::Source, "original").await;
    // What a process that was killed leaves behind.
    let staged = folder.path().join(format!("{tenant}/{doomed}/source/original#1"));
    std::fs::write(&staged, b"half").unwrap();

    blobs.remove_kind(&tenant, doomed, Kind::Clip).await.unwrap();
    assert!(blobs.get(&key(&tenant, doomed, Kind::Source, "original")).await.is_ok());
    assert!(matches!(blobs.get(&key(&tenant, doomed, Kind::Clip, "a/video.mp4")).await, Err(Error::NotFound)));
    blobs.remove_video(&tenant, doomed).await.unwrap();
    assert!(!folder.path().join(format!("{tenant}/{doomed}")).exists());
    assert!(blobs.get(&other.key).await.is_ok());
    blobs.remove_video(&tenant, kept).await.unwrap();
    blobs.remove_video(&tenant, kept).await.unwrap();
    assert_eq!(all_below(folder.path()), Vec::<PathBuf>::new());
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

#[test]
fn places_and_sizes_parse() {
    let s3 = |bucket: &str, prefix: &str| Ok(Location::S3 { bucket: bucket.into(), prefix: prefix.into() });
    assert_eq!("/var/blobs".parse(), Ok(Location::Folder("/var/blobs".into())));
    assert_eq!("s3://media".parse(), s3("media", ""));
    assert_eq!("s3://media/spillway/eu/".parse(), s3("media", "spillway/eu"));
    for bad in ["", "s3://", "s3:///prefix", "http://host"] {
        assert!(bad.parse::<Location>().is_err(), "{bad:?}");
    }
    assert_eq!(parse_inline_max("4MiB"), Ok(4 << 20));
    assert_eq!(parse_inline_max("512KiB"), Ok(512 << 10));
    assert_eq!(parse_inline_max("0"), Ok(0));
    for bad in ["", "4MB", "-1", "8MiB", "18446744073709551615MiB"] {
        assert!(parse_inline_max(bad).is_err(), "{bad:?}");
    }
}
