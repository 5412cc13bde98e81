//! The disk that holds the blobs is full. A small file system of the test's own is mounted in memory, in a mount
//! namespace of its own, which needs `unshare`, `nsenter` and `setpriv` of util-linux and the right to make one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use testing::until::until;

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::servers::Kind;
use crate::system::{Plan, SHORT, System};

/// The size of the file system: some sources and clips fit.
const SIZE_MIB: u64 = 8;
/// An upload that does not fit any more once the disk is nearly full.
const LARGE_BYTES: usize = 2 << 20;
/// How long the breaker may take to see that there is room again, and the work to be done.
const LIMIT: Duration = Duration::from_secs(120);
/// How long things may go on that were begun before the disk was full.
const SETTLED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_full_disk_is_507_leaves_nothing_and_heals_without_a_restart() {
    let disk = Disk::mount();
    let kind = Kind::BlobsIn { named: disk.path.join("blobs"), seen: disk.seen() };
    let system = System::start(Plan { kind, wrapper: disk.wrapper(), ..Plan::host(&SHORT) }).await;
    let sample = Sample::Tiny(0);
    learn(&system.api, &[sample]).await;
    let mut ledger = Ledger::default();
    ledger.submit(&system.api, sample).await;
    disk.fill();

    let listed = count(&system).await;
    let files = disk.sources();
    let body = vec![0x5a; LARGE_BYTES];
    let refused = system.api.post("/v1/videos").body(body.clone()).send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::INSUFFICIENT_STORAGE);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.expect("JSON");
    assert_eq!(problem["code"], "storage_full", "{problem}");
    assert_eq!(count(&system).await, listed, "a half-written job is listed");
    until("nothing of what was refused stays", SETTLED, async || (disk.sources() == files).then_some(())).await;

    disk.free();
    refused_while_less_is_free_than_is_kept(&system).await;
    ledger.submit(&system.api, sample).await;
    let balance = ledger.balance(&system, LIMIT).await;
    assert_eq!(balance.videos, 2);
    assert_eq!(system.dead_letters(), 0);
    assert_eq!(system.died(), Vec::<String>::new());
    assert!(system.members.iter().all(|member| member.ends().is_empty()), "a process was started again");
}

/// The system runs without a reserve, or nothing would fit on so small a disk. Another API has the usual one, and refuses
/// a video before its bytes.
async fn refused_while_less_is_free_than_is_kept(system: &System) {
    let (api, member) = system.join_api(&["SPILLWAY_DISK_RESERVE"]).await;
    let knows = async || system.log().tail(500).contains("new videos are refused").then_some(());
    until("it knows how much is free", SETTLED, knows).await;
    let refused = api.post("/v1/videos").body(vec![0x5a; LARGE_BYTES]).send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.expect("JSON");
    assert_eq!(problem["code"], "overloaded", "{problem}");
    assert_eq!(member.end(SETTLED).await.code(), Some(0));
}

async fn count(system: &System) -> usize {
    let list: Value = system.api.get("/v1/videos?limit=100").await.json().await.expect("JSON");
    list["items"].as_array().expect("items").len()
}

/// A file system in memory, seen only by processes that enter its namespace; gone with the process that holds it.
struct Disk {
    holder: Child,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_owned();
        let script = "mount -t tmpfs -o size=$1m none \"$0\" && mkdir \"$0/blobs\" && echo mounted && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "setpriv", "--pdeathsig", "KILL", "sh", "-c", script]);
        command.arg(&path).arg(SIZE_MIB.to_string());
        let holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut holder = holder.expect("unshare is installed");
        let mut said = String::new();
        let heard = BufReader::new(holder.stdout.take().expect("its output")).read_line(&mut said);
        assert!(
            heard.is_ok() && said == "mounted\n",
            "no small disk can be mounted for this test: it needs the right to make user and mount namespaces"
        );
        Self { holder, path, _folder: folder }
    }

    /// Returns what lets a process see it.
    fn wrapper(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        let words = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", &target];
        let ends_with_us = ["setpriv", "--pdeathsig", "KILL"];
        words.iter().chain(&ends_with_us).map(|word| (*word).to_owned()).collect()
    }

    /// Returns where its blobs are for processes outside.
    fn seen(&self) -> PathBuf {
        let root = Path::new("/proc").join(self.holder.id().to_string()).join("root");
        root.join(self.path.strip_prefix("/").expect("an absolute path")).join("blobs")
    }

    fn fill(&self) {
        self.run("cat /dev/zero > filler 2>/dev/null; true");
    }

    fn free(&self) {
        self.run("rm filler");
    }

    /// Returns the sources that lie there, finished or not.
    fn sources(&self) -> String {
        self.run("find blobs -path '*/source/*' | sort")
    }

    fn run(&self, script: &str) -> String {
        let wrapper = self.wrapper();
        let mut command = Command::new(&wrapper[0]);
        command.args(&wrapper[1..]).args(["sh", "-c", &format!("cd \"$0\" && {script}")]).arg(&self.path);
        let ran = command.output().expect("nsenter is installed");
        assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).expect("text")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The file system goes with the last process that sees it; errors mean that it has ended.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
