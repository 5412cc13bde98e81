//! What happens when there is too much: quotas, saved work, refusals.

use futures::future::join_all;
use ingest::load::{Memory, Seen};
use jiff::Timestamp;
use pipeline::event::{Happened, UnitDone, VideoSubmitted, WorkerReport};
use pipeline::stage::StageName;
use serde_json::{Value, json};

use crate::server::{Server, problem};
use crate::tenants::{File, caller};

fn retry_after(response: &reqwest::Response) -> u64 {
    response.headers()["retry-after"].to_str().expect("text").parse().expect("seconds")
}

#[tokio::test]
async fn of_many_at_once_as_many_are_accepted_as_the_quota_says() {
    let file = File::of(&[("acme", &["a"], "unfinished_videos = 20"), ("bolt", &["b"], "")]);
    let server = file.serve(&[]).await;
    let acme = caller("a");
    let answers = join_all((0..50).map(|_| server.submit_url(&acme, json!({})))).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 202);
    assert_eq!((accepted.len(), refused.len()), (20, 30));
    for answer in refused {
        assert_eq!(retry_after(&answer), 30, "nothing tells when a video ends");
        let body = problem(429, "quota_exceeded", answer).await;
        assert!(body["detail"].as_str().expect("text").contains("the quota is 20 at once"), "{body}");
    }
    server.accepted(&caller("b"), json!({})).await;
    assert_eq!(server.published::<VideoSubmitted>().len(), 21);
}

#[tokio::test]
async fn a_repeated_request_needs_no_place_and_a_broken_one_keeps_none() {
    let file = File::of(&[("acme", &["a"], "unfinished_videos = 1")]);
    let server = file.serve(&[]).await;
    let acme = caller("a");
    let post = |query: &str| acme.post(format!("{}/v1/videos{query}", server.url)).header("idempotency-key", "k");
    problem(422, "invalid_option", post("?clips=0").body("bytes").send().await.expect("an answer")).await;
    problem(422, "empty_file", post("").send().await.expect("an answer")).await;
    let same = join_all((0..10).map(|_| post("").body("bytes").send())).await;
    assert!(same.into_iter().all(|answer| answer.expect("an answer").status() == 202));
    let files = server.files();
    let refused = acme.post(format!("{}/v1/videos", server.url)).body("more").send().await.expect("an answer");
    problem(429, "quota_exceeded", refused).await;
    assert_eq!(server.files(), files);
}

#[tokio::test]
async fn the_hours_quota_says_when_the_earliest_leaves_the_hour() {
    let file = File::of(&[("acme", &["a"], "videos_per_hour = 2")]);
    let server = file.serve(&[]).await;
    let acme = caller("a");
    for _ in 0..2 {
        let video = server.accepted(&acme, json!({})).await;
        // Ended or deleted, it was accepted all the same.
        let path = format!("{}/v1/videos/{}", server.url, video["id"].as_str().expect("an id"));
        assert_eq!(acme.delete(path).send().await.expect("an answer").status(), 204);
    }
    let refused = server.submit_url(&acme, json!({})).await;
    assert!((3590..=3600).contains(&retry_after(&refused)));
    problem(429, "quota_exceeded", refused).await;
}

#[tokio::test]
async fn what_other_processes_accepted_counts() {
    let file = File::of(&[("acme", &["a"], "videos_per_day = 2\nunfinished_videos = 9")]);
    let server = file.serve(&[]).await;
    let acme = caller("a");
    for _ in 0..2 {
        server.accepted(&acme, json!({})).await;
    }
    // Another process over the same store.
    let path = file.path.to_str().expect("a path in UTF-8");
    let args = crate::server::args(&["--tenants", path]);
    let (store, blobs) = (server.app.store.clone(), server.app.blobs.clone());
    let other = ingest::App::new(store, blobs, server.broker.clone(), &args, server.stop.clone()).expect("an API");
    let other = server.beside(other).await;
    problem(429, "quota_exceeded", acme.post(format!("{other}/v1/videos")).body("x").send().await.expect("an answer"))
        .await;
}

