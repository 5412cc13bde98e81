//! Folders for servers that live as long as this process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Makes this process's folder, its name `prefix` and the id of the process, and removes those of processes that are
/// gone: none can remove its own, because its server ends after it.
pub fn of_this_process(prefix: &str) -> Result<PathBuf> {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let this = std::process::id().to_string();
    for entry in fs::read_dir(all).context("list the folder for tests' files")? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if process.is_some_and(|id| id == this || !Path::new("/proc").join(id).exists()) {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(format!("{prefix}{this}"));
    fs::create_dir_all(&own).context("make a server's folder")?;
    Ok(own)
}
