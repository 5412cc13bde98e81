//! Where videos are, as told.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures::future::join_all;
use jiff::Timestamp;
use pipeline::event::{Happened, Job, Options, UnitDone, VideoEvent, VideoSource};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::store::{NewVideo, StageProgress, State, VideoError, VideoState};
use serde_json::{Value, json};

use crate::server::{Server, problem};

fn progress(stage: &str, done: u32, totals: &[u32]) -> StageProgress {
    StageProgress {
        stage: stage.to_owned(),
        done,
        failed: 0,
        totals: totals.to_vec(),
        answers: std::collections::BTreeMap::new(),
    }
}

fn unit(stage: StageName, started_ms: i64, finished_ms: i64) -> Happened {
    Happened::UnitDone(UnitDone {
        stage: stage as i32,
        unit: "a".into(),
        started_ms,
        finished_ms,
        ..UnitDone::default()
    })
}

#[tokio::test]
async fn a_video_shows_its_progress_and_its_end() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let mut state = VideoState {
        state: State::Processing,
        lane: Some("batch".to_owned()),
        duration_s: Some(61.5),
        stages: vec![progress("split", 1, &[1]), progress("analyze", 4, &[7, 3]), progress("transcribe", 2, &[])],
        ..VideoState::default()
    };
    server.log(video, unit(StageName::Split, 0, 5), &state).await;
    let body = server.json(&format!("/v1/videos/{video}")).await;
    assert_eq!(body["state"], "processing");
    assert_eq!((&body["lane"], &body["duration_s"]), (&json!("batch"), &json!(61.5)));
    assert_eq!((&body["position"], &body["estimated_left_s"]), (&Value::Null, &Value::Null));
    assert_eq!(body["stages"][1], json!({"stage": "analyze", "done": 4, "failed": 0, "total": 10}));
    assert_eq!(body["stages"][2]["total"], 2, "what is done is known of");
    for (name, rest) in [("self", ""), ("events", "/events"), ("analysis", "/analysis"), ("clips", "/clips")] {
        assert_eq!(body["links"][name], format!("/v1/videos/{video}{rest}"));
    }

    state.state = State::Failed;
    state.completeness = Some(0.0);
    state.error = Some(VideoError::new(Code::NoVideoStream, StageName::Fetch));
    state.ended_at = Some(Timestamp::UNIX_EPOCH);
    server.log(video, Happened::Ended(Default::default()), &state).await;
    let body = server.json(&format!("/v1/videos/{video}")).await;
    assert_eq!((&body["state"], &body["ended_at"]), (&json!("failed"), &json!("1970-01-01T00:00:00Z")));
    assert_eq!((&body["error"]["code"], &body["error"]["stage"]), (&json!("no_video_stream"), &json!("fetch")));
}

#[tokio::test]
async fn the_wait_is_judged_by_finished_videos() {
    let server = Server::start(&[]).await;
    let units = [unit(StageName::Analyze, 1_000, 11_000), unit(StageName::Transcribe, 1_000, 21_000)];
    server.finished(60.0, units).await;
    let first = server.submit("two").await;
    let body = server.json(&format!("/v1/videos/{first}")).await;
    assert_eq!((&body["position"], &body["estimated_left_s"]), (&json!(1), &json!(20.0)));
}

