//! The same job is created many times at once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::system::{Plan, SHORT, System};

/// How many requests come at once.
const REQUESTS: usize = 50;
const KEY: &str = "Idempotency-Key";

#[tokio::test]
async fn one_key_at_once_fifty_times_is_one_video() {
    let system = System::start(Plan::host(&SHORT)).await;
    let sample = Sample::Tiny(0);
    learn(&system.api, &[sample, Sample::Tiny(1)]).await;
    let path = format!("/v1/videos?{}", sample.options());
    let request = || system.api.post(&path).header(KEY, "the same").body(sample.bytes());

    let answers = join_all((0..REQUESTS).map(|_| request().send())).await;
    let mut ids = BTreeSet::new();
    for answer in answers {
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let body: Value = answer.json().await.expect("JSON");
        ids.insert(body["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let mut ledger = Ledger::default();
    ledger.note(ids.pop_first().expect("one"), sample);

    let other = system.api.post(&path).header(KEY, "the same").body(Sample::Tiny(1).bytes()).send().await;
    let other = other.expect("an answer");
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let problem: Value = other.json().await.expect("JSON");
    assert_eq!(problem["code"], "idempotency_key_reused", "{problem}");

    let balance = ledger.balance(&system, Duration::from_secs(120)).await;
    assert_eq!((balance.redone, system.dead_letters()), (0, 0));
    // And it stays the answer after the video has ended.
    let again: Value = request().send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(again["state"], "done", "{again}");
    let list: Value = system.api.get("/v1/videos").await.json().await.expect("JSON");
    let listed = list["items"].as_array().expect("items").len();
    assert!(listed <= 3, "two to compare with and this one: {list}");
}
