//! The private broker dies while there is work.

use crate::dev::{Dev, Home};
use testing::api::{Api, OPTIONS};
use testing::media::talk;

#[tokio::test]
async fn a_killed_broker_comes_back_and_nothing_is_lost() {
    let home = Home::new();
    let dev = Dev::start(&home, &[("SPILLWAY_CLAIM_LEASE", "3s")]);
    let api = Api::at(dev.address());
    let id = api.upload(talk(), OPTIONS).await;
    api.past(&id, "split").await;
    let mut before = dev.children();
    dev.kill("broker").await;
    api.done(&id).await;
    assert_eq!(api.clips(&id).await.len(), 2);

    // The workers waited for it.
    let mut after = dev.children();
    assert_ne!(before.remove("broker"), after.remove("broker"));
    assert_eq!(before, after, "a worker was started again");
    // And what comes later goes its way.
    let later = api.upload(talk(), OPTIONS).await;
    api.done(&later).await;
}
