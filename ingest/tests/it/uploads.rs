//! Uploads of every length and every bad end.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use pipeline::event::{VideoSource, VideoSubmitted};
use reqwest::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::server::{Server, problem};

/// A body without a stated length.
fn chunked(chunks: usize, bytes: usize) -> Body {
    let chunk = Bytes::from(vec![b'x'; bytes]);
    Body::wrap_stream(stream::iter((0..chunks).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
}

/// Waits until the blob folder is as a test wants it.
async fn until_files(server: &Server, wanted: usize) {
    let settled = async {
        while server.files().len() != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), settled).await.expect("the blob folder settles");
}

#[tokio::test]
async fn a_body_of_many_parts_is_stored_as_it_came() {
    let server = Server::start(&[]).await;
    let pieces: Vec<Bytes> = (0..200u8).map(|n| Bytes::from(vec![n; 30_011])).collect();
    let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
    let body = Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    assert_eq!(server.post("/v1/videos", body).await.status(), 202);
    let submitted = server.published::<VideoSubmitted>().remove(0);
    let Some(VideoSource::Upload(blob)) = submitted.source else { panic!("no upload") };
    assert_eq!(blob.bytes, whole.len() as u64);
    assert!(server.app.blobs.get(&blob.key).await.expect("stored") == whole);
}

#[tokio::test]
async fn an_empty_body_is_refused_at_once() {
    let server = Server::start(&[]).await;
    problem(422, "empty_file", server.post("/v1/videos", "").await).await;
    problem(422, "empty_file", server.post("/v1/videos", chunked(0, 0)).await).await;
    assert!(server.files().is_empty());
}

#[tokio::test]
async fn too_many_bytes_are_refused_with_and_without_a_stated_length() {
    let server = Server::start(&["--max-upload-bytes", "2000000"]).await;
    problem(413, "too_large", server.post("/v1/videos", vec![0; 2_000_001]).await).await;
    problem(413, "too_large", server.post("/v1/videos", chunked(4, 700_000)).await).await;
    assert!(server.files().is_empty());
    assert_eq!(server.post("/v1/videos", vec![0; 2_000_000]).await.status(), 202);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let server = Server::start(&[]).await;
    let address = server.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let head = "POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("writes");
    socket.write_all(&vec![0; 3_000_000]).await.expect("writes");
    until_files(&server, 1).await;
    drop(socket);
    until_files(&server, 0).await;
    assert!(server.broker.collected.take().is_empty());
}

#[tokio::test]
async fn an_upload_counts_as_under_way_until_its_video_is_told_or_it_breaks_off() {
    let server = Server::start(&[]).await;
    let totals = || {
        let state = server.app.load.state(jiff::Timestamp::now());
        (state.uploads_begun_total, state.uploads_ended_total)
    };
    let settles = async |wanted: (u64, u64)| {
        let settled = async {
            while totals() != wanted {
                tokio::task::yield_now().await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(10), settled).await;
        settled.unwrap_or_else(|_| panic!("{:?} instead of {wanted:?}", totals()));
    };
    let begin = || {
        let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let request = server.client.post(format!("{}/v1/videos", server.url));
        let request = request.body(Body::wrap_stream(ReceiverStream::new(receive)));
        (send, tokio::spawn(request.send()))
    };
    let (first, answer) = begin();
    settles((1, 0)).await;
    let (second, broken) = begin();
    settles((2, 0)).await;
    first.send(Ok(Bytes::from_static(b"bytes"))).await.expect("sends");
    drop(first);
    assert_eq!(answer.await.expect("no panic").expect("an answer").status(), 202);
    settles((2, 1)).await;
    second.send(Err(std::io::Error::other("gone"))).await.expect("sends");
    assert!(broken.await.expect("no panic").is_err());
    settles((2, 2)).await;
    assert_eq!(server.submit_url(&server.client, serde_json::json!({})).await.status(), 202);
    settles((2, 2)).await;
}

#[tokio::test]
async fn a_broken_body_leaves_nothing() {
    let server = Server::start(&[]).await;
    let address = server.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let head = "POST /v1/videos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("writes");
    socket
        .write_all(&[b"200000\r\n", vec![0; 0x20_0000].as_slice(), b"\r\nnot a length\r\n"].concat())
        .await
        .expect("writes");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("upload_interrupted"), "{answer}");
    until_files(&server, 0).await;
}

#[tokio::test]
async fn silence_ends_an_upload() {
    let server = Server::start(&["--upload-idle", "100ms"]).await;
    let (send, receive) = mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    send.send(Ok(Bytes::from(vec![0; 1_000_000]))).await.expect("sends");
    let response = server.post("/v1/videos", Body::wrap_stream(ReceiverStream::new(receive))).await;
    problem(408, "upload_timeout", response).await;
    drop(send);
    until_files(&server, 0).await;
}

#[tokio::test]
async fn an_upload_has_its_time() {
    let server = Server::start(&["--upload-total", "200ms"]).await;
    let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
    let endless = first.chain(stream::pending());
    problem(408, "upload_timeout", server.post("/v1/videos", Body::wrap_stream(endless)).await).await;
    until_files(&server, 0).await;
}

/// The beginning of a form, up to within the text of a field.
const FORM: &str = "POST /v1/videos HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
    Content-Type: multipart/form-data; boundary=b\r\n\r\n\
    36\r\n--b\r\nContent-Disposition: form-data; name=\"clips\"\r\n\r\n5\r\n";

#[tokio::test]
async fn a_form_that_stalls_is_told_so_like_any_upload() {
    let server = Server::start(&["--upload-idle", "100ms"]).await;
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connects");
    socket.write_all(FORM.as_bytes()).await.expect("writes");
    let mut answer = [0; 1024];
    let length = socket.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("upload_timeout"), "{answer}");
}

#[tokio::test]
async fn a_form_has_its_time_too() {
    let server = Server::start(&["--upload-total", "200ms"]).await;
    let part = reqwest::multipart::Part::stream(Body::wrap_stream(
        stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]).chain(stream::pending()),
    ));
    let form = reqwest::multipart::Form::new().part("file", part.file_name("a.mp4"));
    let response = server.client.post(format!("{}/v1/videos", server.url)).multipart(form).send().await;
    problem(408, "upload_timeout", response.expect("an answer")).await;
    until_files(&server, 0).await;
}

#[tokio::test]
async fn a_form_that_breaks_off_is_told_so_like_any_upload() {
    let server = Server::start(&[]).await;
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connects");
    socket.write_all(format!("{FORM}not a length\r\n").as_bytes()).await.expect("writes");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("upload_interrupted"), "{answer}");
}
