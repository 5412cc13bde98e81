//! What goes, and what stays.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use pipeline::blob::{Kind, key};
use pipeline::event::Happened;
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::stage::StageName;
use pipeline::store::{Gatherer, State, VideoError, VideoState};

use crate::server::{Server, args};

async fn put(server: &Server, video: VideoId, kind: Kind, id: &str) {
    let key = key(&TenantId::default_tenant(), video, kind, id);
    server.app.blobs.put(&key, Bytes::from_static(b"x")).await.expect("stored");
}

async fn kinds(server: &Server, video: VideoId) -> Vec<String> {
    let objects = server.app.blobs.objects(&TenantId::default_tenant(), video).await.expect("lists");
    let mut kinds: Vec<String> = objects.iter().filter_map(|o| o.key.split('/').nth(2)).map(str::to_owned).collect();
    kinds.sort();
    kinds
}

async fn end(server: &Server, video: VideoId, hours_ago: i64, error: Option<VideoError>) {
    let state = VideoState {
        state: if error.is_some() { State::Failed } else { State::Done },
        ended_at: Some(Timestamp::now() - SignedDuration::from_hours(hours_ago)),
        error,
        ..VideoState::default()
    };
    server.log(video, Happened::Ended(Default::default()), &state).await;
}

async fn with_everything(server: &Server) -> VideoId {
    let video = server.submit("bytes").await;
    for kind in [Kind::Segment, Kind::Result, Kind::Analysis, Kind::Clip] {
        put(server, video, kind, "a").await;
    }
    let (tenant, store, later) = (TenantId::default_tenant(), &server.app.store, Timestamp::now());
    store.gather(Gatherer::Join, &tenant, video, 0, 0, later, "piece", b"words").await.expect("gathered");
    video
}

async fn gathered(server: &Server, video: VideoId) -> u64 {
    let tenant = TenantId::default_tenant();
    server.app.store.gathered_count(Gatherer::Join, &tenant, video, 0).await.expect("counted")
}

async fn until_empty(server: &Server) {
    let gone = async {
        while !server.files().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("removes");
}

#[tokio::test]
async fn each_kind_goes_when_its_time_is_over() {
    let server = Server::start(&[]).await;
    let running = with_everything(&server).await;
    let (young, old, ancient) =
        (with_everything(&server).await, with_everything(&server).await, with_everything(&server).await);
    let (refused, failed) = (with_everything(&server).await, with_everything(&server).await);
    end(&server, young, 5, None).await;
    end(&server, old, 7, None).await;
    end(&server, ancient, 15 * 24, None).await;
    end(&server, refused, 0, Some(VideoError::new(Code::NotAVideo, StageName::Fetch))).await;
    end(&server, failed, 0, Some(VideoError::new(Code::NothingLeft, StageName::Moments))).await;
    ingest::sweep::remove_unwanted(&server.app, &args(&[]).keep).await.expect("sweeps");

    let all = ["analysis", "clip", "result", "segment", "source"];
    assert_eq!(kinds(&server, running).await, all);
    assert_eq!(kinds(&server, young).await, all);
    assert_eq!(kinds(&server, failed).await, all);
    assert_eq!(kinds(&server, old).await, ["analysis", "clip", "source"]);
    assert_eq!(kinds(&server, ancient).await, ["analysis", "clip"]);
    assert_eq!((gathered(&server, old).await, gathered(&server, ancient).await), (1, 0));
    assert!(kinds(&server, refused).await.is_empty());
}

#[tokio::test]
async fn what_belongs_to_no_video_goes_after_a_while() {
    let server = Server::start(&[]).await;
    let (kept, orphan) = (server.submit("bytes").await, VideoId::random());
    put(&server, kept, Kind::Source, "copy").await;
    put(&server, orphan, Kind::Source, "a").await;
    ingest::sweep::remove_unwanted(&server.app, &args(&[]).keep).await.expect("sweeps");
    assert_eq!(server.files().len(), 3, "it may be about to become a video");
    ingest::sweep::remove_unwanted(&server.app, &args(&["--keep-unfinished", "0s"]).keep).await.expect("sweeps");
    assert!(kinds(&server, orphan).await.is_empty());
    assert_eq!(kinds(&server, kept).await, ["source"]);
}

#[tokio::test]
async fn a_deleted_video_is_removed_soon_and_for_good() {
    let server = Server::start(&[]).await;
    let video = with_everything(&server).await;
    let sweep = tokio::spawn(ingest::sweep::run(server.app.clone(), args(&[]).keep, server.stop.clone()));
    let url = format!("{}/v1/videos/{video}", server.url);
    assert_eq!(server.client.delete(url).send().await.expect("an answer").status(), 204);
    until_empty(&server).await;
    // A worker that did not hear of it in time writes once more.
    put(&server, video, Kind::Clip, "late").await;
    ingest::sweep::remove_unwanted(&server.app, &args(&[]).keep).await.expect("sweeps");
    assert!(server.files().is_empty());
    server.stop.cancel();
    sweep.await.expect("ends");
}

#[tokio::test]
async fn a_video_refused_after_it_was_fetched_does_not_wait_for_the_walk() {
    let server = Server::start(&[]).await;
    let video = with_everything(&server).await;
    // The first walk is over when it removed this.
    let orphan = VideoId::random();
    put(&server, orphan, Kind::Source, "a").await;
    let keep = args(&["--keep-unfinished", "0s"]).keep;
    let sweep = tokio::spawn(ingest::sweep::run(server.app.clone(), keep, server.stop.clone()));
    while !kinds(&server, orphan).await.is_empty() {
        tokio::task::yield_now().await;
    }
    end(&server, video, 0, Some(VideoError::new(Code::Damaged, StageName::Split))).await;
    until_empty(&server).await;
    // A worker that had some of it in hand writes once more.
    put(&server, video, Kind::Result, "late").await;
    until_empty(&server).await;
    server.stop.cancel();
    sweep.await.expect("ends");
}
