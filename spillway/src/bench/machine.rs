//! Where and with what was measured.

use pipeline::runtime::{Runtime, RuntimeFile};
use processors::media;
use serde::Serialize;

/// The machine and the programs.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// This program's version.
    pub spillway: &'static str,
    /// How it was built: numbers of a debug build mean nothing.
    pub build: &'static str,
    /// Apache Kafka's version.
    pub kafka: String,
    /// FFmpeg's codec library.
    pub ffmpeg: String,
    /// The kernel.
    pub kernel: String,
    /// The processor.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Load over the last minute before the first measurement.
    pub load_before: f64,
}

impl Machine {
    /// Looks around; what cannot be found out is called `unknown`.
    pub fn look(runtime: &Runtime) -> Self {
        let unknown = || "unknown".to_owned();
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo").lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            spillway: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            kafka: kafka_version(runtime).unwrap_or_else(unknown),
            ffmpeg: media::version(),
            kernel: if kernel.is_empty() { unknown() } else { kernel },
            processor: processor.unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            load_before: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        }
    }
}

/// Reads the version from the name of the jar that every client and server has.
fn kafka_version(runtime: &Runtime) -> Option<String> {
    let folder = std::fs::read_dir(runtime.locate(RuntimeFile::Kafka).ok()?).ok()?;
    let names = folder.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions =
        names.filter_map(|name| Some(name.strip_prefix("kafka-clients-")?.strip_suffix(".jar")?.to_owned()));
    versions.next()
}
