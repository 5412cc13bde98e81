//! The store over CQL: all that holds for every store, and what holds where there are no transactions.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use pipeline::event::{Happened, StageTotal, VideoEvent};
use pipeline::id::{UnitId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{
    Claim, Created, Gatherer, LogEntry, NewVideo, Page, Release, SharedStore, State, StoreArgs, VideoFilter,
    VideoState, open,
};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Fresh, at, conformance, new_video, tenant};
use testing::cassandra::{Proxy, cassandra};

const LEASE: Duration = Duration::from_secs(30);

/// A keyspace that no other test uses meanwhile. To make one takes seconds, so that they are used again: of what cases
/// write only lists are under keys that another case has too.
pub(super) struct Keyspace {
    name: String,
}

/// Keyspaces that no test uses.
static IDLE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Keyspace {
    fn new() -> Self {
        Self { name: format!("spillway_{}", Uuid::new_v4().simple()) }
    }

    fn address(&self, node: &str) -> StoreArgs {
        let args = StoreArgs::at(format!("cql://{node}/{}", self.name).parse().expect("an address"));
        StoreArgs { store_replication: 1, ..args }
    }

    pub(super) async fn try_open(&self, node: &str) -> anyhow::Result<SharedStore> {
        open(&self.address(node)).await
    }

    /// Returns a session of the driver, to do what the store does not.
    async fn session(&self) -> Session {
        let session = SessionBuilder::new().known_node(cassandra()).build().await.expect("a session");
        session.use_keyspace(&self.name, false).await.expect("the keyspace");
        session
    }
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        // What a failed test leaves is not worth using again.
        if !std::thread::panicking() {
            IDLE.lock().unwrap().push(self.name.clone());
        }
    }
}

#[async_trait]
impl Fresh for Keyspace {
    async fn open(&self) -> SharedStore {
        self.try_open(&cassandra()).await.expect("open the store")
    }
}

pub(super) async fn fresh() -> Keyspace {
    let idle = IDLE.lock().unwrap().pop();
    let Some(name) = idle else {
        let keyspace = Keyspace::new();
        keyspace.open().await;
        return keyspace;
    };
    let keyspace = Keyspace { name };
    let session = keyspace.session().await;
    for table in ["listed", "list_buckets", "open_gathers"] {
        session.query_unpaged(format!("TRUNCATE {table}"), ()).await.expect("empty a table");
    }
    keyspace
}

conformance!(crate::store::cql::fresh);

fn unit() -> UnitId {
    UnitId::derive("cut", &tenant("a"), VideoId::random(), "clip")
}

async fn granted(store: &SharedStore, unit: UnitId, seconds: i64) -> (pipeline::store::Lease, u32) {
    match store.claim(unit, "worker", at(seconds), LEASE).await.unwrap() {
        Claim::Granted { lease, failures, .. } => (lease, failures),
        other => panic!("not granted: {other:?}"),
    }
}

