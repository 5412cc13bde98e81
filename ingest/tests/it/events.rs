//! The log as a stream of events.

use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt;
use pipeline::event::{EndState, Ended, Happened, StageTotal, UnitDone};
use pipeline::id::VideoId;
use pipeline::stage::StageName;
use pipeline::store::{State, VideoState};
use reqwest::Response;
use serde_json::{Value, json};

use crate::server::{Server, problem};

/// Reads events from an answer.
struct Events {
    response: Response,
    text: BytesMut,
}

impl Events {
    async fn open(server: &Server, video: VideoId, last: Option<i64>) -> Self {
        let mut request = server.client.get(format!("{}/v1/videos/{video}/events", server.url));
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last.to_string());
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: BytesMut::new() }
    }

    /// Returns name, id and data of the next event; nothing at the end of the stream.
    async fn next(&mut self) -> Option<(String, i64, Value)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|w| w == b"\n\n") {
                let block = self.text.split_to(end + 2);
                let block = std::str::from_utf8(&block).expect("text");
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                let Some(data) = field("data: ") else { continue };
                let data = serde_json::from_str(data).expect("JSON");
                let id = field("id: ").expect("an id").parse().expect("a number");
                return Some((field("event: ").expect("a name").to_owned(), id, data));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await.expect("in time");
            self.text.extend_from_slice(&chunk.expect("a chunk")?);
        }
    }

    async fn rest(mut self) -> Vec<(String, i64)> {
        let mut seen = Vec::new();
        while let Some((name, id, _)) = self.next().await {
            seen.push((name, id));
        }
        seen
    }
}

fn total(total: u32) -> Happened {
    Happened::Total(StageTotal { stage: StageName::Analyze as i32, total, ..StageTotal::default() })
}

fn state(state: State) -> VideoState {
    VideoState { state, ..VideoState::default() }
}

fn ended() -> Happened {
    Happened::Ended(Ended { state: EndState::Done as i32, completeness: 1.0, ..Ended::default() })
}

#[tokio::test]
async fn the_log_is_told_as_it_grows_until_the_end() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let first = server.log(video, total(2), &state(State::Processing)).await;
    let mut events = Events::open(&server, video, None).await;
    let (name, id, data) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), id), ("stage_total", first));
    assert_eq!(
        (&data["type"], &data["seq"], &data["stage"]),
        (&json!("stage_total"), &json!(first), &json!("analyze"))
    );

    let done = UnitDone {
        stage: StageName::Analyze as i32,
        unit: "video/0".into(),
        attempt: 1,
        queued_ms: 1_000,
        started_ms: 1_500,
        finished_ms: 4_000,
        ..UnitDone::default()
    };
    let second = server.log(video, Happened::UnitDone(done), &state(State::Processing)).await;
    let (name, id, data) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), id), ("unit_done", second));
    assert_eq!((&data["wait_s"], &data["busy_s"]), (&json!(0.5), &json!(2.5)));
    assert_eq!(data["started_at"], "1970-01-01T00:00:01.5Z");

    let last = server.log(video, ended(), &state(State::Done)).await;
    let (name, id, data) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), id, &data["state"], &data["error"]), ("ended", last, &json!("done"), &Value::Null));
    let (name, id, data) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), id, &data["state"]), ("closed", last, &json!("done")));
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn going_on_after_any_event_misses_and_repeats_nothing() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let mut all = Vec::new();
    for n in 0..450 {
        all.push(("stage_total".to_owned(), server.log(video, total(n), &state(State::Processing)).await));
    }
    let last = server.log(video, ended(), &state(State::Done)).await;
    all.extend([("ended".to_owned(), last), ("closed".to_owned(), last)]);
    assert_eq!(Events::open(&server, video, None).await.rest().await, all);
    for place in [0, 199, 200, 449] {
        let rest = Events::open(&server, video, Some(all[place].1)).await.rest().await;
        assert_eq!(rest, all[place + 1..], "after {place}");
    }
    let url = format!("{}/v1/videos/{video}/events", server.url);
    let resumed = |id: String| server.client.get(&url).header("last-event-id", id).send();
    assert_eq!(resumed(last.to_string()).await.expect("an answer").status(), 204);
    problem(400, "malformed_request", resumed("x".to_owned()).await.expect("an answer")).await;
}

#[tokio::test]
async fn a_deleted_video_closes_its_streams_and_stopping_ends_them() {
    let server = Server::start(&[]).await;
    let (deleted, other) = (server.submit("a").await, server.submit("b").await);
    let followed = Events::open(&server, deleted, None).await;
    let open = Events::open(&server, other, None).await;
    let url = format!("{}/v1/videos/{deleted}", server.url);
    assert_eq!(server.client.delete(url).send().await.expect("an answer").status(), 204);
    let names: Vec<String> = followed.rest().await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["closed"]);
    server.stop.cancel();
    assert_eq!(open.rest().await, []);
}

#[tokio::test]
async fn many_followers_see_the_same() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(Events::open(&server, video, None).await);
    }
    let first = server.log(video, total(1), &state(State::Processing)).await;
    let last = server.log(video, ended(), &state(State::Done)).await;
    let seen: Vec<_> = futures::stream::iter(streams).then(Events::rest).collect().await;
    let expected = [("stage_total".to_owned(), first), ("ended".to_owned(), last), ("closed".to_owned(), last)];
    assert!(seen.iter().all(|events| *events == expected), "{seen:?}");
}

#[tokio::test]
async fn what_is_logged_just_after_the_end_is_told_too() {
    let server = Server::start(&[]).await;
    let video = server.submit("bytes").await;
    let mut events = Events::open(&server, video, None).await;
    let end = server.log(video, ended(), &state(State::Done)).await;
    let (name, id, _) = events.next().await.expect("an event");
    assert_eq!((name.as_str(), id), ("ended", end));
    let late = server.log(video, total(3), &state(State::Done)).await;
    assert_eq!(events.rest().await, [("stage_total".to_owned(), late), ("closed".to_owned(), late)]);
}
