//! What this machine does meanwhile: CPU time and memory of the processes below this one, by what they are.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use pipeline::memory;
use pipeline::process_tree::Tree;
use serde::{Deserialize, Serialize};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the machine did since the look before.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Cores busy with anything.
    pub busy_cores: f64,
    /// Cores busy with the processes of this run, by what they are: `broker`, `ingest`, `gather`, `cut`, `loadtest`.
    pub roles: BTreeMap<String, f64>,
    /// Memory of the same, in MiB.
    pub memory_mib: BTreeMap<String, f64>,
}

/// Looks again and again, on a thread of its own, until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<Machine>>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to look at this process and all below it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn start() -> Result<Self> {
        let tree = Tree::new(std::process::id())?;
        let seen: Arc<Mutex<Vec<Machine>>> = Arc::default();
        let (stop, stopped) = mpsc::channel();
        let kept = seen.clone();
        let mut before = Clocks::read(&tree)?;
        // What there is before the load: it is used by nobody yet.
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(before.since(&before));
        let look = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                // A process that ends while it is looked at is missed once.
                if let Ok(now) = Clocks::read(&tree) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(now.since(&before));
                    before = now;
                }
            }
        };
        let thread = std::thread::Builder::new().name("machine".to_owned()).spawn(look)?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns what was seen so far, in order.
    pub fn seen(&self) -> MutexGuard<'_, Vec<Machine>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic; if it did, what it had seen is there.
            let _ = thread.join();
        }
    }
}

/// All clocks at a moment.
struct Clocks {
    at_ms: i64,
    machine_s: f64,
    processes: BTreeMap<u32, (String, f64)>,
    memory_mib: BTreeMap<String, f64>,
}

impl Clocks {
    fn read(tree: &Tree) -> Result<Self> {
        let sample = tree.sample()?;
        let (mut processes, mut memory_mib) = (BTreeMap::new(), BTreeMap::new());
        for (place, (pid, cpu_s)) in tree.processes()?.into_iter().enumerate() {
            let role = if place == 0 { "loadtest".to_owned() } else { role_of(pid) };
            *memory_mib.entry(role.clone()).or_default() +=
                memory::resident_bytes(Some(pid)).unwrap_or(0) as f64 / f64::from(1 << 20);
            processes.insert(pid, (role, cpu_s));
        }
        // The tree's root is this process, which the sample counts once more as its own.
        let own_s = pipeline::process_tree::own_cpu_s()?;
        let machine_s = sample.tree_s + sample.others_s + own_s;
        Ok(Self { at_ms: sample.at_ms, machine_s, processes, memory_mib })
    }

    fn since(&self, before: &Self) -> Machine {
        let passed_s = ((self.at_ms - before.at_ms) as f64 / 1000.0).max(0.001);
        let mut roles: BTreeMap<String, f64> = BTreeMap::new();
        for (pid, (role, cpu_s)) in &self.processes {
            let earlier_s = before.processes.get(pid).map_or(0.0, |(_, cpu_s)| *cpu_s);
            *roles.entry(role.clone()).or_default() += (cpu_s - earlier_s).max(0.0) / passed_s;
        }
        let busy_cores = (self.machine_s - before.machine_s).max(0.0) / passed_s;
        Machine { at_ms: self.at_ms, busy_cores, roles, memory_mib: self.memory_mib.clone() }
    }
}

/// Says what a process is by its command line.
fn role_of(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&str> = line.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    named(&words).to_owned()
}

fn named<'a>(words: &[&'a str]) -> &'a str {
    match words {
        _ if words.contains(&"kafka.Kafka") => "broker",
        [_, "process", stage, ..] | [_, "loadtest", "work", stage, ..] => stage,
        [_, role @ ("ingest" | "autoscale" | "dev"), ..] => role,
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_named_by_what_they_do() {
        for (line, role) in [
            ("/usr/bin/java -Xmx512m kafka.Kafka server.properties", "broker"),
            ("/opt/spillway process gather --slots 12", "gather"),
            ("/opt/spillway loadtest work cut --emulate spec.json", "cut"),
            ("/opt/spillway ingest --listen 127.0.0.1:1", "ingest"),
            ("sh -c true", "other"),
        ] {
            assert_eq!(named(&line.split(' ').collect::<Vec<_>>()), role);
        }
    }
}