fn entry(video: &NewVideo, seq: i64) -> LogEntry {
    let happened = Happened::Total(StageTotal { stage: 3, total: seq as u32, ..StageTotal::default() });
    LogEntry { seq, event: VideoEvent::new(&video.job, at(seq), happened) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_make_the_tables_at_once() {
    let keyspace = Keyspace::new();
    let mut opening = JoinSet::new();
    for _ in 0..6 {
        let args = keyspace.address(&cassandra());
        opening.spawn(async move { open(&args).await.map(drop) });
    }
    for opened in opening.join_all().await {
        opened.expect("open the store");
    }
    let store = keyspace.open().await;
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    assert_eq!(store.create_video(&video).await.unwrap(), Created::New);
    // A version that this one does not know.
    let session = keyspace.session().await;
    session.query_unpaged("UPDATE schema_state SET version = 99 WHERE id = 'version' IF EXISTS", ()).await.unwrap();
    let error = format!("{:#}", keyspace.try_open(&cassandra()).await.err().expect("refused"));
    assert!(error.contains("version 99") && error.contains(&keyspace.name), "{error}");
    session.query_unpaged("UPDATE schema_state SET version = 1 WHERE id = 'version' IF EXISTS", ()).await.unwrap();
}

#[tokio::test]
async fn node_that_is_away_is_one_clear_line() {
    let store = StoreArgs::at("cql://me:secret@127.0.0.1:1/clips".parse().unwrap());
    let error = format!("{:#}", open(&store).await.err().expect("refused"));
    assert!(error.contains("cql://me@127.0.0.1:1/clips") && !error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn claim_whose_answer_is_lost_is_the_callers() {
    let keyspace = fresh().await;
    let proxy = Proxy::start(cassandra()).await;
    let store = keyspace.try_open(proxy.address()).await.unwrap();
    let unit = unit();

    proxy.lose_after(0);
    let (lease, _) = granted(&store, unit, 0).await;
    assert!(proxy.has_lost());
    assert_eq!(lease.attempt, 1);

    // It reads the row, then writes.
    proxy.lose_after(1);
    assert!(store.release(&lease, Release::Failed).await.unwrap());
    assert!(proxy.has_lost());
    assert!(store.release(&lease, Release::Failed).await.unwrap());

    // It finds that the unit is not new, reads the row, then takes it.
    proxy.lose_after(2);
    let (lease, failures) = granted(&store, unit, 0).await;
    assert!(proxy.has_lost());
    assert_eq!((lease.attempt, failures), (2, 1), "counted once");

    proxy.lose_after(0);
    assert!(store.run_alone(&lease).await.unwrap());
    proxy.lose_after(0);
    assert!(store.renew(&lease, at(90)).await.unwrap());
    proxy.lose_after(0);
    assert!(store.finish(&lease).await.unwrap());
    assert!(proxy.has_lost());
    assert!(store.finish(&lease).await.unwrap());
    assert_eq!(store.claim(unit, "other", at(99), LEASE).await.unwrap(), Claim::Finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creation_whose_answer_is_lost_is_told_as_new() {
    let keyspace = fresh().await;
    let proxy = Proxy::start(cassandra()).await;
    let store = keyspace.try_open(proxy.address()).await.unwrap();
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    // Three pointers with their buckets come first.
    proxy.lose_after(6);
    assert_eq!(store.create_video(&video).await.unwrap(), Created::New);
    assert!(proxy.has_lost());
    assert_eq!(store.create_video(&video).await.unwrap(), Created::Existing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_whose_answer_is_lost_is_logged_once() {
    let keyspace = fresh().await;
    let proxy = Proxy::start(cassandra()).await;
    let store = keyspace.try_open(proxy.address()).await.unwrap();
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    store.create_video(&video).await.unwrap();
    let entry = entry(&video, 7);
    let done = VideoState { state: State::Done, ..VideoState::default() };
    // It looks at the video, then places the event.
    proxy.lose_after(1);
    assert!(store.log(&entry, &done, None).await.unwrap(), "what was placed is this writer's to complete");
    assert!(proxy.has_lost());
    assert!(!store.log(&entry, &done, None).await.unwrap());
    let again = LogEntry { seq: 8, ..entry.clone() };
    assert!(!store.log(&again, &VideoState::default(), None).await.unwrap(), "it has another place");
    assert_eq!(store.log_after(&tenant("a"), video.job.video(), None, 9).await.unwrap(), [entry]);
    let found = store.video(&tenant("a"), video.job.video()).await.unwrap();
    assert_eq!(found.map(|video| video.state()), Some(State::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entry_of_a_writer_that_died_is_completed_by_the_next_delivery() {
    let keyspace = fresh().await;
    let (store, session) = (keyspace.open().await, keyspace.session().await);
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    store.create_video(&video).await.unwrap();
    let entry = entry(&video, 7);
    let id = video.job.video();
    // All that it came to write.
    let insert = "INSERT INTO log_events (tenant, video, event, seq) VALUES ('a', ?, ?, 7) IF NOT EXISTS";
    session.query_unpaged(insert, (id.to_string(), &entry.event.id)).await.unwrap();

    let again = LogEntry { seq: 8, ..entry.clone() };
    let done = VideoState { state: State::Done, ..VideoState::default() };
    assert!(!store.log(&again, &VideoState::default(), None).await.unwrap(), "it has another place");
    assert!(store.log(&entry, &done, None).await.unwrap());
    assert!(!store.log(&entry, &done, None).await.unwrap());
    assert_eq!(store.log_after(&tenant("a"), id, None, 9).await.unwrap(), [entry]);
    assert_eq!(store.video(&tenant("a"), id).await.unwrap().map(|video| video.state()), Some(State::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn state_of_a_writer_that_died_is_not_built_upon_again() {
    let keyspace = fresh().await;
    let (store, session) = (keyspace.open().await, keyspace.session().await);
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    store.create_video(&video).await.unwrap();
    let (entry, id) = (entry(&video, 7), video.job.video());
    let once = VideoState { state: State::Processing, duration_s: Some(1.0), ..VideoState::default() };
    assert!(store.log(&entry, &once, None).await.unwrap());
    // It came to write the state, and not the entry.
    let forget = "DELETE FROM log WHERE tenant = 'a' AND video = ? AND bucket = 0 AND seq = 7";
    session.query_unpaged(forget, (id.to_string(),)).await.unwrap();

    let twice = VideoState { duration_s: Some(2.0), ..once.clone() };
    assert!(store.log(&entry, &twice, None).await.unwrap());
    assert_eq!(store.video(&tenant("a"), id).await.unwrap().map(|video| video.state), Some(once));
    assert_eq!(store.log_after(&tenant("a"), id, None, 9).await.unwrap(), [entry]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writer_that_knows_less_of_the_log_never_wins() {
    let keyspace = fresh().await;
    let store = keyspace.open().await;
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    store.create_video(&video).await.unwrap();
    let done = VideoState { state: State::Done, ..VideoState::default() };
    let processing = VideoState { state: State::Processing, ..VideoState::default() };
    assert!(store.log(&entry(&video, 70_000), &done, None).await.unwrap());
    assert!(store.log(&entry(&video, 3), &processing, None).await.unwrap());
    let found = store.log_after(&tenant("a"), video.job.video(), None, 9).await.unwrap();
    assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 70_000], "buckets are in order");
    let page = Page { after: None, limit: 9 };
    for (state, expected) in [(State::Queued, 0), (State::Processing, 0), (State::Done, 1)] {
        let filter = VideoFilter::in_state(state);
        let listed = store.videos(&tenant("a"), &filter, &page).await.unwrap();
        assert_eq!(listed.items.len(), expected, "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pointers_that_lead_nowhere_are_not_followed() {
    let keyspace = fresh().await;
    let (store, session) = (keyspace.open().await, keyspace.session().await);
    let video = VideoId::random();
    let owner = tenant("a");
    assert!(store.gather(Gatherer::Join, &owner, video, 0, 4, at(9), "item", b"").await.unwrap());
    store.close_gather(Gatherer::Join, &owner, video, 0).await.unwrap();
    // One was written after its gathering closed, another before one that never opened.
    let insert = "INSERT INTO open_gathers (gatherer, topic_partition, tenant, video, window_index, deadline_us)
                  VALUES ('join', 4, 'a', ?, 0, 5)";
    for video in [video, VideoId::random()] {
        session.query_unpaged(insert, (video.to_string(),)).await.unwrap();
    }
    assert!(store.open_gathers(Gatherer::Join, 4, 9).await.unwrap().is_empty());

    let created_us = at(0).as_microsecond();
    let bucket = created_us.div_euclid(3_600_000_000);
    session
        .query_unpaged("INSERT INTO list_buckets (list_name, bucket) VALUES ('unpublished', ?)", (bucket,))
        .await
        .unwrap();
    let insert =
        "INSERT INTO listed (list_name, bucket, created_us, video, tenant) VALUES ('unpublished', ?, ?, ?, 'a')";
    session.query_unpaged(insert, (bucket, created_us, VideoId::random().to_string())).await.unwrap();
    let video = new_video(&owner, Lane::Express, at(1));
    store.create_video(&video).await.unwrap();
    assert_eq!(store.unpublished(at(9), 1).await.unwrap(), [video]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_a_video_deleted_while_it_is_written_to() {
    let keyspace = fresh().await;
    let (store, owner) = (keyspace.open().await, tenant("a"));
    for _ in 0..8 {
        let video = new_video(&owner, Lane::Express, at(0));
        let id = video.job.video();
        store.create_video(&video).await.unwrap();
        let mut writing = JoinSet::new();
        for seq in 0..8 {
            let (store, owner, entry) = (store.clone(), owner.clone(), entry(&video, seq));
            writing.spawn(async move {
                store.log(&entry, &VideoState::default(), None).await.unwrap();
                let item = seq.to_string();
                store.gather(Gatherer::Join, &owner, id, 0, 0, at(9), &item, b"words").await.unwrap();
            });
        }
        writing.join_next().await;
        store.delete_video(&owner, id, at(1)).await.unwrap();
        writing.join_all().await;
        assert!(store.log_after(&owner, id, None, 9).await.unwrap().is_empty());
        assert!(store.gathered(Gatherer::Join, &owner, id, 0, None, 9).await.unwrap().is_empty());
        assert!(store.open_gathers(Gatherer::Join, 0, 9).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn contents_tell_whether_a_store_may_be_rebuilt() {
    super::videos::contents_tell_whether_a_store_may_be_rebuilt(&Keyspace::new()).await;
}
