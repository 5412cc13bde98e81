//! The cases.

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use pipeline::blob::{Error, Kind, key};
use pipeline::id::VideoId;

use super::{Home, video};
use crate::world::eventually;

fn bytes(count: usize) -> Bytes {
    (0..count).map(|n| (n % 251) as u8).collect()
}

pub async fn objects_are_read_back_whole_and_by_range(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let key = key(&tenant, video, Kind::Segment, "audio-0");
    let bytes = bytes(3_000_000);
    let blob = blobs.put(&key, bytes.clone()).await.unwrap();
    assert_eq!((blob.bytes, blobs.size(&key).await.unwrap()), (3_000_000, 3_000_000));
    assert_eq!(blobs.get(&key).await.unwrap(), bytes);
    assert_eq!(blobs.get_range(&key, 10..20).await.unwrap(), bytes.slice(10..20));
    assert_eq!(blobs.get_range(&key, 2_999_999..3_000_000).await.unwrap(), bytes.slice(2_999_999..));

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

pub async fn objects_are_replaced_whole(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let key = key(&tenant, video, Kind::Clip, "a/video.mp4");
    blobs.put(&key, bytes(100_000)).await.unwrap();
    blobs.put(&key, Bytes::from_static(b"short")).await.unwrap();
    assert_eq!(blobs.get(&key).await.unwrap(), Bytes::from_static(b"short"));
    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"again")).await.unwrap();
    assert_eq!(blobs.get(&key).await.unwrap(), Bytes::from_static(b"short"));
    upload.finish().await.unwrap();
    assert_eq!(blobs.get(&key).await.unwrap(), Bytes::from_static(b"again"));
    blobs.put(&key, Bytes::new()).await.unwrap();
    assert_eq!((blobs.size(&key).await.unwrap(), blobs.get(&key).await.unwrap()), (0, Bytes::new()));
}

pub async fn what_is_missing_is_told_from_other_trouble(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let key = key(&tenant, video, Kind::Source, "original");
    assert!(matches!(blobs.get(&key).await, Err(Error::NotFound)));
    assert!(matches!(blobs.get_range(&key, 0..5).await, Err(Error::NotFound)));
    assert!(matches!(blobs.size(&key).await, Err(Error::NotFound)));
    blobs.remove(&key).await.unwrap();
    blobs.ping().await.unwrap();
}

pub async fn reader_tells_what_became_of_its_object(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let key = key(&tenant, video, Kind::Source, "original");
    let blob = blobs.put(&key, bytes(1000)).await.unwrap();
    let read = async || {
        let mut reader = blobs.reader(&blob);
        tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()).map_err(|e| e.kind())).await.unwrap()
    };
    assert_eq!(read().await, Ok(1000));
    blobs.put(&key, bytes(10)).await.unwrap();
    assert!(matches!(read().await, Err(ErrorKind::UnexpectedEof) | Ok(10)));
    blobs.remove(&key).await.unwrap();
    assert_eq!(read().await, Err(ErrorKind::NotFound));
}

pub async fn uploads_of_any_length_show_nothing_until_they_are_finished(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let part = bytes(blobs.part_bytes());
    for tail in [0, 1, 70_000] {
        let key = key(&tenant, video, Kind::Source, &format!("original-{tail}"));
        let mut upload = blobs.upload(&key).await.unwrap();
        upload.write(part.clone()).await.unwrap();
        upload.write(part.clone()).await.unwrap();
        assert!(matches!(blobs.get(&key).await, Err(Error::NotFound)));
        if tail > 0 {
            upload.write(bytes(tail)).await.unwrap();
        }
        let blob = upload.finish().await.unwrap();
        let expected = [part.clone(), part.clone(), bytes(tail)].concat();
        assert_eq!(blob.bytes, expected.len() as u64);
        assert!(blobs.get(&key).await.unwrap() == expected, "tail of {tail}");
    }
}

pub async fn aborted_and_dropped_uploads_leave_nothing(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let key = key(&tenant, video, Kind::Source, "original");
    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"given up")).await.unwrap();
    assert!(!home.is_empty().await);
    upload.abort().await.unwrap();
    assert!(home.is_empty().await);

    let mut upload = blobs.upload(&key).await.unwrap();
    upload.write(Bytes::from_static(b"client went away")).await.unwrap();
    drop(upload);
    eventually("nothing is left", async || home.is_empty().await.then_some(())).await;
}

pub async fn uploads_whose_process_died_are_removed_once_they_are_old(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    let mut upload = blobs.upload(&key(&tenant, video, Kind::Source, "original")).await.unwrap();
    upload.write(bytes(blobs.part_bytes())).await.unwrap();
    std::mem::forget(upload);
    blobs.remove_unfinished(Timestamp::now() - SignedDuration::from_secs(60)).await.unwrap();
    assert!(!home.is_empty().await, "a young one is left alone");
    blobs.remove_unfinished(Timestamp::now() + SignedDuration::from_secs(60)).await.unwrap();
    assert!(home.is_empty().await);
}

pub async fn removing_takes_what_was_named_and_nothing_else(home: &Home) {
    let ((tenant, doomed), kept, blobs) = (video(), VideoId::random(), &home.blobs);
    let put =
        async |video, kind, id| blobs.put(&key(&tenant, video, kind, id), Bytes::from_static(b"x")).await.unwrap();
    put(doomed, Kind::Source, "original").await;
    put(doomed, Kind::Clip, "a/video.mp4").await;
    let other = put(kept, Kind::Source, "original").await;
    blobs.remove_kind(&tenant, doomed, Kind::Clip).await.unwrap();
    assert!(blobs.get(&key(&tenant, doomed, Kind::Source, "original")).await.is_ok());
    assert!(matches!(blobs.get(&key(&tenant, doomed, Kind::Clip, "a/video.mp4")).await, Err(Error::NotFound)));
    blobs.remove_video(&tenant, doomed).await.unwrap();
    assert_eq!(blobs.objects(&tenant, doomed).await.unwrap(), []);
    assert!(blobs.get(&other.key).await.is_ok());
    for _ in 0..2 {
        blobs.remove_video(&tenant, kept).await.unwrap();
    }
    assert!(home.is_empty().await);
}

pub async fn what_is_there_is_listed(home: &Home) {
    let ((tenant, video), blobs) = (video(), &home.blobs);
    assert_eq!(blobs.tenants().await.unwrap(), []);
    let keys = ["one", "two"].map(|id| key(&tenant, video, Kind::Segment, id));
    for key in &keys {
        blobs.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(blobs.tenants().await.unwrap(), std::slice::from_ref(&tenant));
    assert_eq!(blobs.videos(&tenant).await.unwrap(), [video]);
    let mut found: Vec<String> = blobs.objects(&tenant, video).await.unwrap().into_iter().map(|o| o.key).collect();
    found.sort();
    assert_eq!(found, keys);
}
