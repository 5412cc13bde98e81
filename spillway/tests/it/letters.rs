//! Units that were given up are looked at, replayed and discarded, and complete their videos; a store that was lost is
//! made anew. One service does for both: it has videos in every state.

use std::process::Output;
use std::time::Duration;

use nix::sys::signal::Signal;
use pipeline::broker::Broker;
use pipeline::id::TenantId;
use pipeline::loopback;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::store::{self, Gatherer, SharedStore};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::dev::{Dev, Home, command};
use crate::outside::Outside;
use testing::api::{Api, VIDEO_LIMIT};
use testing::media::talk;
use testing::rows::{compare, rows};
use testing::until::until;

/// One short clip a video.
const ONE_CLIP: &str = "clips=1&min_clip_s=3&max_clip_s=4&height=320";
/// Partitions of each topic: fewer are opened sooner.
const PARTITIONS: &str = "4";

/// A service on a broker that outlives it, and the world around it.
struct World {
    home: Home,
    broker: Broker,
    outside: Outside,
}

impl World {
    async fn new() -> Self {
        let home = Home::new();
        let runtime = std::env::var_os("SPILLWAY_RUNTIME").map(Into::into);
        let runtime = Runtime::new(&RuntimeArgs { runtime });
        let broker = Broker::start(&runtime, &home.data().join("broker")).await.expect("start Kafka");
        Self { home, broker, outside: Outside::start(talk()).await }
    }

    fn start(&self) -> Dev {
        let settings = [
            ("SPILLWAY_BROKERS", self.broker.address()),
            ("SPILLWAY_PARTITIONS", PARTITIONS.to_owned()),
            ("SPILLWAY_ALLOW_PRIVATE_URLS", "true".to_owned()),
            ("SPILLWAY_TRANSCRIBER", "api".to_owned()),
            ("SPILLWAY_SPEECH_URL", self.outside.speech_url()),
            ("SPILLWAY_SPEECH_BREAKER", "1000".to_owned()),
            ("SPILLWAY_ATTEMPTS", "1".to_owned()),
            ("SPILLWAY_BACKOFF_MAX", "1s".to_owned()),
            ("SPILLWAY_GRACE", "5s".to_owned()),
        ];
        let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Dev::start(&self.home, &settings)
    }

    fn store_address(&self) -> String {
        format!("sqlite:{}", self.home.data().join("spillway.db").display())
    }

    fn open_store(&self) -> SharedStore {
        store::open_file(&self.home.data().join("spillway.db")).expect("open the store")
    }

    /// Returns all that is in the store; one video is deleted.
    async fn rows(&self, deleted: &str) -> Vec<String> {
        let partitions = PARTITIONS.parse().expect("a number");
        rows(&self.open_store(), partitions, &[deleted.parse().expect("an id")]).await
    }

    /// Calls `spillway dead-letters` as an operator would.
    async fn letters(&self, arguments: &[&str]) -> Output {
        let mut command = command();
        command.arg("dead-letters").args(arguments).args(["--brokers", &self.broker.address()]);
        if arguments[0] == "replay" {
            command.args(["--store", &self.store_address()]);
        }
        finished(command).await
    }

