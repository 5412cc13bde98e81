//! Pulling speech models from a server of one's own.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use processors::models::catalog::{Error, Languages, Progress, SpeechModel, pull};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use url::Url;

/// A model like those of the catalogue, of `length` bytes.
fn model(length: usize) -> (SpeechModel, Vec<u8>) {
    let bytes: Vec<u8> = (0..length).map(|n| (n * n % 251) as u8).collect();
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let model = SpeechModel {
        name: "fake",
        file: "ggml-fake.bin",
        bytes: length as u64,
        sha256: sum.leak(),
        languages: Languages::English,
        licence: "MIT",
    };
    (model, bytes)
}

async fn file(State(bytes): State<Bytes>, headers: HeaderMap) -> Response {
    let range = headers.get(header::RANGE).map(|value| value.to_str().unwrap().to_owned());
    let Some(range) = range else { return bytes.into_response() };
    let start: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    let told = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
    (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, told)], bytes.slice(start..)).into_response()
}

/// Serves `bytes` as the model's file and returns the base address.
async fn serve(bytes: Vec<u8>) -> Url {
    let router = Router::new().route("/models/ggml-fake.bin", get(file)).with_state(Bytes::from(bytes));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/models").parse().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_model_is_pulled_whole_and_a_second_pull_fetches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (model, bytes) = model(300_000);
    let origin = serve(bytes.clone()).await;
    let mut last = None;
    let path = pull(&model, &origin, folder.path(), |progress| last = Some(progress)).await.unwrap();
    assert_eq!(last, Some(Progress { done: 300_000, total: 300_000 }));
    assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (bytes, vec!["ggml-fake.bin".to_owned()]));
    let nowhere = "http://127.0.0.1:1/".parse().unwrap();
    assert_eq!(pull(&model, &nowhere, folder.path(), |_| ()).await.unwrap(), path);
}

#[tokio::test]
async fn a_pull_that_broke_off_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (model, bytes) = model(300_000);
    let origin = serve(bytes.clone()).await;
    std::fs::write(folder.path().join("ggml-fake.bin.part"), &bytes[..200_000]).unwrap();
    let mut first = None;
    let path = pull(&model, &origin, folder.path(), |progress| first = first.or(Some(progress.done))).await.unwrap();
    assert!(first.is_some_and(|done| done > 200_000), "{first:?}");
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}

#[tokio::test]
async fn bytes_that_are_not_the_model_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (model, mut bytes) = model(5_000);
    bytes[4_000] ^= 1;
    let origin = serve(bytes).await;
    let error = pull(&model, &origin, folder.path(), |_| ()).await.unwrap_err();
    assert!(matches!(&error, Error::Wrong { what, .. } if what.contains("sha256")), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
    let origin = serve(b"<html>a portal</html>".to_vec()).await;
    let error = pull(&model, &origin, folder.path(), |_| ()).await.unwrap_err();
    assert!(matches!(&error, Error::Wrong { what, .. } if what.contains("21 bytes")), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn without_a_connection_the_message_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = model(5_000);
    let error = pull(&model, &"http://127.0.0.1:1/x".parse().unwrap(), folder.path(), |_| ()).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("cannot be reached") && told.contains("ggml-fake.bin"), "{told}");
    let origin: Url = serve(Vec::new()).await.join("/elsewhere/").unwrap();
    let error = pull(&model, &origin, folder.path(), |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: StatusCode::NOT_FOUND, .. }), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}
