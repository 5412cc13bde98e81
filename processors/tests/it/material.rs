//! Media made at test time, and the outside world as stages see it, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use pipeline::blob::{self, Blobs, Kind, Location};
use pipeline::event::{BlobRef, Job, MediaInfo, Options};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Pulse, Standing};
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::store;
use processors::media::probe::{Limits, probe};
use processors::services::Services;
use processors::split::SplitArgs;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Four seconds of moving picture, 160x120 at 25 frames a second.
pub const PICTURE: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=4";

/// Four seconds of sound that is never the same.
pub const SOUND: &str = "-f lavfi -i aevalsrc='0.4*sin(2*PI*(200+90*t)*t)':s=44100:d=4";

/// Two hours is admitted, and 120 frames a second.
pub const LIMITS: Limits = Limits { duration: Duration::from_secs(7200), frame_rate: 120.0 };

/// A folder for one test.
pub struct Workshop {
    folder: TempDir,
}

impl Workshop {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the file `name` with the `ffmpeg` command; arguments are parted at spaces.
    pub fn make(&self, arguments: &str, name: &str) -> PathBuf {
        let path = self.path(name);
        let words = arguments.split_whitespace().map(|word| word.replace('\'', ""));
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y"]).args(words).arg(&path);
        let made = command.output().expect("ffmpeg is installed");
        assert!(made.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&made.stderr));
        path
    }

    /// Writes `bytes` to the file `name`.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("write");
        path
    }

    /// Returns a store and blobs in this folder.
    pub fn services(&self) -> Services {
        services_in(self.folder.path())
    }

    /// Returns the names of all files among the blobs.
    pub fn blob_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("folder").flatten() {
                let path = entry.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

/// Returns a store and blobs in `folder`, and the run-time files that `SPILLWAY_RUNTIME` or the usual places have.
pub fn services_in(folder: &Path) -> Services {
    let blobs = Blobs::open(&Location::Folder(folder.join("blobs"))).expect("blobs");
    Services {
        store: store::open_file(&folder.join("store.db")).expect("store"),
        carrier: Carrier::new(blobs, 4 << 20),
        runtime: Runtime::new(&RuntimeArgs { runtime: std::env::var_os("SPILLWAY_RUNTIME").map(PathBuf::from) }),
    }
}

/// Cuts into pieces of about so many seconds; the rest is as by default.
pub fn split_args(target_s: u64) -> SplitArgs {
    SplitArgs {
        segment_target: Duration::from_secs(target_s),
        segment_enough_bytes: 3 << 20,
        segment_max_bytes: 4 << 30,
        segment_max_frames: 432_000,
        segment_memory_bytes: 16 << 20,
        segment_scratch: None,
        backlog_bytes: 0,
    }
}

/// Whose work a test's video is.
pub fn job(options: Options) -> Job {
    Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, options)
}

/// Stores `path` as the uploaded source of `job`.
pub async fn upload(services: &Services, job: &Job, path: &Path) -> BlobRef {
    let key = blob::key(&job.tenant(), job.video(), Kind::Source, "upload");
    let bytes = std::fs::read(path).expect("read");
    services.carrier.blobs().put(&key, bytes.into()).await.expect("put")
}

pub fn pulse() -> Pulse {
    Pulse::new(CancellationToken::new())
}

/// A claim that somebody else has by now.
pub struct TakenOver;

#[async_trait]
impl Standing for TakenOver {
    async fn holds(&self) -> Result<bool, Failure> {
        Ok(false)
    }
}

/// Probes a file.
pub fn look_at(path: &Path) -> Result<MediaInfo, Failure> {
    let file = std::fs::File::open(path).expect("open");
    let bytes = file.metadata().expect("metadata").len();
    probe(file, bytes, &LIMITS, &pulse())
}

/// Returns the code `path` is rejected for.
#[track_caller]
pub fn rejected(path: &Path) -> Code {
    match look_at(path) {
        Err(Failure::Reject { code, .. }) => code,
        other => panic!("{} should be rejected, not {other:?}", path.display()),
    }
}

/// Runs `ffprobe` or `ffmpeg` and returns what it prints.
pub fn run(program: &str, arguments: &str, path: &Path, after: &str) -> String {
    let ran = Command::new(program)
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .arg(path)
        .args(after.split_whitespace())
        .output()
        .expect("installed");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}
