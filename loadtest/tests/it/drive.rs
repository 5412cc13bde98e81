use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use loadtest::client::{Answer, Client, Content, Request};
use loadtest::drive::{Drive, Ledger, Sent};
use loadtest::mix::Arrival;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A server that keeps every second request until all have come, and refuses every third.
#[derive(Clone, Default)]
struct Slow {
    come: Arc<AtomicUsize>,
    all: usize,
    everybody: CancellationToken,
}

async fn submit(State(slow): State<Slow>, headers: HeaderMap) -> Response {
    let number = slow.come.fetch_add(1, Ordering::SeqCst);
    if number + 1 == slow.all {
        slow.everybody.cancel();
    }
    if number % 3 == 2 {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], "later").into_response();
    }
    if number % 2 == 0 {
        slow.everybody.cancelled().await;
    }
    let key = headers["idempotency-key"].to_str().expect("text").to_owned();
    (StatusCode::ACCEPTED, Json(serde_json::json!({ "id": key }))).into_response()
}

async fn serve(slow: Slow) -> url::Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/v1/videos", post(submit)).with_state(slow);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}").parse().expect("a URL")
}

fn arrivals(count: u32, every_s: f64) -> Vec<Arrival> {
    let arrival = |number: u32| {
        let at_s = f64::from(number) * every_s;
        Arrival { number, at_s, sender: 0, priority: false, by_url: false, kind: 0 }
    };
    (0..count).map(arrival).collect()
}

async fn send(server: url::Url, arrivals: &[Arrival], time_scale: f64, connections: usize) -> Vec<Sent> {
    let (client, ledger, stop) = (Client::new(server).expect("a client"), Ledger::default(), CancellationToken::new());
    let drive = Drive { client: &client, time_scale, connections, ledger: &ledger, stop: &stop };
    let request = |arrival: &Arrival| Request {
        key: None,
        name: format!("v{}", arrival.number),
        priority: false,
        content: Content::Upload("video".into()),
    };
    let sending = drive.send(arrivals, request);
    tokio::time::timeout(Duration::from_secs(30), sending).await.expect("all answers");
    let mut sent = ledger.lock().clone();
    sent.sort_by_key(|sent| sent.arrival.number);
    sent
}

#[tokio::test]
async fn arrivals_do_not_wait_for_answers_and_latency_counts_from_the_plan() {
    let slow = Slow { all: 30, ..Slow::default() };
    // Were the ones after to wait for the ones before, the server would wait for ever.
    let sent = send(serve(slow).await, &arrivals(30, 0.2), 10.0, 100).await;
    assert_eq!(sent.len(), 30);
    let refused = Answer::Refused { status: 429, retry_after_s: Some(7) };
    assert_eq!(sent.iter().filter(|sent| sent.answer == refused).count(), 10);
    assert_eq!(sent.iter().filter(|sent| sent.accepted().is_some()).count(), 20);
    // The first one had to wait until the last one came, 29 arrivals of 20 ms later.
    assert!(sent[0].answered_s >= 0.58, "{:?}", sent[0]);
    let first_ms = sent[0].planned_ms;
    let planned: Vec<i64> = sent.iter().map(|sent| sent.planned_ms - first_ms).collect();
    assert_eq!(planned, (0..30).map(|number| number * 20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_finds_no_place_or_no_server_is_counted() {
    let slow = Slow { all: 2, ..Slow::default() };
    let sent = send(serve(slow.clone()).await, &arrivals(1, 0.0), 1.0, 0).await;
    assert!(matches!(&sent[0].answer, Answer::Broken(why) if why.contains("under way")), "{sent:?}");
    assert_eq!(slow.come.load(Ordering::SeqCst), 0);

    let nobody = pipeline::loopback::free_address().expect("a free port");
    let sent = send(format!("http://{nobody}").parse().expect("a URL"), &arrivals(3, 0.0), 1.0, 10).await;
    assert!(sent.iter().all(|sent| matches!(sent.answer, Answer::Broken(_))), "{sent:?}");
}
