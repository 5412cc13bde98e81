//! The dashboard of a running service, in a real browser: empty, busy and failing, with killed workers and dead letters
//! in it. `dashboard/tests/browser/` says what is looked at; `make pictures` keeps what was seen.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::described::is_described;
use crate::dev::{Dev, Home};
use crate::outside::Outside;
use testing::api::{Api, OPTIONS, VIDEO_LIMIT};
use testing::media::talk;
use testing::processes;
use testing::until::until;
use testing::web::Web;

/// A name that is a page of its own where it is not escaped.
const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>.mp4";
/// Variable with the folder in which pictures are kept.
const PICTURES: &str = "SPILLWAY_PICTURES";

/// One short clip a video.
const ONE_CLIP: &str = "clips=1&min_clip_s=3&max_clip_s=4&height=320";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hold_in_every_state() {
    let home = Home::new();
    let reports = home.data().join("reports");
    let settings = [
        ("SPILLWAY_PARTITIONS", "4"),
        ("SPILLWAY_CLAIM_LEASE", "3s"),
        ("SPILLWAY_DEV_AUTOSCALE", "true"),
        ("SPILLWAY_TICK", "1s"),
        ("SPILLWAY_PINS", "fetch=fixed:4"),
        ("SPILLWAY_ALLOW_PRIVATE_URLS", "true"),
        ("SPILLWAY_URL_IDLE_TIMEOUT", "1h"),
        ("SPILLWAY_REPORTS", reports.to_str().expect("a path")),
    ];
    let dev = Dev::start(&home, &settings);
    let api = Api::at(dev.address());
    visit(&dev, "empty", &[]).await;

    // Of each two slots of a process one is left for what else comes to its partitions.
    let web = Web::start(talk()).await;
    let held = api.submit_url(&web.url("held.mp4"), ONE_CLIP).await;
    let done = api.upload(talk(), OPTIONS).await;
    api.done(&done).await;
    // What is stopped holds its work for as long as the pages are looked at.
    let analyze = dev.child("analyze");
    processes::send(analyze, Signal::SIGSTOP);
    let waiting = [api.upload(talk(), ONE_CLIP).await, api.upload(talk(), ONE_CLIP).await];
    api.past(&waiting[0], "split").await;
    let waits: Value = page(&api, &format!("/videos/default/{}", waiting[0])).await;
    let rows = waits["now"]["waterfall"]["rows"].as_array().expect("rows");
    assert!(rows.iter().any(|row| row["stage"] == "analyze" && row["waiting"] == 1), "{rows:?}");
    visit(&dev, "busy", &[&waiting[0], &held, &done]).await;
    watch(&dev).await;
    processes::send(analyze, Signal::SIGCONT);

    let outside = Outside::start(talk()).await;
    let hostile = home.data().join("hostile.mp4");
    std::fs::write(&hostile, "no video at all").expect("a file");
    let bad = upload_as(&api, &hostile, HOSTILE).await;
    let mut failed = Vec::new();
    for _ in 0..5 {
        failed.push(api.submit_url(&outside.video_url(), ONE_CLIP).await);
    }
    keep_runs(&reports);
    dev.kill("analyze").await;
    for id in failed.iter().chain([&bad]) {
        assert_eq!(api.ended(id, VIDEO_LIMIT).await["state"], "failed");
    }
    numbers_agree(&api, 6).await;
    the_killed_is_silent(&api).await;
    described(&api, &failed[0], &done).await;
    visit(&dev, "failing", &[&bad]).await;
    for id in &waiting {
        api.done(id).await;
    }
    outside.has_video(true);
    operate(&dev, &outside.video_url(), &held, &done, &failed).await;
    use_it(&dev).await;
    streams_leave_no_gap(&api).await;
}

