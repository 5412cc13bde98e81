//! A speech service behind the stage: a good answer, and the ways it can fail.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use pipeline::event::AudioSegment;
use pipeline::failure::Failure;
use pipeline::stage::Stage;
use processors::models::speech_api::{Key, Service, SpeechApi};
use processors::transcribe::Transcribe;
use tokio::net::TcpListener;

use crate::speech::{START_US, hear, segment, speak, stage};

const GOOD: &str = r#"{"text": "Good morning, everyone.", "segments": [{"start": 0, "end": 9, "avg_logprob": -0.1}],
    "words": [{"word": "Good", "start": 0.25, "end": 0.5}, {"word": "morning", "start": 0.5, "end": 1.0},
              {"word": "everyone", "start": 1.25, "end": 99.0}]}"#;

/// Stands for an answer that never ends.
const ENDLESS: &str = "endless";

/// A service that answers what it is told to and keeps what it was asked.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<Vec<(u16, &'static str)>>>,
    asked: Arc<Mutex<Vec<(String, String, usize)>>>,
    calls: Arc<AtomicUsize>,
    /// How many bytes of endless answers it was rid of.
    sent: Arc<AtomicUsize>,
    /// What it says of its limit in each answer from now on.
    limit: Arc<Mutex<HeaderMap>>,
}

async fn transcriptions(State(server): State<Server>, headers: HeaderMap, mut form: Multipart) -> impl IntoResponse {
    server.calls.fetch_add(1, Ordering::SeqCst);
    let bearer = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        let bytes = field.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(16)]).into_owned();
        server.asked.lock().unwrap().push((name, if bearer.is_empty() { bearer.clone() } else { text }, bytes.len()));
    }
    let answer = server.answers.lock().unwrap().pop();
    let limit = server.limit.lock().unwrap().clone();
    match answer {
        Some((status, ENDLESS)) => {
            let chunk = Bytes::from_static(&[b' '; 1 << 16]);
            let chunks = stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone()));
            let sent = server.sent.clone();
            let counted = chunks.inspect(move |_| {
                sent.fetch_add(1 << 16, Ordering::SeqCst);
            });
            (StatusCode::from_u16(status).unwrap(), limit, Body::from_stream(counted))
        }
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), limit, Body::from(body)),
        // Nothing left to say: never answer.
        None => std::future::pending().await,
    }
}

