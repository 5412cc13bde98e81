//! The CPU time of a process and all that descend from it, as the kernel counts it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{SysconfVar, sysconf};

/// How often CPU time is read while a run lasts: often enough to cut it where the queue empties.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// A process and its descendants.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    root: u32,
    ticks_per_s: f64,
}

/// What is in `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Process {
    parent: u32,
    /// Its own CPU time and that of children it has waited for.
    ticks: u64,
}

/// CPU time at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// CPU time of the tree so far, in seconds.
    pub tree_s: f64,
    /// CPU time of everything else on this machine but this process, in seconds.
    pub others_s: f64,
}

impl Tree {
    /// Names the tree below process `root`.
    ///
    /// # Errors
    /// When the kernel does not tell its unit of time.
    pub fn new(root: u32) -> Result<Self> {
        let ticks = sysconf(SysconfVar::CLK_TCK).context("read the clock's ticks")?;
        let ticks = ticks.context("the kernel does not tell the clock's ticks")?;
        Ok(Self { root, ticks_per_s: ticks as f64 })
    }

    /// Returns the CPU time of the tree so far, in seconds. A child that died is in its parent's time.
    ///
    /// # Errors
    /// When the root is gone.
    pub fn cpu_s(&self) -> Result<f64> {
        Ok(self.processes()?.iter().map(|(_, cpu_s)| cpu_s).sum())
    }

    /// Returns the processes of the tree with the CPU time of each so far, in seconds, the root first.
    ///
    /// # Errors
    /// When the root is gone.
    pub fn processes(&self) -> Result<Vec<(u32, f64)>> {
        let mut children: HashMap<u32, Vec<(u32, u64)>> = HashMap::new();
        for entry in std::fs::read_dir("/proc").context("read /proc")? {
            let entry = entry.context("read /proc")?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            // One that ended since the folder was read is in its parent's time at the next look.
            if let Some(process) = read(&entry.path()) {
                children.entry(process.parent).or_default().push((pid, process.ticks));
            }
        }
        let root = read(Path::new(&format!("/proc/{}", self.root))).context("the measured process is gone")?;
        let mut found = vec![(self.root, root.ticks as f64 / self.ticks_per_s)];
        let mut looked_at = 0;
        while let Some((pid, _)) = found.get(looked_at) {
            let below = children.remove(pid).unwrap_or_default();
            found.extend(below.into_iter().map(|(child, ticks)| (child, ticks as f64 / self.ticks_per_s)));
            looked_at += 1;
        }
        Ok(found)
    }

    /// Reads all clocks.
    ///
    /// # Errors
    /// When the root is gone, or the kernel does not tell.
    pub fn sample(&self) -> Result<Sample> {
        let tree_s = self.cpu_s()?;
        let text = std::fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let machine = busy_ticks(&text).context("understand /proc/stat")?;
        let others_s = machine as f64 / self.ticks_per_s - tree_s - own_cpu_s()?;
        Ok(Sample { at_ms: Timestamp::now().as_millisecond(), tree_s, others_s })
    }
}

/// Returns the CPU time of this process so far, in seconds.
///
/// # Errors
/// When the kernel does not tell.
pub fn own_cpu_s() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("read this process's CPU time")?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn read(folder: &Path) -> Option<Process> {
    parse(&std::fs::read_to_string(folder.join("stat")).ok()?)
}

/// Reads `pid (name) state ppid ... utime stime cutime cstime`; the name may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks })
}

/// Returns the ticks in which some core worked: user, nice, system, irq and softirq.
fn busy_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_ascii_whitespace().skip(1).map_while(|f| f.parse().ok()).collect();
    [0, 1, 2, 5, 6].into_iter().map(|place| fields.get(place)).sum()
}

/// Reads a tree's clocks again and again, on a thread of its own.
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<Sample>>>,
}

impl Sampler {
    /// Starts to read.
    pub fn start(tree: Tree) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut samples = vec![tree.sample()?];
            while stopped.recv_timeout(SAMPLE_EVERY) == Err(RecvTimeoutError::Timeout) {
                samples.push(tree.sample()?);
            }
            samples.push(tree.sample()?);
            Ok(samples)
        });
        Self { stop, thread }
    }

    /// Reads once more and returns all that was read, in order.
    ///
    /// # Errors
    /// When the tree was gone.
    pub fn finish(self) -> Result<Vec<Sample>> {
        // Nobody hears it if the thread ended early; then its error is returned.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the thread that reads CPU time panicked"))?
    }
}

/// Returns the CPU time of the tree at `at_ms`, in seconds, on the line between the samples around it.
pub fn tree_s_at(samples: &[Sample], at_ms: i64) -> Option<f64> {
    let after = samples.partition_point(|sample| sample.at_ms < at_ms);
    let late = samples.get(after).or(samples.last())?;
    let early = samples.get(after.saturating_sub(1))?;
    let between = (late.at_ms - early.at_ms) as f64;
    if between <= 0.0 {
        return Some(late.tree_s);
    }
    let share = ((at_ms - early.at_ms) as f64 / between).clamp(0.0, 1.0);
    Some(early.tree_s + share * (late.tree_s - early.tree_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 5 1 20 0 9 0 55";
        assert_eq!(parse(stat), Some(Process { parent: 3, ticks: 126 }));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn waiting_and_stolen_time_is_not_work() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 1000 0 0\ncpu0 1"), Some(31));
    }

    #[test]
    fn the_clock_between_two_samples_is_on_their_line() {
        let samples = [(0, 0.0), (100, 1.0), (200, 3.0)].map(|(at_ms, tree_s)| Sample { at_ms, tree_s, others_s: 0.0 });
        for (at_ms, expected) in [(-5, 0.0), (0, 0.0), (50, 0.5), (100, 1.0), (150, 2.0), (200, 3.0), (900, 3.0)] {
            assert_eq!(tree_s_at(&samples, at_ms), Some(expected), "{at_ms}");
        }
        assert_eq!(tree_s_at(&[], 0), None);
    }

    #[test]
    fn work_of_a_child_counts() {
        let tree = Tree::new(std::process::id()).unwrap();
        let before = tree.cpu_s().unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", spin]).status().unwrap().success());
        assert!(tree.cpu_s().unwrap() > before);
    }
}
