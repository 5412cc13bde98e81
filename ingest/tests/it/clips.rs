//! Clips, their files and the analysis.

use bytes::Bytes;
use pipeline::blob::{Kind, key};
use pipeline::event::{BlobRef, Clip, Framing, FramingMode, Happened, Keyframe, Reason, Word};
use pipeline::id::{ClipId, TenantId, VideoId};
use pipeline::store::{State, VideoState};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::server::{Server, problem};

fn content() -> Vec<u8> {
    (0..700_000u32).map(|n| (n % 251) as u8).collect()
}

async fn with_clip(server: &Server) -> (VideoId, String) {
    let response = server.post("/v1/videos?name=a%20%22talk%22.mov", "bytes").await;
    let video: Value = response.json().await.expect("JSON");
    let video: VideoId = video["id"].as_str().expect("an id").parse().expect("an id");
    let tenant = TenantId::default_tenant();
    let id = ClipId::derive(video, 12_500_000, 27_000_000).to_string();
    let put = async |name: &str, bytes: Vec<u8>| -> Option<BlobRef> {
        let key = key(&tenant, video, Kind::Clip, &format!("{id}.{name}"));
        Some(server.app.blobs.put(&key, Bytes::from(bytes)).await.expect("stored"))
    };
    let clip = Clip {
        id: id.clone(),
        start_us: 12_500_000,
        end_us: 27_000_000,
        score: 0.75,
        reasons: vec![Reason { name: "speech".into(), value: 0.9, contribution: 0.5, text: "Speaks.".into() }],
        framings: vec![Framing {
            start_us: 12_500_000,
            end_us: 27_000_000,
            mode: FramingMode::Follow as i32,
            width: 405.0,
            height: 720.0,
            keyframes: vec![Keyframe { at_us: 12_500_000, x: 100.0, y: 0.0 }],
            reason: "Follows the speaker.".into(),
        }],
        words: vec![Word { start_us: 13_000_000, end_us: 13_400_000, text: "hello".into(), confidence: 0.5 }],
        video: put("mp4", content()).await,
        captions: put("vtt", b"WEBVTT\n".to_vec()).await,
        poster: None,
        frame: None,
        sha256: "ab".repeat(32),
        ..Clip::default()
    };
    let state = VideoState { state: State::Processing, ..VideoState::default() };
    server.log(video, Happened::ClipReady(clip), &state).await;
    (video, id)
}

async fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = server.client.get(format!("{}{path}", server.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn a_clip_explains_itself() {
    let server = Server::start(&[]).await;
    let (video, id) = with_clip(&server).await;
    let list = server.json(&format!("/v1/videos/{video}/clips")).await;
    assert_eq!(list["next"], Value::Null);
    let clip = &list["items"][0];
    assert_eq!((&clip["id"], &clip["start_s"], &clip["end_s"]), (&json!(id), &json!(12.5), &json!(27.0)));
    assert_eq!((&clip["score"], &clip["transcript"]), (&json!(0.75), &json!("hello")));
    assert_eq!(clip["reasons"][0]["name"], "speech");
    assert_eq!(clip["crop"][0]["mode"], "follow");
    assert_eq!(clip["crop"][0]["keyframes"][0], json!({"at_s": 12.5, "x": 100.0, "y": 0.0}));
    assert_eq!(clip["links"]["video"], format!("/v1/videos/{video}/clips/{id}/video.mp4"));
    assert_eq!(clip["links"]["poster"], Value::Null);
}

#[tokio::test]
async fn files_come_whole_by_head_and_not_again() {
    let server = Server::start(&[]).await;
    let (video, id) = with_clip(&server).await;
    let path = format!("/v1/videos/{video}/clips/{id}/video.mp4");
    let whole = ask(&server, &path, &[]).await;
    assert_eq!(whole.status(), 200);
    let headers = whole.headers().clone();
    assert_eq!(
        (&headers["content-type"], &headers["accept-ranges"]),
        (&"video/mp4".parse().unwrap(), &"bytes".parse().unwrap())
    );
    assert_eq!(headers["content-disposition"], "inline; filename=\"a__talk-12s-27s.mp4\"");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(whole.bytes().await.expect("bytes") == content());

    let head = server.client.request(Method::HEAD, format!("{}{path}", server.url)).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"700000".parse().unwrap()));
    assert_eq!(head.headers()["etag"], headers["etag"]);
    let tag = headers["etag"].to_str().expect("text");
    let again = ask(&server, &path, &[("if-none-match", tag)]).await;
    assert_eq!((again.status().as_u16(), again.bytes().await.expect("bytes").len()), (304, 0));

    let captions = ask(&server, &path.replace("video.mp4", "captions.vtt"), &[]).await;
    assert_eq!(captions.headers()["content-type"], "text/vtt; charset=utf-8");
    assert_ne!(captions.headers()["etag"], headers["etag"]);
    assert_eq!(captions.text().await.expect("text"), "WEBVTT\n");
    problem(404, "clip_not_found", ask(&server, &path.replace("video.mp4", "poster.jpg"), &[]).await).await;
    let other = server.submit("other").await;
    problem(404, "clip_not_found", ask(&server, &path.replace(&video.to_string(), &other.to_string()), &[]).await)
        .await;
}

