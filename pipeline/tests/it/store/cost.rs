//! What a segment costs the store over CQL, in statements: counted where they pass on their way to the server.

use std::time::Duration;

use pipeline::event::{Happened, UnitDone, VideoEvent};
use pipeline::id::UnitId;
use pipeline::lane::Lane;
use pipeline::store::{Claim, Gatherer, LogEntry, NewVideo, SharedStore, VideoState};

use super::cql::fresh;
use super::proxy::Proxy;
use super::{at, new_video, tenant};
use testing::cassandra::cassandra;

/// Who asks for statements, and how many each may take for one segment. `docs/operations.md` states the sum.
const WORKER: usize = 3;
const JOIN: usize = 7;
const RECORD: usize = 7;
/// How often it is counted: a statement that is slow is sent twice.
const TRIES: u64 = 5;

/// The segments of one video, as the processes that work on it see them.
struct Segments<'a> {
    store: &'a SharedStore,
    video: &'a NewVideo,
    proxy: &'a Proxy,
}

impl Segments<'_> {
    /// Returns how many statements the worker, `join` and `record` sent for segment `index`.
    async fn count(&self, index: u64) -> [usize; 3] {
        let begun = self.proxy.passed();
        self.work(index).await;
        let worked = self.proxy.passed();
        self.join(index).await;
        let joined = self.proxy.passed();
        self.record(index).await;
        [worked - begun, joined - worked, self.proxy.passed() - joined]
    }

    /// Asks whether the video is wanted, claims the unit and finishes it.
    async fn work(&self, index: u64) {
        let (store, job) = (self.store, &self.video.job);
        assert!(!store.is_unwanted(&job.tenant(), job.video()).await.unwrap());
        let unit = UnitId::derive("analyze", &job.tenant(), job.video(), &format!("video/{index}"));
        match store.claim(unit, "worker", at(0), Duration::from_secs(30)).await.unwrap() {
            Claim::Granted { lease, .. } => assert!(store.finish(&lease).await.unwrap()),
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Keeps what was heard of the segment, and looks whether it was the last one.
    async fn join(&self, index: u64) {
        let (store, tenant, video) = (self.store, self.video.job.tenant(), self.video.job.video());
        assert!(!store.is_unwanted(&tenant, video).await.unwrap());
        let item = format!("video/{index}");
        assert!(store.gather(Gatherer::Join, &tenant, video, 0, 0, at(600), &item, b"done").await.unwrap());
        assert!(store.gathered_item(Gatherer::Join, &tenant, video, 0, "total/0").await.unwrap().is_some());
        assert!(store.gathered_count(Gatherer::Join, &tenant, video, 0).await.unwrap() > index);
    }

    /// Logs that the unit is done.
    async fn record(&self, index: u64) {
        let done = UnitDone { stage: 3, unit: format!("video/{index}"), ..UnitDone::default() };
        let event = VideoEvent::new(&self.video.job, at(1), Happened::UnitDone(done));
        assert!(self.store.video(&self.video.job.tenant(), self.video.job.video()).await.unwrap().is_some());
        let entry = LogEntry { seq: index as i64, event };
        assert!(self.store.log(&entry, &VideoState::default(), None).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_segment_costs_as_many_statements_as_is_stated() {
    let (keyspace, proxy) = (fresh().await, Proxy::start(cassandra()).await);
    let store = keyspace.try_open(proxy.address()).await.unwrap();
    let video = new_video(&tenant("costs"), Lane::Standard, at(0));
    store.create_video(&video).await.unwrap();
    let segments = Segments { store: &store, video: &video, proxy: &proxy };
    let (owner, id) = (video.job.tenant(), video.job.video());
    store.gather(Gatherer::Join, &owner, id, 0, 0, at(600), "total/0", b"total").await.unwrap();
    let mut least = [usize::MAX; 3];
    for index in 0..TRIES {
        let counted = segments.count(index).await;
        least = std::array::from_fn(|place| least[place].min(counted[place]));
    }
    assert_eq!(least, [WORKER, JOIN, RECORD]);
}
