//! Processes as the kernel tells of them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::until::until;

/// Returns a call of `program` that hears nothing of this process's settings but where run-time files lie.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SPILLWAY_") && name != "SPILLWAY_RUNTIME" {
            command.env_remove(name);
        }
    }
    command
}

/// Returns the children of `parent`: what each is called, and its process id. Kafka is called `broker`.
pub fn children_of(parent: u32) -> BTreeMap<String, u32> {
    let mut children = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if parent_of(pid) == Some(parent)
            && let Some(name) = name_of(pid)
        {
            children.insert(name, pid);
        }
    }
    children
}

/// Says whether `pid` is there and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields[0].as_str(), "Z" | "X"))
}

/// Sends `signal` to `pid`.
///
/// # Panics
/// When there is no such process.
pub fn send(pid: u32, signal: Signal) {
    signal::kill(Pid::from_raw(pid.cast_signed()), signal).expect("the process is there");
}

/// Returns the most memory that `pid` ever held, in MiB.
///
/// # Panics
/// When there is no such process.
pub fn peak_mib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// Waits until none of `processes` is left.
pub async fn all_gone(processes: &BTreeMap<String, u32>, limit: Duration) {
    let mut left = Vec::new();
    let what = format!("none is left of {processes:?}");
    until(&what, limit, async || {
        left = processes.iter().filter(|(_, pid)| is_alive(**pid)).map(|(name, _)| name.clone()).collect();
        left.is_empty().then_some(())
    })
    .await;
}

fn parent_of(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Reads `pid (name) state parent ..` from the state on; the name may hold anything.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<String> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().map(str::to_owned).collect();
    (fields.len() > 1).then_some(fields)
}

/// Returns the role that a command line names.
fn name_of(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&str> = line.split('\0').collect();
    if words.contains(&"kafka.Kafka") {
        return Some("broker".to_owned());
    }
    let name = match *words.get(1)? {
        "process" => words.get(2)?,
        other => other,
    };
    // Between fork and exec a child still has its parent's command line.
    (name != "dev").then(|| name.to_owned())
}
