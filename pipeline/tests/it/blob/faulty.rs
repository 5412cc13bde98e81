//! An S3 server that does not do its work is unavailable, and that is known in time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pipeline::blob::{Blobs, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::bucket;

/// Half of an object.
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\
                   Last-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\n\r\nhalf of it";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The longest that may take: the patience is 1 s, a try 1 s, and the waits between tries grow.
const LIMIT: Duration = Duration::from_secs(15);

/// Starts a server that gives each request the same answer and hangs up; one that says nothing never hangs up.
async fn server(answer: &'static str) -> Blobs {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 64 << 10];
                let _ = client.read(&mut request).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = client.write_all(answer.as_bytes()).await;
            });
        }
    });
    let mut variables = testing::s3::variables(&endpoint, testing::s3::KEYS);
    variables.push(("AWS_TIMEOUT".to_owned(), "1s".to_owned()));
    Blobs::open_bucket(&bucket("any", variables)).unwrap()
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(what: &str, begun: Instant, result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Unavailable(_))), "{what}: {result:?}");
    assert!(begun.elapsed() < LIMIT, "{what} took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_and_silent_servers_are_unavailable_in_time() {
    for answer in [BUSY, ""] {
        let blobs = server(answer).await;
        let begun = Instant::now();
        tokio::join!(
            async { unavailable("get", begun, blobs.get("key").await) },
            async { unavailable("range", begun, blobs.get_range("key", 0..10).await) },
            async { unavailable("size", begun, blobs.size("key").await) },
            async { unavailable("put", begun, blobs.put("key", Bytes::from_static(b"x")).await) },
            async { unavailable("upload", begun, blobs.upload("key").await.map(drop)) },
            async { unavailable("remove", begun, blobs.remove("key").await) },
            async { unavailable("list", begun, blobs.tenants().await) },
            async { unavailable("ping", begun, blobs.ping().await) },
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_cut_are_unavailable_in_time() {
    let blobs = server(CUT).await;
    let begun = Instant::now();
    unavailable("get", begun, blobs.get("key").await);
    unavailable("range", begun, blobs.get_range("key", 0..1000).await);
}