    /// Returns the letters that are listed.
    async fn listed(&self, filters: &[&str]) -> Vec<Value> {
        let output = self.letters(&[&["list", "--json"], filters].concat()).await;
        text(&output, 0).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    async fn rebuild(&self, more: &[&str]) -> Output {
        let mut command = command();
        command.args(["rebuild", "--brokers", &self.broker.address(), "--store", &self.store_address()]);
        command.arg("--blobs").arg(self.home.data().join("blobs")).args(more);
        finished(command).await
    }
}

async fn finished(mut command: std::process::Command) -> Output {
    tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("spillway starts")
}

/// Returns what was said; the exit code must be `code`, and an error one line.
#[track_caller]
fn text(output: &Output, code: i32) -> String {
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}{error}");
    assert!(error.lines().filter(|line| line.starts_with("spillway: ")).count() <= 1, "{error}");
    format!("{said}{error}")
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let said = text(output, code);
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_letters_complete_videos_and_a_lost_store_comes_back() {
    let world = World::new().await;
    let mut dev = world.start();
    let api = Api::at(dev.address());
    let (talk_id, url_id) = fail(&world, &api).await;
    look(&world, &talk_id, &url_id).await;
    complete(&world, &api, &talk_id, &url_id).await;
    refuse(&world, &talk_id).await;
    let gone = discard(&world, &api).await;

    let partial = submit_for_a_part(&api).await;
    let deleted = api.upload(talk(), ONE_CLIP).await;
    assert_eq!(api.delete(&format!("/v1/videos/{deleted}")).await, StatusCode::NO_CONTENT);
    world.outside.speech_answers(503);
    let open = api.upload(talk(), ONE_CLIP).await;
    all_but_speech(&world, &open).await;
    refuse_to_rebuild(&world).await;
    assert!(dev.end(Signal::SIGINT, Duration::from_secs(60)).await.success());
    drop(dev);

    lose_and_rebuild(&world, &deleted).await;
    let dev = world.start();
    let api = Api::at(dev.address());
    world.outside.speech_answers(200);
    api.done(&open).await;
    for (id, state) in [(&talk_id, "done"), (&url_id, "done"), (&gone, "failed"), (&partial, "partial")] {
        assert_eq!(api.video(id).await.expect("a video")["state"], state);
    }
    // What was given up before the store was lost is replayed after.
    says(&world.letters(&["replay", "--video", &partial]).await, 0, &["1 replayed"]);
    api.done(&partial).await;
    drop(dev);
    world.broker.stop().await.expect("stop Kafka");
}

/// Lets one video fail at its first step, and another in a part.
async fn fail(world: &World, api: &Api) -> (String, String) {
    let talk_id = api.upload(talk(), ONE_CLIP).await;
    let url_id = api.submit_url(&world.outside.video_url(), ONE_CLIP).await;
    let failed = api.ended(&url_id, VIDEO_LIMIT).await;
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("failed"), &json!("url_not_found")));
    let partial = api.ended(&talk_id, VIDEO_LIMIT).await;
    assert_eq!((&partial["state"], &partial["completeness"]), (&json!("partial"), &json!(0.5)), "{partial}");
    (talk_id, url_id)
}

/// Lists and shows what was given up.
async fn look(world: &World, talk_id: &str, url_id: &str) {
    let letters = world.listed(&[]).await;
    let of = |letter: &Value, name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let gist: Vec<_> = letters.iter().map(|l| (of(l, "id"), of(l, "code"), of(l, "video"), of(l, "unit"))).collect();
    let row = |id: &str, code: &str, video: &str, unit: &str| {
        (id.to_owned(), code.to_owned(), video.to_owned(), unit.to_owned())
    };
    let expected = [
        row("fetch/0/0", "url_not_found", url_id, "video"),
        row("transcribe/0/0", "attempts_exhausted", talk_id, "audio/0"),
    ];
    assert_eq!(gist, expected);
    for (filter, left) in [("--stage=fetch", 1), ("--code=stuck", 0), ("--tenant=default", 2), ("--tenant=other", 0)] {
        assert_eq!(world.listed(&[filter]).await.len(), left, "{filter}");
    }
    assert_eq!(world.listed(&["--video", url_id]).await.len(), 1);
    let table = text(&world.letters(&["list"]).await, 0);
    println!("{table}");
    assert!(table.starts_with("ID ") && table.lines().count() == 3, "{table}");
    let shown = world.letters(&["show", "transcribe/0/0"]).await;
    println!("{}", text(&shown, 0));
    says(&shown, 0, &["sound from 0.00 s", talk_id, "audio/0", "500", "mend the cause and replay it", "open"]);
}

/// Mends what was wrong, replays, and waits until both videos are whole.
async fn complete(world: &World, api: &Api, talk_id: &str, url_id: &str) {
    world.outside.has_video(true);
    world.outside.speech_answers(200);
    says(&world.letters(&["replay", "--everything", "--dry-run"]).await, 0, &["2 would be replayed"]);
    assert_eq!(world.listed(&[]).await.len(), 2);
    let replayed = world.letters(&["replay", "--everything", "--rate", "50"]).await;
    println!("{}", text(&replayed, 0));
    says(&replayed, 0, &["2 replayed"]);
    for id in [talk_id, url_id] {
        api.done(id).await;
        assert_eq!(api.clips(id).await.len(), 1);
        let events = api.events(id).await;
        let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        assert_eq!((count("unit_replayed"), count("reopened"), count("ended")), (1, 1, 2), "{events:?}");
    }
}