#[tokio::test]
async fn files_come_in_ranges() {
    let server = Server::start(&[]).await;
    let (video, id) = with_clip(&server).await;
    let path = format!("/v1/videos/{video}/clips/{id}/video.mp4");
    for (range, expected, bytes) in [
        ("bytes=0-0", "bytes 0-0/700000", 0..1),
        ("bytes=200000-", "bytes 200000-699999/700000", 200_000..700_000),
        ("bytes=-10", "bytes 699990-699999/700000", 699_990..700_000),
    ] {
        let part = ask(&server, &path, &[("range", range)]).await;
        assert_eq!((part.status().as_u16(), part.headers()["content-range"].to_str().ok()), (206, Some(expected)));
        assert!(part.bytes().await.expect("bytes") == content()[bytes], "{range}");
    }
    let outside = ask(&server, &path, &[("range", "bytes=700000-")]).await;
    assert_eq!(outside.headers()["content-range"], "bytes */700000");
    problem(416, "range_not_satisfiable", outside).await;
    let stale = ask(&server, &path, &[("range", "bytes=0-0"), ("if-range", "\"old\"")]).await;
    assert_eq!(stale.status(), 200);

    let several = ask(&server, &path, &[("range", "bytes=5-6,-1")]).await;
    assert_eq!(several.status(), 206);
    let kind = several.headers()["content-type"].to_str().expect("text").to_owned();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("a boundary").to_owned();
    let length: usize = several.headers()["content-length"].to_str().expect("text").parse().expect("a number");
    let body = several.bytes().await.expect("bytes");
    assert_eq!(body.len(), length);
    let (last, part) =
        (content()[699_999], |range| format!("Content-Type: video/mp4\r\nContent-Range: bytes {range}/700000"));
    let mut expected = format!("\r\n--{boundary}\r\n{}\r\n\r\n", part("5-6")).into_bytes();
    expected.extend([5, 6]);
    expected.extend(format!("\r\n--{boundary}\r\n{}\r\n\r\n", part("699999-699999")).into_bytes());
    expected.push(last);
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(body, expected);
}

#[tokio::test]
async fn windows_of_an_analysis_are_one() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let loudness = |dbfs: &[f64]| json!({"step_s": 0.1, "dbfs": dbfs});
    let windows = [
        json!({"start_s": 0.0, "end_s": 600.0, "shots": [1], "tracks": [], "words": [1, 2], "loudness": loudness(&[-20.0])}),
        json!({"start_s": 600.0, "end_s": 1200.0, "shots": [2], "tracks": [7], "words": [], "loudness": loudness(&[])}),
        json!({"start_s": 1200.0, "end_s": 1500.0, "shots": [], "tracks": [8], "words": [3], "loudness": loudness(&[-30.0])}),
    ];
    let mut state = VideoState { state: State::Processing, ..VideoState::default() };
    for (number, window) in windows.iter().enumerate() {
        let key = key(&TenantId::default_tenant(), video, Kind::Analysis, &format!("{number}.json"));
        let blob = server.app.blobs.put(&key, Bytes::from(window.to_string())).await.expect("stored");
        state.analyses.push(key);
        server.log(video, Happened::Analyzed(blob), &state).await;
        if number == 0 {
            assert_eq!(server.json(&format!("/v1/videos/{video}/analysis")).await, windows[0]);
        }
    }
    let joined = server.json(&format!("/v1/videos/{video}/analysis")).await;
    let expected = json!({
        "start_s": 0.0, "end_s": 1500.0, "shots": [1, 2], "tracks": [7, 8], "words": [1, 2, 3],
        "loudness": {"step_s": 0.1, "dbfs": [-20.0, -30.0]},
    });
    assert_eq!(joined, expected);
}

#[tokio::test]
async fn an_analysis_of_any_length_is_passed_on_piece_by_piece() {
    const LENGTH: u64 = 8 << 30; // more than a test could hold
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let key = key(&TenantId::default_tenant(), video, Kind::Analysis, "0.json");
    let blob = server.app.blobs.put(&key, Bytes::from_static(b"{\"shots\":")).await.expect("stored");
    let file = std::fs::File::options().write(true).open(server.blobs_folder.join(&key)).expect("a file");
    file.set_len(LENGTH).expect("a file with a hole");
    let state = VideoState { state: State::Done, analyses: vec![key], ..VideoState::default() };
    server.log(video, Happened::Analyzed(blob), &state).await;
    let mut answer = server.get(&format!("/v1/videos/{video}/analysis")).await;
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(LENGTH)));
    let first = answer.chunk().await.expect("a chunk").expect("bytes");
    assert!(first.starts_with(b"{\"shots\":"));
}

#[tokio::test]
async fn what_ended_without_an_analysis_promises_none() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let path = format!("/v1/videos/{video}/analysis");
    let detail = async || problem(404, "analysis_not_ready", server.get(&path).await).await["detail"].to_string();
    assert!(detail().await.contains("follow its events"));
    let failed = VideoState { state: State::Failed, ..VideoState::default() };
    server.log(video, Happened::Ended(Default::default()), &failed).await;
    assert!(detail().await.contains("ended before any part of it was analysed"));
}
