//! The stage `fetch`: uploads and URLs, good and hostile.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path as Segment;
use axum::http::{StatusCode, header};
use axum::response::Redirect;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use pipeline::event::{
    BlobRef, Envelope, Event, Happened, Job, Options, VideoEvent, VideoReady, VideoSource, VideoSubmitted,
};
use pipeline::failure::{Code, Failure};
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::fetch::{Fetch, FetchArgs};

use crate::material::{PICTURE, Workshop, job, upload};

fn args() -> FetchArgs {
    FetchArgs {
        max_duration: Duration::from_secs(3600),
        max_bytes: 20 << 20,
        max_frame_rate: 120.0,
        probe_timeout: Duration::from_secs(20),
        allow_private_urls: true,
        url_timeout: Duration::from_secs(20),
        url_idle_timeout: Duration::from_secs(10),
    }
}

async fn fetch(shop: &Workshop, args: FetchArgs, job: Job, source: VideoSource) -> Result<Vec<Envelope>, Failure> {
    let (outbox, collected) = Collected::outbox();
    let stage = Fetch::new(shop.services(), args).expect("stage");
    let input = VideoSubmitted { job, source: Some(source) };
    let done = stage.process(input.clone(), &outbox).await;
    if let Err(Failure::Reject { code, .. }) = &done {
        stage.given_up(&input, *code).await;
    }
    done.map(|()| collected.take())
}

async fn fetch_url(shop: &Workshop, args: FetchArgs, url: String) -> Result<Vec<Envelope>, Failure> {
    fetch(shop, args, job(Options::default()), VideoSource::Url(url)).await
}

/// Fetches `url`, which must be rejected for `code` and leave nothing behind.
async fn check_rejected(args: FetchArgs, url: String, code: Code) {
    let shop = Workshop::new();
    match fetch_url(&shop, args, url.clone()).await {
        Err(Failure::Reject { code: found, .. }) => assert_eq!(found, code, "{url}"),
        other => panic!("{url} should be rejected, not {other:?}"),
    }
    assert_eq!(shop.blob_files(), Vec::<std::path::PathBuf>::new(), "{url}");
}

