//! `spillway models`: what is listed, and that nothing but the pinned bytes is ever kept.

use std::path::Path;
use std::process::Output;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::get;
use pipeline::loopback;
use tempfile::TempDir;

use crate::dev::command;

/// The smallest model's length, in bytes.
const TINY_BYTES: usize = 77_691_713;
/// Its file.
const TINY_FILE: &str = "ggml-tiny.bin";

/// A server on loopback, whose folders hold models that are none.
async fn mirror() -> String {
    let zeros = || async { Body::from(vec![0_u8; TINY_BYTES]) };
    let router = Router::new()
        .route(&format!("/zeros/{TINY_FILE}"), get(zeros))
        .route(&format!("/short/{TINY_FILE}"), get(async || "half"))
        .route(&format!("/long/{TINY_FILE}"), get(async || Body::from(vec![0_u8; TINY_BYTES + 1])))
        .route(&format!("/broken/{TINY_FILE}"), get(async || StatusCode::SERVICE_UNAVAILABLE));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// Calls `spillway models` for the models in `folder`.
async fn models(folder: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.arg("models").args(words).arg("--models").arg(folder).envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("spillway starts")
}

/// Sees that it failed with one line that has all of `words`, and left no file in `folder`.
#[track_caller]
fn refused(folder: &Path, output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{told}");
    for word in words {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    let left: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?} after {told}");
}

#[tokio::test]
async fn models_are_listed_with_whether_they_are_there() {
    let folder = TempDir::new().expect("a folder");
    let list = async || {
        let output = models(folder.path(), &["list"], &[]).await;
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).expect("text")
    };
    let listed = list().await;
    assert_eq!(listed.lines().filter(|line| line.ends_with(" no")).count(), 9, "{listed}");
    assert!(listed.starts_with("NAME ") && listed.contains(&folder.path().to_string_lossy()[..]), "{listed}");
    let file = std::fs::File::create(folder.path().join(TINY_FILE)).expect("make a file");
    file.set_len(TINY_BYTES as u64).expect("make it long");
    let listed = list().await;
    let there: Vec<&str> = listed.lines().filter(|line| line.ends_with(" yes")).collect();
    assert!(there.len() == 1 && there[0].starts_with("tiny "), "{listed}");
}

#[tokio::test]
async fn other_bytes_than_the_pinned_ones_are_refused_and_not_kept() {
    let (folder, mirror) = (TempDir::new().expect("a folder"), mirror().await);
    let folder = folder.path();
    for (place, words) in [
        ("zeros", &["not the model", "its sha256 is ", "removed", "from another place"][..]),
        ("short", &["not the model", "it has 4 bytes, not 77691713"]),
        ("long", &["not the model", "more than 77691713 bytes"]),
        ("broken", &["503", "--from"]),
        ("nowhere", &["404", "--from"]),
    ] {
        let from = format!("{mirror}/{place}");
        let output = models(folder, &["pull", "tiny", "--from", &from], &[]).await;
        refused(folder, &output, &[words, &[&from]].concat());
    }
    refused(folder, &models(folder, &["pull", "huge"], &[]).await, &["no speech model huge", "base.en"]);
}

#[tokio::test]
async fn a_machine_that_is_offline_is_told_what_to_do() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join(TINY_FILE);
    let nobody = format!("http://{}", loopback::free_address().expect("a free port"));
    let words = ["cannot be reached", "connect this machine and pull again", &file.to_string_lossy()];
    // The world beyond a proxy that is not there, as on a machine without a network.
    let output = models(folder.path(), &["pull", "tiny"], &[("HTTPS_PROXY", &nobody), ("https_proxy", &nobody)]).await;
    refused(folder.path(), &output, &[&words[..], &["https://"]].concat());
    let output = models(folder.path(), &["pull", "tiny", "--from", &nobody], &[]).await;
    refused(folder.path(), &output, &[&words[..], &[&nobody]].concat());
}