/// Starts the service, which gives `answers` in order, and the stage that asks it.
async fn asking(folder: &tempfile::TempDir, answers: &[(u16, &'static str)], breaker: u32) -> (Transcribe, Server) {
    let server = Server::default();
    server.answers.lock().unwrap().extend(answers.iter().rev());
    let router = Router::new().route("/v1/audio/transcriptions", post(transcriptions)).with_state(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let service = Service {
        url: format!("http://{address}/v1/").parse().unwrap(),
        key: Some(Key::from("secret")),
        model: "whisper-1".to_owned(),
        timeout: Duration::from_millis(300),
        quota: Some(240),
        breaker,
    };
    (stage(folder, Arc::new(SpeechApi::new(service).unwrap())), server)
}

fn greeting() -> AudioSegment {
    let silence = [0; 16_000];
    segment(&[&silence[..], &speak("en-us", 150, "Good morning everyone.").samples].concat(), "en")
}

#[tokio::test]
async fn words_of_a_service_get_source_times_and_punctuation() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[(200, GOOD)], 10).await;
    let heard = hear(&stage, greeting()).await.unwrap();
    let texts: Vec<_> = heard.words.iter().map(|word| word.text.as_str()).collect();
    assert_eq!((texts, heard.transcriber.as_str()), (vec!["Good", "morning,", "everyone."], "http:whisper-1"));
    let speech_us = heard.speech_us[0];
    let first_us = heard.words[0].start_us;
    assert!((speech_us..speech_us + 250_000).contains(&first_us), "{first_us} is not after {speech_us}");
    assert!(first_us > START_US + 900_000 && heard.words[2].end_us <= heard.end_us);
    let asked = server.asked.lock().unwrap();
    let value = |name: &str| asked.iter().find(|(field, ..)| field == name).map(|(_, text, _)| text.as_str());
    assert_eq!((value("model"), value("language")), (Some("whisper-1"), Some("en")));
    assert_eq!(value("response_format"), Some("verbose_json"));
    assert!(value("file").is_some_and(|file| file.starts_with("RIFF") && file.ends_with("fmt ")));
}

#[tokio::test]
async fn a_service_that_fails_is_tried_again_and_counts_as_down_after_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        [(500, "oops"), (200, "<html>"), (200, GOOD), (500, ""), (200, r#"{"text": "x"}"#), (500, ""), (200, GOOD)];
    let (stage, _server) = asking(&folder, &answers, 3).await;
    let greeting = greeting();
    let mut outcomes = Vec::new();
    for _ in &answers {
        outcomes.push(match hear(&stage, greeting.clone()).await {
            Ok(_) => "ok",
            Err(Failure::Retry(_)) => "retry",
            Err(Failure::Unavailable(_)) => "down",
            Err(Failure::Reject { .. }) => "reject",
        });
    }
    assert_eq!(outcomes, ["retry", "retry", "ok", "retry", "retry", "down", "ok"]);
}

#[tokio::test]
async fn a_full_quota_a_wrong_key_or_an_absent_service_spends_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [(429, "slow down"), (401, "no such key"), (502, ""), (503, ""), (504, "")];
    let (stage, _server) = asking(&folder, &answers, 10).await;
    for expected in ["429", "401", "502", "503", "504"] {
        match hear(&stage, greeting()).await {
            Err(Failure::Unavailable(error)) => assert!(format!("{error:#}").contains(expected), "{error:#}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_service_that_never_answers_fails_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[], 10).await;
    let outcome = hear(&stage, greeting()).await;
    assert!(matches!(outcome, Err(Failure::Retry(_))), "{outcome:?}");
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_a_failure_of_the_service_and_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[(200, ENDLESS), (500, ENDLESS), (200, ENDLESS)], 3).await;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(match hear(&stage, greeting()).await {
            Err(Failure::Retry(error)) => format!("retry: {error:#}"),
            Err(Failure::Unavailable(error)) => format!("down: {error:#}"),
            other => panic!("{other:?}"),
        });
    }
    assert!(told[0].starts_with("retry") && told[0].contains("longer than 1048576 bytes"), "{told:?}");
    assert!(told[1].starts_with("retry") && told[1].contains("500"), "{told:?}");
    assert!(told[2].starts_with("down"), "{told:?}");
    // What was read, and what lay in buffers of both ends.
    let sent_mib = server.sent.load(Ordering::SeqCst) >> 20;
    assert!(sent_mib < 3 * 16, "{sent_mib} MiB");
}

#[tokio::test]
async fn what_the_service_says_of_its_limit_is_passed_on() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[(200, GOOD), (200, GOOD), (429, "slow down"), (200, GOOD)], 10).await;
    let mut told = Vec::new();
    for limit in [None, Some(["50", "40", "12s"]), Some(["50", "0", "60s"]), None] {
        let named = limit.into_iter().flat_map(|values| ["limit", "remaining", "reset"].into_iter().zip(values));
        let headers = named.map(|(name, value)| {
            (HeaderName::try_from(format!("x-ratelimit-{name}-requests")).unwrap(), value.parse().unwrap())
        });
        *server.limit.lock().unwrap() = headers.collect();
        let heard = hear(&stage, greeting()).await;
        let quota = stage.outside_quota();
        let sent = quota.sent.expect("requests are counted").within_hour(Timestamp::now());
        told.push((heard.is_ok(), quota.left, quota.limit, sent));
    }
    let hour = Some(3000.0);
    assert_eq!(
        told,
        [(true, None, None, 1), (true, Some(3040.0), hour, 2), (false, hour, hour, 3), (true, hour, hour, 4)]
    );
}

#[tokio::test]
async fn silence_asks_the_service_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[], 10).await;
    hear(&stage, segment(&[0; 160_000], "en")).await.unwrap();
    assert_eq!(server.calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn requests_keep_to_the_quota() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, server) = asking(&folder, &[(200, GOOD); 3], 10).await;
    let (greeting, begun) = (greeting(), Instant::now());
    let (first, second, third) =
        tokio::join!(hear(&stage, greeting.clone()), hear(&stage, greeting.clone()), hear(&stage, greeting.clone()));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(server.calls.load(Ordering::SeqCst), 3);
    // 240 a minute are 250 ms apart.
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
}