/// What is settled is not replayed again, and what is wrong is said in a line.
async fn refuse(world: &World, talk_id: &str) {
    assert!(world.listed(&[]).await.is_empty());
    let all = world.listed(&["--all"]).await;
    assert!(all.len() == 2 && all.iter().all(|letter| letter["state"] == "replayed"), "{all:?}");
    says(&world.letters(&["list"]).await, 0, &["no dead letters"]);
    says(&world.letters(&["replay", "transcribe/0/0"]).await, 1, &["transcribe/0/0 is settled: replayed"]);
    says(&world.letters(&["replay", "cut/0/99"]).await, 1, &["no dead letter cut/0/99"]);
    says(&world.letters(&["show", "transcribe/0/1"]).await, 1, &["no dead letter transcribe/0/1"]);
    says(&world.letters(&["replay", "--video", talk_id]).await, 1, &["no open dead letter fits"]);
    says(&world.letters(&["discard"]).await, 1, &["say which ones"]);
    says(&world.letters(&["show", "nonsense"]).await, 2, &["STAGE/PARTITION/OFFSET"]);
    says(&world.letters(&["list", "--code", "nonsense"]).await, 2, &["one of: empty_file"]);
    let mut nobody = command();
    let address = loopback::free_address().expect("a free port").to_string();
    nobody.args(["dead-letters", "list", "--brokers", &address]);
    says(&finished(nobody).await, 1, &["reach Kafka", &address]);
}

/// Discards a letter: its video stays as it ended.
async fn discard(world: &World, api: &Api) -> String {
    world.outside.has_video(false);
    world.outside.speech_answers(500);
    let gone = api.submit_url(&world.outside.video_url(), ONE_CLIP).await;
    assert_eq!(api.ended(&gone, VIDEO_LIMIT).await["state"], "failed");
    says(&world.letters(&["discard", "--stage", "fetch"]).await, 0, &["1 discarded"]);
    assert!(world.listed(&[]).await.is_empty());
    gone
}

/// Submits and watches a video of which a part fails, as a user does: that has an exit code of its own.
async fn submit_for_a_part(api: &Api) -> String {
    let mut submit = command();
    submit.args(["submit", "--wait", "--json", "--server", &api.server()]).arg(talk());
    submit.args(["--clips", "1", "--min-clip", "3s", "--max-clip", "4s", "--height", "320"]);
    let printed = text(&finished(submit).await, 4);
    let last: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["type"], &last["state"]), (&json!("finished"), &json!("partial")), "{printed}");
    let id = last["video"].as_str().expect("an id").to_owned();
    let mut watch = command();
    watch.args(["watch", "--server", &api.server(), &id]);
    says(&finished(watch).await, 4, &[&format!("{id}: partial")]);
    id
}

/// Waits until all of a video has been worked on but its speech, and is gathered.
async fn all_but_speech(world: &World, id: &str) {
    let (store, tenant, video) = (world.open_store(), TenantId::default_tenant(), id.parse().expect("an id"));
    until("the picture is gathered", VIDEO_LIMIT, async || {
        let gathered = store.gathered_count(Gatherer::Join, &tenant, video, 0).await.expect("a store");
        let row = store.video(&tenant, video).await.expect("a store")?;
        let analyzed = row.state.stages.iter().find(|stage| stage.stage == "analyze")?;
        // Three pieces of picture, and how many there are.
        (gathered == 4 && analyzed.done == 3).then_some(())
    })
    .await;
}

/// While workers run, none is made anew, be it another one.
async fn refuse_to_rebuild(world: &World) {
    let other = tempfile::tempdir().expect("a folder");
    let mut rebuild = command();
    rebuild.args(["rebuild", "--brokers", &world.broker.address()]).arg("--blobs").arg(world.home.data().join("blobs"));
    rebuild.args(["--store", &format!("sqlite:{}", other.path().join("other.db").display())]);
    says(&finished(rebuild).await, 1, &["workers are running (", "stop them"]);
}

/// Loses the store, makes it anew, and compares all that was in it.
async fn lose_and_rebuild(world: &World, deleted: &str) {
    let before = world.rows(deleted).await;
    says(&world.rebuild(&[]).await, 1, &["is not empty"]);
    for name in ["spillway.db", "spillway.db-wal", "spillway.db-shm"] {
        let _ = std::fs::rename(world.home.data().join(name), world.home.data().join(format!("lost-{name}")));
    }
    says(&world.rebuild(&["--dry-run"]).await, 0, &["would read", "records of events"]);
    let rebuilt = world.rebuild(&[]).await;
    println!("{}", text(&rebuilt, 0));
    says(&rebuilt, 0, &["the store is rebuilt"]);
    compare(&before, &world.rows(deleted).await);
    // One that did not live to its end left a mark: nobody works with what is there, and it may be called again.
    world.open_store().begin_rebuild().await.expect("a store");
    let mut worker = command();
    worker.args(["process", "fetch", "--brokers", &world.broker.address(), "--store", &world.store_address()]);
    worker.arg("--blobs").arg(world.home.data().join("blobs"));
    says(&finished(worker).await, 1, &["a rebuild of the store has not ended"]);
    says(&world.rebuild(&[]).await, 0, &["the store is rebuilt"]);
    compare(&before, &world.rows(deleted).await);
}
