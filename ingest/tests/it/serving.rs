//! What a connection may do, and how serving ends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

#[tokio::test]
async fn a_stop_lets_the_upload_under_way_end() {
    let server = Server::start(&[]).await;
    let address = server.url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.expect("connects");
    socket.write_all(b"POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\n\r\n").await.expect("writes");
    socket.write_all(&vec![7; 400_000]).await.expect("writes");
    while server.files().is_empty() {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    socket.write_all(&vec![7; 200_000]).await.expect("writes");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer, then the end");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(server.files().len(), 1);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = Server::start(&[]).await;
    let mut socket = TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("connects");
    let head = format!("GET /v1/videos HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    drop(socket.write_all(head.as_bytes()).await);
    let mut answer = Vec::new();
    drop(socket.read_to_end(&mut answer).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