/// Looks at every page in a browser, and at those of `videos`.
async fn visit(dev: &Dev, state: &str, videos: &[&str]) {
    let mut arguments = vec![dev.url(), state.to_owned()];
    for video in videos {
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

/// Many people watch the overview.
async fn watch(dev: &Dev) {
    browse("viewers.py", vec![dev.url(), dev.child("ingest").to_string(), "--seconds".to_owned(), "8".to_owned()])
        .await;
}

/// Does what an operator does.
async fn operate(dev: &Dev, url: &str, held: &str, ended: &str, failed: &[String]) {
    let mut arguments = vec![dev.url(), url.to_owned()];
    arguments.extend(["--held", held, "--ended", ended, "--failed"].map(str::to_owned));
    arguments.extend(failed.iter().cloned());
    browse("operate.py", arguments).await;
}

/// Returns a page as programs get it.
async fn page(api: &Api, path: &str) -> Value {
    let answer = api.get_json(path).await;
    answer.error_for_status().expect("a page").json().await.expect("JSON")
}

/// The videos behind a number of the bar are those that it counts.
async fn numbers_agree(api: &Api, failed: usize) {
    let listed = until("the bar has heard of all", VIDEO_LIMIT, async || {
        let listed = page(api, "/videos?state=failed&ended=1h").await;
        (listed["bar"]["failed_1h"] == failed).then_some(listed)
    })
    .await;
    assert_eq!(listed["videos"].as_array().map(Vec::len), Some(failed), "{listed}");
    let other = page(api, "/videos?state=failed&ended=1h&lane=batch").await;
    assert_eq!(other["videos"].as_array().map(Vec::len), Some(0), "{other}");
}

/// A worker that was killed does not just vanish.
async fn the_killed_is_silent(api: &Api) {
    let silent = until("the killed worker is silent", VIDEO_LIMIT, async || {
        let workers = page(api, "/workers?stage=analyze").await["now"]["workers"].take();
        workers.as_array()?.iter().find(|one| one["state"] == "silent").cloned()
    })
    .await;
    assert!(silent["seen_ms_ago"].as_i64().is_some_and(|ms| ms >= 15_000), "{silent}");
}

/// Pages that only something that happened has answer what is described of them; the others, with what is in them now.
async fn described(api: &Api, failed: &str, done: &str) {
    let letters = page(api, "/letters").await;
    let letter = letters["letters"][0]["id"].as_str().expect("a letter").to_owned();
    let workers = page(api, "/workers").await;
    let worker = workers["now"]["workers"][0]["worker"].as_str().expect("a worker").to_owned();
    for (name, answer) in [("/letters", letters), ("/workers", workers)] {
        is_described(name, &answer);
    }
    for path in ["/", "/videos", "/queues", "/autoscaler", "/autoscaler/decisions", "/cost"] {
        is_described(path, &page(api, path).await);
    }
    for video in [failed, done] {
        let path = format!("/videos/default/{video}");
        is_described("/videos/TENANT/ID", &page(api, &path).await);
        is_described("/videos/TENANT/ID/events?after=SEQ", &page(api, &format!("{path}/events")).await);
        is_described("/videos/TENANT/ID/cancel", &page(api, &format!("{path}/cancel")).await);
    }
    is_described("/letters/STAGE/PARTITION/OFFSET", &page(api, &format!("/letters/{letter}")).await);
    let confirm = page(api, &format!("/letters/confirm?action=replay&id={letter}")).await;
    is_described("/letters/confirm?action=replay&id=ID", &confirm);
    is_described("/workers/drain?worker=WORKER", &page(api, &format!("/workers/drain?worker={worker}")).await);
}

/// Keeps two runs of a load test, as `spillway loadtest` does.
fn keep_runs(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, begun_at, wait_s) in
        [("20261124T100000Z-users-6", 1_795_514_400, 20.0), ("20261125T100000Z-users-6", 1_795_600_800, 150.0)]
    {
        let at_ms = |second: i64| (begun_at + second) * 1000;
        let begun = jiff::Timestamp::from_second(begun_at).expect("a moment").to_string();
        let quantiles = json!({"p50": wait_s / 2.0, "p95": wait_s, "p99": wait_s, "max": wait_s});
        let fleet = |second: i64| {
            let workers = json!({"cut": {"slots": 2, "busy": 1, "starting": 1}});
            json!({"at_ms": at_ms(second), "stages": workers, "wanted": {"cut": 3}, "lag": {"cut": {"express": 4 + second}}})
        };
        let story = |second: i64| json!({"ended_ms": at_ms(second), "queue_wait_s": wait_s, "processing_s": 30.0, "total_s": 60.0});
        let outcome = if wait_s < 120.0 { "met" } else { "missed" };
        let measured = format!("{wait_s} s");
        let report = json!({
            "about": {"schedule": "users-6", "seed": 3, "begun_at": begun, "server": "http://127.0.0.1:8080", "cores": 2},
            "measures": {"planned": 6, "accepted": 6, "done": 6, "lost": 0, "queue_wait": quantiles, "processing": quantiles},
            "targets": [{"name": "queue wait p95", "wanted": "below 120 s", "measured": measured, "outcome": outcome}],
            "limits": [{"resource": "cores of the sender", "reached": false, "seen": "at most 30 %"}],
            "sent": [{"planned_ms": at_ms(0)}, {"planned_ms": at_ms(10)}],
            "stories": [story(60), story(70)],
            "fleets": [fleet(0), fleet(5), fleet(60)],
            "machine": [{"at_ms": at_ms(0), "busy_cores": 0.5}, {"at_ms": at_ms(60), "busy_cores": 1.5}],
        });
        std::fs::write(folder.join(format!("{name}.json")), report.to_string()).expect("a report");
    }
}

/// Does what a person does.
async fn use_it(dev: &Dev) {
    browse("use.py", vec![dev.url(), talk().display().to_string()]).await;
}

/// Runs a script of `dashboard/tests/browser/` and fails with what it found wrong.
pub async fn browse(script: &str, arguments: Vec<String>) {
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
