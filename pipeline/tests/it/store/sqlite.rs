//! The SQLite store: all that holds for every store, and what holds for files.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use pipeline::id::{UnitId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{Claim, SharedStore, open_file};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Fresh, TASKS, at, conformance, new_video, tenant};

struct Sqlite {
    folder: TempDir,
}

#[async_trait]
impl Fresh for Sqlite {
    async fn open(&self) -> SharedStore {
        open(&self.path()).expect("open the store")
    }
}

impl Sqlite {
    fn path(&self) -> PathBuf {
        self.folder.path().join("state/store.db")
    }
}

async fn fresh() -> Sqlite {
    Sqlite { folder: tempfile::tempdir().expect("make a temporary folder") }
}

fn open(path: &Path) -> anyhow::Result<SharedStore> {
    open_file(path)
}

conformance!(crate::store::sqlite::fresh);

/// Where [`finishes_units_until_it_is_killed`] finds the store, when it is run as a process of its own.
const STORE: &str = "SPILLWAY_TEST_STORE";

fn unit(index: usize) -> UnitId {
    UnitId::derive(
        "cut",
        &tenant("a"),
        "00000000-0000-0000-0000-000000000001".parse::<VideoId>().unwrap(),
        &index.to_string(),
    )
}

#[tokio::test]
#[ignore = "run as a process of its own by what_was_answered_survives_a_kill"]
async fn finishes_units_until_it_is_killed() {
    let store = open(Path::new(&std::env::var_os(STORE).expect("the path of the store"))).unwrap();
    let mut out = std::io::stdout();
    for index in 0.. {
        match store.claim(unit(index), "child", at(0), Duration::from_secs(30)).await.unwrap() {
            Claim::Granted { lease, .. } => assert!(store.finish(&lease).await.unwrap()),
            other => panic!("not granted: {other:?}"),
        }
        // The test runner's own line is not over when the first one is written.
        writeln!(out, "\nfinished {index}").unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let fresh = fresh().await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::sqlite::finishes_units_until_it_is_killed", "--ignored", "--nocapture"])
        .env(STORE, fresh.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let finished = |line: &String| line.starts_with("finished ");
    assert_eq!(lines.by_ref().filter(finished).take(TASKS).count(), TASKS);
    child.kill().unwrap();
    let more = lines.filter(finished).count();
    child.wait().unwrap();

    let store = fresh.open().await;
    for index in 0..TASKS + more {
        let claim = store.claim(unit(index), "heir", at(1), Duration::from_secs(30)).await.unwrap();
        assert_eq!(claim, Claim::Finished, "unit {index} of {}", TASKS + more);
    }
}

#[tokio::test]
async fn many_processes_make_the_tables_once() {
    let fresh = fresh().await;
    let path = fresh.path();
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..16).map(|_| scope.spawn(|| open(&path).map(drop))).collect();
        for handle in opened {
            handle.join().unwrap().expect("open the store");
        }
    });
}

#[tokio::test]
async fn writes_wait_for_another_process_and_survive_it() {
    let fresh = fresh().await;
    let store = fresh.open().await;
    let other = Connection::open(fresh.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    let waiting = tokio::spawn({
        let (store, video) = (store.clone(), video.clone());
        async move { store.create_video(&video).await }
    });
    // Readers do not wait for whoever writes.
    assert_eq!(store.video(&tenant("a"), video.job.video()).await.unwrap(), None);
    assert!(!waiting.is_finished());
    other.execute_batch("COMMIT").unwrap();
    waiting.await.unwrap().unwrap();
    assert!(store.video(&tenant("a"), video.job.video()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_written_is_there_after_all_have_closed() {
    let fresh = fresh().await;
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    fresh.open().await.create_video(&video).await.unwrap();
    assert!(fresh.open().await.video(&tenant("a"), video.job.video()).await.unwrap().is_some());
}

#[tokio::test]
async fn file_of_a_newer_version_is_refused() {
    let fresh = fresh().await;
    drop(fresh.open().await);
    Connection::open(fresh.path()).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = format!("{:#}", open(&fresh.path()).err().expect("refused"));
    assert!(error.contains("version 99") && error.contains("store.db"), "{error}");
}

#[tokio::test]
async fn file_that_is_no_store_is_refused() {
    let fresh = fresh().await;
    std::fs::create_dir_all(fresh.path().parent().unwrap()).unwrap();
    std::fs::write(
        fresh.path(),
        "not a database, but long enough to look like one to whoever does not look closely\n".repeat(50),
    )
    .unwrap();
    let error = format!("{:#}", open(&fresh.path()).err().expect("refused"));
    assert!(error.contains("store.db"), "{error}");
}

#[tokio::test]
async fn contents_tell_whether_a_store_may_be_rebuilt() {
    super::videos::contents_tell_whether_a_store_may_be_rebuilt(&fresh().await).await;
}
