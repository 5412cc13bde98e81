//! What a submission makes, and what it refuses.

use std::sync::atomic::Ordering;

use futures::future::join_all;
use pipeline::event::{Happened, VideoEvent, VideoSource, VideoSubmitted};
use pipeline::lane::Lane;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::server::{Server, problem};

#[tokio::test]
async fn a_raw_body_becomes_a_video_the_flow_hears_of() {
    let server = Server::start(&[]).await;
    let response = server.post("/v1/videos?clips=5&aspect=1:1&name=../my%20talk.mp4", "some bytes").await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    let body: Value = response.json().await.expect("JSON");
    assert_eq!(location, format!("/v1/videos/{}", body["id"].as_str().expect("an id")));
    assert_eq!(
        (&body["state"], &body["name"], &body["error"]),
        (&json!("queued"), &json!("my talk.mp4"), &Value::Null)
    );
    assert_eq!(server.json(&location).await, body);

    let sent = server.broker.collected.take();
    assert_eq!(sent.len(), 2);
    let event: VideoEvent = pipeline::event::Event::read(&sent[0].body).expect("an event");
    let Some(Happened::Created(created)) = event.happened else { panic!("{event:?}") };
    assert_eq!((created.source.as_str(), created.bytes), ("upload", 10));
    let submitted: VideoSubmitted = pipeline::event::Event::read(&sent[1].body).expect("an event");
    assert_eq!((submitted.job.options.clips, sent[1].lane), (5, Lane::Express));
    let Some(VideoSource::Upload(blob)) = submitted.source else { panic!("no upload") };
    assert_eq!(server.app.blobs.get(&blob.key).await.expect("stored"), "some bytes");
    let left = server.store().unpublished(jiff::Timestamp::MAX, 10).await.expect("a store");
    assert!(left.is_empty());
}

#[tokio::test]
async fn form_fields_count_before_and_after_the_file() {
    let server = Server::start(&[]).await;
    let file = || Part::bytes(vec![7; 1_500_000]).file_name("C:\\x\\talk.mp4");
    let form = Form::new().text("clips", "4").part("file", file()).text("captions", "burn");
    let response = server.client.post(format!("{}/v1/videos?early=true", server.url)).multipart(form).send().await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 202);
    assert_eq!(response.json::<Value>().await.expect("JSON")["name"], "talk.mp4");
    let submitted = server.published::<VideoSubmitted>().remove(0);
    let options = &submitted.job.options;
    assert_eq!((options.clips, options.captions().as_str(), options.early), (4, "burn", true));

    let before = server.files().len();
    let late = Form::new().part("file", file()).text("colour", "blue");
    let response = server.client.post(format!("{}/v1/videos", server.url)).multipart(late).send().await;
    problem(400, "unknown_option", response.expect("an answer")).await;
    let two = Form::new().part("a", file()).part("b", file());
    let response = server.client.post(format!("{}/v1/videos", server.url)).multipart(two).send().await;
    problem(422, "several_files", response.expect("an answer")).await;
    let none = Form::new().text("clips", "4");
    let response = server.client.post(format!("{}/v1/videos", server.url)).multipart(none).send().await;
    problem(422, "missing_video", response.expect("an answer")).await;
    let long = Form::new().text("name", "x".repeat(5000)).part("a", file());
    let response = server.client.post(format!("{}/v1/videos", server.url)).multipart(long).send().await;
    assert_eq!(problem(422, "invalid_option", response.expect("an answer")).await["option"], "name");
    assert_eq!(server.files().len(), before);
}

async fn post_json(server: &Server, body: Value) -> reqwest::Response {
    server.client.post(format!("{}/v1/videos", server.url)).json(&body).send().await.expect("an answer")
}

#[tokio::test]
async fn a_url_is_taken_as_it_is_or_refused_by_its_shape() {
    let server = Server::start(&[]).await;
    let body = json!({"url": "https://example.org/a/talk%201.mp4#t=5", "clips": 2, "priority": true, "early": null});
    let response = post_json(&server, body).await;
    assert_eq!(response.status(), 202);
    let video: Value = response.json().await.expect("JSON");
    assert_eq!((&video["lane"], &video["name"]), (&json!("priority"), &json!("talk 1.mp4")));
    let submitted = server.published::<VideoSubmitted>().remove(0);
    assert_eq!(submitted.source, Some(VideoSource::Url("https://example.org/a/talk%201.mp4".to_owned())));

    let ok = "https://example.org/a.mp4";
    problem(422, "url_refused", post_json(&server, json!({"url": "file:///etc/passwd"})).await).await;
    problem(422, "missing_video", post_json(&server, json!({"clips": 2})).await).await;
    problem(400, "unknown_option", post_json(&server, json!({"url": ok, "colour": "blue"})).await).await;
    let wrong = problem(422, "invalid_option", post_json(&server, json!({"url": ok, "clips": "many"})).await).await;
    assert_eq!(wrong["option"], "clips");
    assert_eq!(problem(422, "invalid_option", post_json(&server, json!({"url": 5})).await).await["option"], "url");
    problem(400, "malformed_request", post_json(&server, json!(["a"])).await).await;
    let url = format!("{}/v1/videos", server.url);
    let broken = server.client.post(url).header("content-type", "application/json").body("{\"url\":").send().await;
    problem(400, "malformed_request", broken.expect("an answer")).await;
}

