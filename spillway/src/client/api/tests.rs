use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const SHORT: Duration = Duration::from_millis(500);

/// Returns a client that soon loses patience, and where its server may listen.
async fn impatient() -> (Api, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let api = Api::new(server.parse().expect("a URL"), None).expect("a client");
    (Api { patience: Patience { answer: SHORT, upload: SHORT }, ..api }, listener)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().await.expect("a connection");
    let mut head = [0; 4096];
    let _ = socket.read(&mut head).await.expect("a request");
    socket
}

#[tokio::test]
async fn a_key_goes_with_every_request_and_is_not_shown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = format!("http://{}", listener.local_addr().expect("an address"));
    let key: Secret = "k-1".parse().expect("a secret");
    let api = Api::new(server.parse().expect("a URL"), Some(&key)).expect("a client");
    assert!(!format!("{:?}", api.client).contains("k-1"));
    let asking = tokio::spawn(async move { api.video("v").await.map(|_| ()) });
    let (mut socket, _) = listener.accept().await.expect("a connection");
    let mut head = [0; 4096];
    let length = socket.read(&mut head).await.expect("a request");
    let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
    assert!(head.contains("authorization: bearer k-1"), "{head}");
    drop(socket);
    assert!(matches!(asking.await.expect("it ends"), Err(Error::Broken(_))));

    let broken: Secret = "a\nb".parse().expect("a secret");
    assert!(Api::new(server.parse().expect("a URL"), Some(&broken)).is_err());
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_is_given_up() {
    let (api, listener) = impatient().await;
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await);
        }
    });
    let results = [
        api.video("v").await.map(|_| ()),
        api.unfinished().await.map(|_| ()),
        api.clips("v").await.map(|_| ()),
        api.submit_url("http://host/a.mp4", &[]).await.map(|_| ()),
        api.events("v", None).await.map(|_| ()),
        api.file("/f").await.map(|_| ()),
    ];
    for result in results {
        assert!(matches!(result, Err(Error::Unreachable(_))), "{result:?}");
    }
    silent.abort();
}

#[tokio::test]
async fn a_file_may_take_long_but_not_be_silent() {
    let (api, listener) = impatient().await;
    let serving = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await.expect("writes");
        for _ in 0..6 {
            tokio::time::sleep(SHORT / 3).await;
            socket.write_all(b"x").await.expect("writes");
        }
        socket
    });
    let mut file = api.file("/f").await.expect("opens");
    let mut read = 0;
    let end = loop {
        match api.next_bytes(&mut file).await {
            Ok(Some(bytes)) => read += bytes.len(),
            end => break end,
        }
    };
    assert_eq!(read, 6);
    assert!(matches!(end, Err(Error::Unreachable(_))), "{end:?}");
    drop(serving.await);
}

#[tokio::test]
async fn an_upload_may_take_long_but_not_stall() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mp4");
    std::fs::write(&path, vec![0; 64 << 20]).expect("a file");
    let (api, listener) = impatient().await;
    let serving = tokio::spawn(async move {
        let mut socket = accept(&listener).await;
        let mut some = vec![0; 4 << 20];
        for _ in 0..6 {
            tokio::time::sleep(SHORT / 3).await;
            socket.read_exact(&mut some).await.expect("bytes");
        }
        std::future::pending::<TcpStream>().await
    });
    let begun_at = std::time::Instant::now();
    let result = api.upload(&path, &[], |_| {}).await;
    assert!(matches!(result, Err(Error::Broken(_))), "{result:?}");
    assert!(begun_at.elapsed() > SHORT * 2, "it goes on as long as bytes move");
    serving.abort();
}

#[test]
fn this_machine_is_never_behind_a_proxy() {
    for (server, expected) in [
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080/base", true),
        ("http://localhost", true),
        ("http://10.0.0.1", false),
        ("https://spillway.example", false),
    ] {
        assert_eq!(is_loopback(&server.parse().expect("a URL")), expected, "{server}");
    }
}
