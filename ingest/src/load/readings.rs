//! What the service is judged by: this process's memory, free space, and what workers report.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use nix::sys::statvfs::statvfs;
use pipeline::event::WorkerReport;
use pipeline::memory;
use pipeline::workers::SILENCE;

/// A worker that said nothing for so long is no longer counted, in milliseconds.
const SILENT_MS: i64 = SILENCE.as_millis() as i64;

/// How much memory is used of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use, in bytes.
    pub used_bytes: u64,
    /// The most there may be, in bytes.
    pub limit_bytes: u64,
}

impl Memory {
    /// Returns how much is in use, in percent of the limit.
    pub fn percent(self) -> u64 {
        self.used_bytes.saturating_mul(100) / self.limit_bytes.max(1)
    }
}

/// Reads the memory of this process: against `limit_bytes` if that is given, else what its control group uses
/// against that group's limit; nothing where there is no limit.
pub(crate) fn memory(limit_bytes: Option<u64>) -> Option<Memory> {
    if let Some(limit_bytes) = limit_bytes {
        return Some(Memory { used_bytes: memory::resident_bytes(None)?, limit_bytes });
    }
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    memory_of_group(Path::new("/sys/fs/cgroup"), own)
}

/// Reads the memory of the group `own` below `root`, or of the nearest above it that has a limit.
fn memory_of_group(root: &Path, own: &str) -> Option<Memory> {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let mut group = root.join(own);
    while group.starts_with(root) {
        // Without a limit the file says `max`.
        if let Some(limit_bytes) = number(group.join("memory.max")) {
            let used_bytes = number(group.join("memory.current"))?;
            let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
            let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
            // The kernel takes pages of files back before it ends anybody.
            let used_bytes = used_bytes.saturating_sub(cache.unwrap_or(0));
            return Some(Memory { used_bytes, limit_bytes });
        }
        group.pop();
    }
    None
}

/// Returns the free space of the fullest of the disks that hold `folders`, in bytes.
pub(crate) fn free_bytes(folders: &[PathBuf]) -> Option<u64> {
    let free = |folder: &PathBuf| {
        let disk = statvfs(folder.as_path()).ok()?;
        #[expect(clippy::useless_conversion, reason = "narrower on some systems")]
        Some(u64::from(disk.blocks_available()) * u64::from(disk.fragment_size()))
    };
    folders.iter().filter_map(free).min()
}

/// What workers last said of the outside services they ask: failures in a row, and when.
#[derive(Default)]
pub struct Workers(Mutex<HashMap<String, (u32, i64)>>);

impl Workers {
    /// Hears what a worker says.
    pub fn hear(&self, report: &WorkerReport) {
        let mut workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if report.outside_failures == 0 {
            workers.remove(&report.worker);
            return;
        }
        workers.retain(|_, (_, at_ms)| report.at_ms - *at_ms < SILENT_MS);
        workers.insert(report.worker.clone(), (report.outside_failures, report.at_ms));
    }

    /// Returns the most failures in a row that a worker reports.
    pub fn outside_failures(&self, now: Timestamp) -> u64 {
        let workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = workers.values().filter(|(_, at_ms)| now.as_millisecond() - at_ms < SILENT_MS);
        lately.map(|(failures, _)| u64::from(*failures)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_group_with_a_limit_counts_without_what_can_be_taken_back() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| fs::write(root.path().join(path), text).expect("a file");
        fs::create_dir_all(root.path().join("a/b")).expect("folders");
        assert_eq!(memory_of_group(root.path(), "a/b"), None);
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000\n");
        write("a/memory.current", "900\n");
        write("a/memory.stat", "anon 500\ninactive_file 100\n");
        let found = memory_of_group(root.path(), "a/b").expect("a limit");
        assert_eq!((found.used_bytes, found.percent()), (800, 80));
    }

    #[test]
    fn a_limit_that_is_given_is_held_against_this_process() {
        let found = memory(Some(1 << 50)).expect("memory");
        assert!(found.used_bytes > 1 << 20 && found.percent() == 0, "{found:?}");
    }

    #[test]
    fn the_fullest_disk_counts() {
        assert!(free_bytes(&[std::env::temp_dir(), "/nowhere".into()]).is_some());
        assert_eq!(free_bytes(&[]), None);
    }

    #[test]
    fn failures_count_until_one_succeeds_or_the_worker_is_silent() {
        let workers = Workers::default();
        let hear = |worker: &str, outside_failures, at_ms| {
            workers.hear(&WorkerReport {
                worker: worker.to_owned(),
                outside_failures,
                at_ms,
                ..WorkerReport::default()
            });
        };
        let failures = |ms| workers.outside_failures(Timestamp::from_millisecond(ms).expect("a time"));
        assert_eq!(failures(0), 0);
        hear("a", 12, 1_000);
        hear("b", 3, 2_000);
        assert_eq!(failures(2_000), 12);
        assert_eq!(failures(1_000 + SILENT_MS), 3);
        hear("a", 0, 3_000);
        assert_eq!(failures(3_000), 3);
        hear("b", 0, 3_000);
        assert_eq!(failures(3_000), 0);
    }
}