#[tokio::test]
async fn a_json_member_given_twice_is_refused_like_any_option() {
    let server = Server::start(&[]).await;
    for (body, option) in [
        (r#"{"url": "http://a/b", "clips": 1, "clips": 2}"#, "clips"),
        (r#"{"url": "http://a/b", "url": "http://a/c"}"#, "url"),
    ] {
        let request =
            server.client.post(format!("{}/v1/videos", server.url)).header("content-type", "application/json");
        let response = request.body(body).send().await.expect("an answer");
        assert_eq!(problem(400, "duplicate_option", response).await["option"], option);
    }
    assert!(server.broker.collected.take().is_empty());
}

async fn keyed(server: &Server, key: &str, path: &str, body: &'static str) -> reqwest::Response {
    let url = format!("{}{path}", server.url);
    server.client.post(url).header("idempotency-key", key).body(body).send().await.expect("an answer")
}

#[tokio::test]
async fn the_same_key_fifty_times_at_once_is_one_video_and_one_copy() {
    let server = Server::start(&[]).await;
    let answers = join_all((0..50).map(|_| keyed(&server, "order-1", "/v1/videos?clips=2", "the same bytes"))).await;
    let mut ids = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), 202);
        ids.push(answer.json::<Value>().await.expect("JSON")["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(server.files().len(), 1);
    assert_eq!(server.published::<VideoSubmitted>().len(), 1);
    assert_eq!(server.json("/v1/videos").await["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_key_used_for_something_else_is_refused_and_harms_nothing() {
    let server = Server::start(&[]).await;
    let first: Value = keyed(&server, "k", "/v1/videos", "abc").await.json().await.expect("JSON");
    problem(422, "idempotency_key_reused", keyed(&server, "k", "/v1/videos", "other").await).await;
    problem(422, "idempotency_key_reused", keyed(&server, "k", "/v1/videos?clips=1", "abc").await).await;
    problem(400, "invalid_idempotency_key", keyed(&server, "", "/v1/videos", "abc").await).await;
    assert_eq!(keyed(&server, "k", "/v1/videos", "abc").await.json::<Value>().await.expect("JSON")["id"], first["id"]);
    assert_eq!(server.files().len(), 1);

    let path = format!("{}/v1/videos/{}", server.url, first["id"].as_str().expect("an id"));
    assert_eq!(server.client.delete(path).send().await.expect("an answer").status(), 204);
    problem(410, "video_deleted", keyed(&server, "k", "/v1/videos", "abc").await).await;
}

#[tokio::test]
async fn a_broker_that_is_away_costs_no_video() {
    let server = Server::start(&["--publish-wait", "0s"]).await;
    server.broker.away.store(true, Ordering::SeqCst);
    let video = server.submit("bytes").await;
    assert!(ingest::sweep::publish_creations(&server.app).await.is_err());
    server.broker.away.store(false, Ordering::SeqCst);
    ingest::sweep::publish_creations(&server.app).await.expect("publishes");
    let submitted = server.published::<VideoSubmitted>();
    assert_eq!(submitted.iter().map(|s| s.job.video()).collect::<Vec<_>>(), [video]);
    ingest::sweep::publish_creations(&server.app).await.expect("has nothing to do");
    assert!(server.broker.collected.take().is_empty());
}

#[tokio::test]
async fn options_that_are_wrong_are_told_before_the_bytes_are_taken() {
    let server = Server::start(&[]).await;
    let cases = [
        ("clips=0", 422, "invalid_option"),
        ("clips=", 422, "invalid_option"),
        ("height=721", 422, "invalid_option"),
        ("early=maybe", 422, "invalid_option"),
        ("language=english", 422, "invalid_option"),
        ("callback_url=ftp://a/b", 422, "invalid_option"),
        ("clips=1&clips=2", 400, "duplicate_option"),
        ("url=http://a/b", 400, "unknown_option"),
        ("%F0%9F%8E%AC=1", 400, "unknown_option"),
    ];
    for (query, status, code) in cases {
        problem(status, code, server.post(&format!("/v1/videos?{query}"), "bytes").await).await;
    }
    assert!(server.files().is_empty());
    assert!(server.broker.collected.take().is_empty());
}

#[tokio::test]
async fn a_form_without_its_boundary_is_refused_before_it_is_read() {
    let server = Server::start(&[]).await;
    // Ten times what is held at the most; a server that read on to the end would answer the same, only later.
    let chunks = futures::stream::iter((0..160).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 65_536])));
    let request = server.client.post(format!("{}/v1/videos", server.url));
    let request = request.header("content-type", "multipart/form-data; boundary=never");
    let response = request.body(reqwest::Body::wrap_stream(chunks)).send().await.expect("an answer");
    assert!(response.status().is_client_error(), "{}", response.status());
    assert!(server.files().is_empty());
}
