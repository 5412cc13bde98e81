//! What a process holds in memory, as the kernel tells it.

/// Returns the resident memory of process `pid`, or of this one, in bytes; `None` where the system does not tell or the
/// process is gone.
pub fn resident_bytes(pid: Option<u32>) -> Option<u64> {
    of("VmRSS:", pid)
}

/// Returns the most that was resident of process `pid` since its peak was last forgotten, in bytes; `None` where the system
/// does not tell or the process is gone.
pub fn peak_bytes(pid: Option<u32>) -> Option<u64> {
    of("VmHWM:", pid)
}

fn of(name: &str, pid: Option<u32>) -> Option<u64> {
    let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