#[tokio::test]
async fn a_degraded_service_accepts_says_so_and_tells_the_workers() {
    let server = Server::start(&[]).await;
    let load = &server.app.load;
    let at = |second| Timestamp::from_second(second).expect("a time");
    let queue = |unfinished| Seen { unfinished: Some(unfinished), ..Seen::default() };
    assert!(!load.observe(queue(199), at(0)));
    assert!(load.observe(queue(200), at(1)));
    let body = server.accepted(&server.client, json!({})).await;
    assert_eq!(body["degraded"], true);
    assert!(server.published::<VideoSubmitted>()[0].job.degraded);
    let state = load.state(at(2));
    assert_eq!((state.degraded, state.since_ms, state.unfinished_limit), (true, 1_000, 200));
    assert_eq!(state.reasons, ["200 videos have not ended, 200 degrade the service"]);
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(metrics.contains("spillway_overload_breaker_open{breaker=\"queue\"}"), "{metrics}");

    assert!(load.observe(queue(0), at(61)));
    assert_eq!(server.accepted(&server.client, json!({})).await["degraded"], false);
    assert_eq!(load.state(at(62)).reasons, [""; 0]);
}

#[tokio::test]
async fn a_failing_service_outside_degrades() {
    let server = Server::start(&["--degraded-for", "0s"]).await;
    let now = Timestamp::now();
    let report = |outside_failures| WorkerReport {
        worker: "transcribe-1".to_owned(),
        at_ms: now.as_millisecond(),
        outside_failures,
        ..WorkerReport::default()
    };
    for (failures, degraded) in [(9, false), (10, true), (0, false)] {
        server.app.workers.hear(&report(failures));
        let seen = Seen { outside_failures: server.app.workers.outside_failures(now), ..Seen::default() };
        server.app.load.observe(seen, now);
        assert_eq!(server.app.load.is_degraded(), degraded, "after {failures} failures");
    }
}

#[tokio::test]
async fn a_video_is_refused_before_its_bytes_when_disk_or_memory_is_short() {
    let server = Server::start(&["--disk-reserve", "1000"]).await;
    let seen = |free, percent| Seen {
        disk_free_bytes: Some(free),
        memory: Some(Memory { used_bytes: percent, limit_bytes: 100 }),
        ..Seen::default()
    };
    let now = Timestamp::now();
    server.app.load.observe(seen(1005, 96), now);
    let refused = server.post("/v1/videos", "bytes").await;
    assert_eq!(retry_after(&refused), 10);
    problem(503, "overloaded", refused).await;

    server.app.load.observe(seen(1004, 94), now);
    let refused = server.post("/v1/videos", "bytes").await;
    assert_eq!(retry_after(&refused), 60);
    problem(503, "overloaded", refused).await;
    assert!(server.files().is_empty());
    assert_eq!(server.app.load.state(now).refusing, "", "only this one is too large");
    assert_eq!(server.get("/v1/videos").await.status(), 200);

    server.app.load.observe(seen(1005, 94), now);
    assert_eq!(server.post("/v1/videos", "bytes").await.status(), 202);
}

#[tokio::test]
async fn five_hundred_at_once_are_accepted_and_told_how_long_they_wait() {
    let server = Server::start(&[]).await;
    let unit = UnitDone { stage: StageName::Cut as i32, finished_ms: 10_000, ..UnitDone::default() };
    server.finished(60.0, [Happened::UnitDone(unit)]).await;

    let answers = join_all((0..500).map(|_| server.post("/v1/videos", "bytes"))).await;
    let mut waits = Vec::new();
    for answer in answers {
        assert_eq!(answer.status(), 202);
        let body: Value = answer.json().await.expect("JSON");
        waits.push(body["estimated_left_s"].as_f64().expect("an estimate"));
    }
    waits.sort_by(f64::total_cmp);
    // The first took 10 s, so the last of 500 waits for some 5000 s; the order of arrival is not that of the answers.
    assert!((10.0..100.0).contains(&waits[0]) && (4500.0..5100.0).contains(&waits[499]), "{waits:?}");
}