/// Starts a server that has `video` and every kind of trouble.
async fn serve(video: Vec<u8>) -> SocketAddr {
    let hop = |Segment(left): Segment<u32>| async move {
        if left == 0 { Redirect::temporary("/video.mp4") } else { Redirect::permanent(&format!("/hop/{}", left - 1)) }
    };
    let endless = || async {
        let chunk = Bytes::from(vec![0_u8; 1 << 16]);
        Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk)))
    };
    let silent = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) };
    let trickle = || async {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"x")), ()))
        }))
    };
    let router = Router::new()
        .route("/video.mp4", get(|| async move { Bytes::from(video) }))
        .route("/hop/{left}", get(hop))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/file", get(|| async { (StatusCode::FOUND, [(header::LOCATION, "file:///etc/passwd")]) }))
        .route("/endless", get(endless))
        .route("/silent", get(silent))
        .route("/trickle", get(trickle))
        .route("/busy", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .route("/private", get(|| async { StatusCode::FORBIDDEN }))
        .route("/page", get(|| async { axum::response::Html("<html>sign in</html>") }))
        .route("/text", get(|| async { "#EXTM3U\n/etc/passwd\n" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn ready(sent: &[Envelope]) -> VideoReady {
    let envelope = sent.iter().find(|e| e.topic == Topic::VideoReady).expect("ready");
    VideoReady::read(&envelope.body).expect("readable")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_measured_and_announced_in_order() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} -c:v libx264"), "a.mp4");
    for (asked, given) in [(Lane::Batch, Lane::Express), (Lane::Priority, Lane::Priority)] {
        let job = job(Options::default()).in_lane(asked);
        let source = VideoSource::Upload(upload(&shop.services(), &job, &path).await);
        let sent = fetch(&shop, args(), job, source).await.expect("fetched");
        assert_eq!(
            sent.iter().map(|e| e.topic).collect::<Vec<_>>(),
            [Topic::VideoEvent, Topic::VideoEvent, Topic::VideoReady]
        );
        let happened = |e: &Envelope| VideoEvent::read(&e.body).expect("event").happened;
        assert!(matches!(happened(&sent[0]), Some(Happened::Ready(media)) if media.duration_us == 4_000_000));
        assert!(matches!(happened(&sent[1]), Some(Happened::Total(total)) if total.total == 1));
        assert!(sent.iter().all(|e| e.lane == given));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_fetched_over_three_redirects_and_no_more() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} -c:v libx264"), "a.mp4");
    let video = std::fs::read(&path).expect("read");
    let server = serve(video.clone()).await;
    for place in ["video.mp4", "hop/0", "hop/2"] {
        let source = ready(&fetch_url(&shop, args(), format!("http://{server}/{place}")).await.expect(place)).source;
        assert_eq!(source.bytes, video.len() as u64);
        assert_eq!(std::fs::read(shop.path("blobs").join(&source.key)).expect("blob"), video);
    }
    check_rejected(args(), format!("http://{server}/hop/3"), Code::UrlRedirects).await;
    check_rejected(args(), format!("http://{server}/loop"), Code::UrlRedirects).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_urls_are_refused_and_leave_nothing() {
    let server = serve(Vec::new()).await;
    let at = |place: &str| format!("http://{server}/{place}");
    let strict = || FetchArgs { allow_private_urls: false, ..args() };
    check_rejected(strict(), at("video.mp4"), Code::UrlRefused).await;
    for url in ["http://localhost:1/", "http://[::1]/", "http://2130706433/", "http://169.254.169.254/latest/"] {
        check_rejected(strict(), url.to_owned(), Code::UrlRefused).await;
    }
    for url in ["ftp://example.com/a.mp4", "file:///etc/passwd", "http://user:secret@127.0.0.1/", "not a url"] {
        check_rejected(args(), url.to_owned(), Code::UrlRefused).await;
    }
    check_rejected(args(), at("file"), Code::UrlRefused).await;
    check_rejected(args(), at("nothing"), Code::UrlNotFound).await;
    check_rejected(args(), at("private"), Code::UrlNotFound).await;
    check_rejected(args(), at("page"), Code::UrlNotFound).await;
    check_rejected(args(), at("text"), Code::FormatRefused).await;
    check_rejected(args(), at("video.mp4"), Code::EmptyFile).await;
    check_rejected(args(), at("endless"), Code::TooLarge).await;
    let impatient = FetchArgs { url_idle_timeout: Duration::from_millis(300), ..args() };
    check_rejected(impatient, at("silent"), Code::UrlTimeout).await;
    let hurried = FetchArgs { url_timeout: Duration::from_millis(500), ..args() };
    check_rejected(hurried, at("trickle"), Code::UrlTimeout).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_or_gone_is_asked_again() {
    let shop = Workshop::new();
    let server = serve(Vec::new()).await;
    for url in [format!("http://{server}/busy"), "http://127.0.0.1:9/".to_owned()] {
        let failed = fetch_url(&shop, args(), url).await.expect_err("no video");
        assert!(matches!(failed, Failure::Retry(_)), "{failed:?}");
        assert_eq!(failed.code(), Code::UrlFailed, "what the user is told when it stays so");
    }
    assert!(shop.blob_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_upload_is_removed_once_everybody_was_told() {
    let shop = Workshop::new();
    let path = shop.write("a.mp4", b"#EXTM3U\n");
    let job = job(Options::default());
    let source = VideoSource::Upload(upload(&shop.services(), &job, &path).await);
    let input = VideoSubmitted { job, source: Some(source) };
    let stage = Fetch::new(shop.services(), args()).expect("stage");
    for _ in 0..2 {
        // A worker that dies before it told leaves the next one the same bytes to find the same fault in.
        let failed = stage.process(input.clone(), &Collected::outbox().0).await.expect_err("rejected");
        assert_eq!(failed.code(), Code::FormatRefused);
    }
    stage.given_up(&input, Code::AttemptsExhausted).await;
    assert_eq!(shop.blob_files().len(), 1, "a replay may need it");
    stage.given_up(&input, Code::FormatRefused).await;
    assert!(shop.blob_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_ends_the_video_and_stops_nobody_else() {
    let shop = Workshop::new();
    let job = job(Options::default());
    let gone = BlobRef { key: "default/nowhere/source/original".to_owned(), bytes: 9 };
    match fetch(&shop, args(), job, VideoSource::Upload(gone)).await {
        Err(Failure::Reject { code, .. }) => assert_eq!(code, Code::SourceGone),
        other => panic!("{other:?}"),
    }
}