#[tokio::test]
async fn lists_are_paged_newest_first_and_filtered() {
    let server = Server::start(&[]).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.submit("bytes").await.to_string());
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.json(&format!("/v1/videos?limit=2{cursor}")).await;
        let items = page["items"].as_array().expect("items");
        seen.extend(items.iter().map(|v| v["id"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);

    let done = VideoState { state: State::Done, ..VideoState::default() };
    let video = ids[1].parse().expect("an id");
    server.log(video, Happened::Ended(Default::default()), &done).await;
    let page = server.json("/v1/videos?state=done").await;
    assert_eq!((page["items"][0]["id"].as_str(), page["items"].as_array().map(Vec::len)), (Some(&*ids[1]), Some(1)));
    let page = server.json("/v1/videos?state=queued&lane=batch").await;
    assert_eq!(page, json!({"items": [], "next": null}));
}

#[tokio::test]
async fn a_video_among_many_that_do_not_fit_is_on_the_first_page() {
    let server = Server::start(&[]).await;
    let tenant = TenantId::default_tenant();
    let video = |second: i64, lane: Lane| NewVideo {
        job: Job::new(&tenant, VideoId::random(), lane, Options::default()),
        source: VideoSource::Url("http://host/a.mp4".to_owned()),
        name: String::new(),
        created_at: Timestamp::from_second(second).expect("a time"),
        request_hash: String::new(),
    };
    let oldest = video(1, Lane::Batch);
    let mut videos: Vec<NewVideo> = (2..=1100).map(|second| video(second, Lane::Express)).collect();
    videos.push(oldest.clone());
    for created in join_all(videos.iter().map(|video| server.store().create_video(video))).await {
        created.expect("a store");
    }
    let found = server.json("/v1/videos?lane=batch&limit=5").await;
    assert_eq!(found["items"].as_array().expect("a list").len(), 1);
    assert_eq!((&found["items"][0]["id"], &found["next"]), (&json!(oldest.job.video().to_string()), &Value::Null));
    let all = server.json("/v1/videos?limit=100").await;
    assert_eq!(all["items"].as_array().expect("a list").len(), 100);
    assert!(all["next"].is_string());
}

#[tokio::test]
async fn deleting_cancels_tells_and_hides() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    server.broker.collected.take();
    let url = format!("{}/v1/videos/{video}", server.url);
    assert_eq!(server.client.delete(&url).send().await.expect("an answer").status(), 204);
    let told = server.published::<VideoEvent>();
    assert_eq!(
        told.iter().map(|e| e.happened.clone()).collect::<Vec<_>>(),
        [Some(Happened::Cancelled(true)), Some(Happened::Deleted(true))]
    );
    assert!(server.store().is_unwanted(&TenantId::default_tenant(), video).await.expect("a store"));
    problem(404, "video_not_found", server.get(&format!("/v1/videos/{video}")).await).await;
    problem(404, "video_not_found", server.client.delete(&url).send().await.expect("an answer")).await;
    assert_eq!(server.json("/v1/videos").await["items"], json!([]));
}

#[tokio::test]
async fn cancelling_tells_once_and_keeps_the_video() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    server.broker.collected.take();
    let path = format!("/v1/videos/{video}/cancel");
    for _ in 0..2 {
        let answer = server.post(&path, "").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json::<Value>().await.expect("JSON")["state"], "cancelled");
    }
    // Said again it is the same event, which the log takes once.
    let ids: BTreeSet<String> = server.published::<VideoEvent>().into_iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 1);
    assert!(server.store().is_unwanted(&TenantId::default_tenant(), video).await.expect("a store"));
    problem(404, "video_not_found", server.post("/v1/videos/nothing/cancel", "").await).await;
}

#[tokio::test]
async fn a_deletion_that_cannot_be_told_is_asked_for_again() {
    let server = Server::start(&["--publish-wait", "50ms"]).await;
    let broker = &server.broker;
    for fault in [&broker.away, &broker.silent] {
        let video = server.submit("bytes").await;
        let url = format!("{}/v1/videos/{video}", server.url);
        fault.store(true, Ordering::SeqCst);
        let refused = server.client.delete(&url).send().await.expect("an answer");
        assert_eq!(refused.headers()["retry-after"], "5");
        problem(503, "unavailable", refused).await;
        assert_eq!(server.json(&format!("/v1/videos/{video}")).await["state"], "cancelled");
        fault.store(false, Ordering::SeqCst);
        assert_eq!(server.client.delete(&url).send().await.expect("an answer").status(), 204);
    }
}
