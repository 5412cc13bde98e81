//! The dashboard of a running service, in a real browser: empty, busy and failing, with killed workers and dead letters
//! in it. `dashboard/tests/browser/` says what is looked at; `make pictures` keeps what was seen.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::dev::{Dev, Home};
use testing::api::{Api, OPTIONS, VIDEO_LIMIT};
use testing::media::talk;

/// A name that is a page of its own where it is not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>.mp4";
/// Variable with the folder in which pictures are kept.
const PICTURES: &str = "SPILLWAY_PICTURES";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hold_in_every_state() {
    let home = Home::new();
    let settings = [("SPILLWAY_PARTITIONS", "4"), ("SPILLWAY_CLAIM_LEASE", "3s")];
    let dev = Dev::start(&home, &settings);
    let api = Api::at(dev.address());
    visit(&dev, "empty", None).await;

    let done = api.upload(talk(), OPTIONS).await;
    api.done(&done).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(api.upload(talk(), OPTIONS).await);
    }
    visit(&dev, "busy", Some(&done)).await;

    let hostile = home.data().join("hostile.mp4");
    std::fs::write(&hostile, "no video at all").expect("a file");
    let bad = upload_as(&api, &hostile, HOSTILE).await;
    dev.kill("analyze").await;
    assert_eq!(api.ended(&bad, VIDEO_LIMIT).await["state"], "failed");
    visit(&dev, "failing", Some(&bad)).await;
    for id in &waiting {
        api.ended(id, VIDEO_LIMIT).await;
    }
    use_it(&dev).await;
    streams_leave_no_gap(&api).await;
}

/// Looks at every page in a browser.
async fn visit(dev: &Dev, state: &str, video: Option<&str>) {
    let mut arguments = vec![format!("http://{}", dev.address()), state.to_owned()];
    if let Some(video) = video {
        arguments.extend(["--video".to_owned(), format!("default/{video}")]);
    }
    if state == "failing" {
        arguments.push("--thorough".to_owned());
    }
    if let Ok(folder) = std::env::var(PICTURES) {
        arguments.extend(["--pictures".to_owned(), folder]);
    }
    browse("visit.py", arguments).await;
}

/// Does what a person does.
async fn use_it(dev: &Dev) {
    browse("use.py", vec![format!("http://{}", dev.address()), talk().display().to_string()]).await;
}

async fn browse(script: &str, arguments: Vec<String>) {
    let servers = std::env::var_os("SPILLWAY_TEST_SERVERS").expect("SPILLWAY_TEST_SERVERS, as `make test` sets it");
    let packages = PathBuf::from(servers).join("browser/packages");
    assert!(packages.is_dir(), "no browser: call scripts/setup-browser, as `make test` does");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboard/tests/browser");
    let mut python = Command::new("python3");
    python.arg("-B").arg(folder.join(script)).args(arguments).env("PYTHONPATH", packages);
    let output = tokio::task::spawn_blocking(move || python.output()).await.expect("a thread").expect("python3");
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{script}: {said}{error}");
}

async fn upload_as(api: &Api, file: &Path, name: &str) -> String {
    let part = reqwest::multipart::Part::bytes(std::fs::read(file).expect("the file")).file_name(name.to_owned());
    let form = reqwest::multipart::Form::new().part("file", part);
    let answer = api.post("/v1/videos").multipart(form).send().await.expect("an answer");
    let body: Value = answer.json().await.expect("JSON");
    body["id"].as_str().expect("an id").to_owned()
}

/// Who was away gets the points that were missed, each once, in order.
async fn streams_leave_no_gap(api: &Api) {
    let first = points(api, "/live?view=overview&since=0", None, 3).await;
    let last = *first.last().expect("points");
    // While nobody follows, points are made more rarely; all that there are must come.
    let whole = points(api, "/live?view=overview&since=0", None, first.len() + 3).await;
    let rest = points(api, "/live?view=overview", Some(last), whole.len() - first.len()).await;
    assert_eq!([first, rest].concat()[..whole.len()], whole[..]);
}

/// Returns the ids of the first `count` points of a stream.
async fn points(api: &Api, path: &str, after: Option<i64>, count: usize) -> Vec<i64> {
    let mut answer = match after {
        None => api.get(path).await,
        Some(id) => api.get_after(path, id).await,
    };
    let (mut text, mut ids) = (String::new(), Vec::new());
    let reading = async {
        while ids.len() < count {
            let chunk = answer.chunk().await.expect("the stream goes on").expect("the stream does not end");
            text.push_str(&String::from_utf8_lossy(&chunk));
            let points = text.split("\n\n").filter(|event| event.contains("event: point"));
            let id = |event: &str| event.lines().find_map(|line| line.strip_prefix("id: "))?.parse().ok();
            ids = points.filter_map(id).collect();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("points come");
    ids.truncate(count);
    ids
}
