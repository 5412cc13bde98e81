//! The process that a person starts with `spillway dev` tells about itself, as every other process does.

use reqwest::StatusCode;
use serde_json::Value;

use crate::dev::{ROLES, shared};
use testing::api::Api;

#[tokio::test]
async fn the_first_process_tells_whether_all_others_are_ready() {
    let dev = shared();
    let admin = Api::at(dev.admin());
    assert_eq!(admin.get("/livez").await.status(), StatusCode::OK);
    let answer = admin.get("/readyz").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let told: Value = answer.json().await.expect("JSON");
    for role in ROLES {
        assert_eq!(told[role], "ok", "{told}");
    }
    let metrics = admin.get("/metrics").await.text().await.expect("text");
    assert!(metrics.contains("process_resident_memory_bytes"), "{metrics}");
}
