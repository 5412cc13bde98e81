//! A refusal is heard, however much the caller still has to say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

const LARGE: usize = 10_000_000;

/// Sends all of a request and returns the answer.
async fn exchange(server: &Server, path: &str, headers: &str, body: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connects");
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}");
    socket.write_all(format!("{head}\r\n").as_bytes()).await.expect("takes the head");
    socket.write_all(body).await.expect("takes all of the body");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Returns a form: a field, then a file of `bytes`.
fn form(field: &str, value: &str, bytes: usize) -> Vec<u8> {
    let mut form = format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\n{value}\r\n").into_bytes();
    form.extend(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp4\"\r\n\r\n");
    form.resize(form.len() + bytes, b'x');
    form.extend(b"\r\n--b--\r\n");
    form
}

const FORM: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

#[tokio::test]
async fn an_early_refusal_is_not_lost_to_a_reset() {
    let server = Server::start(&[]).await;
    let bytes = vec![b'x'; LARGE];
    let long_name = "x".repeat(5_000);
    for (path, headers, body, code) in [
        ("/v1/videos?colour=blue", "", bytes.clone(), "unknown_option"),
        ("/v1/videos?clips=1&clips=2", "", bytes.clone(), "duplicate_option"),
        ("/v1/videos?min_clip_s=60&max_clip_s=8", "", bytes.clone(), "invalid_option"),
        ("/v1/videos", "Idempotency-Key:\r\n", bytes.clone(), "invalid_idempotency_key"),
        ("/v1/videos", "Content-Type: application/json\r\n", bytes, "malformed_request"),
        ("/v1/videos", FORM, form("colour", "blue", LARGE), "unknown_option"),
        ("/v1/videos", FORM, form("clips", "many", LARGE), "invalid_option"),
        ("/v1/videos", FORM, form("name", &long_name, LARGE), "invalid_option"),
        ("/v1/videos", "Content-Type: multipart/form-data\r\n", form("clips", "3", LARGE), "malformed_request"),
    ] {
        let answer = exchange(&server, path, headers, &body).await;
        assert!(answer.contains(code), "{path} {headers}: {answer}");
    }
    assert!(server.files().is_empty());
}

#[tokio::test]
async fn a_form_that_says_it_is_too_large_is_not_read() {
    let server = Server::start(&["--max-upload-bytes", "2000000"]).await;
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connects");
    let head = format!("POST /v1/videos HTTP/1.1\r\nHost: x\r\n{FORM}Content-Length: 3100000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.expect("takes the head");
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.expect("an answer before any of the body");
    assert_eq!(&answer, b"HTTP/1.1 413");
    let fits = exchange(&server, "/v1/videos", FORM, &form("clips", "3", 2_000_000)).await;
    assert!(fits.starts_with("HTTP/1.1 202"), "{fits}");
}

#[tokio::test]
async fn a_caller_that_holds_its_bytes_back_is_not_asked_for_them() {
    let server = Server::start(&[]).await;
    let headers = "Expect: 100-continue\r\n";
    let refused = exchange(&server, "/v1/videos?colour=blue", headers, b"").await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let taken = exchange(&server, "/v1/videos", headers, b"some bytes").await;
    assert!(taken.starts_with("HTTP/1.1 100") && taken.contains("HTTP/1.1 202"), "{taken}");
}
