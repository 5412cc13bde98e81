//! Stages overlap: nothing waits for what it does not need.

use serde_json::Value;

use crate::dev::shared;
use testing::api::Api;
use testing::media::long;

#[tokio::test]
async fn transcription_and_analysis_begin_while_the_video_is_still_being_split() {
    let video = long();
    let dev = shared();
    let api = Api::at(dev.address());
    let id = api.upload(&video, "clips=1&height=240").await;
    let units = |events: &[Value], stage: &str| -> Vec<Value> {
        events.iter().filter(|e| e["type"] == "unit_done" && e["stage"] == stage).cloned().collect()
    };
    let events = api
        .events_until(&id, |events| {
            ["split", "transcribe", "analyze"].iter().all(|stage| !units(events, stage).is_empty())
        })
        .await;

    let time =
        |unit: &Value, name: &str| -> jiff::Timestamp { unit[name].as_str().expect("a time").parse().expect("a time") };
    let split = &units(&events, "split")[0];
    for stage in ["transcribe", "analyze"] {
        let first = units(&events, stage).iter().map(|unit| time(unit, "started_at")).min().expect("a unit");
        let (begun, ended) = (time(split, "started_at"), time(split, "finished_at"));
        assert!(begun < first && first < ended, "split {begun} to {ended}, {stage} from {first}");
    }
    // What is left of it is of no interest.
    assert_eq!(api.delete(&format!("/v1/videos/{id}")).await, 204);
}
