//! Folders of servers. None can be removed by the process that made it when that is killed, so the next one does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};

/// What the names of the processes' folders start with; the id of the process follows.
const PREFIX: &str = "servers-";

/// Makes a folder for one server called `name`.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn new_folder(name: &str) -> Result<PathBuf> {
    static OWN: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let own = OWN.get_or_init(|| of_this_process().map_err(|error| format!("{error:#}")));
    let own = own.as_ref().map_err(|error| anyhow!("{error}"))?;
    let folder = own.join(format!("{name}-{}", MADE.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).context("make a server's folder")?;
    Ok(folder)
}

/// Makes this process's folder and removes those of processes that are gone.
fn of_this_process() -> Result<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
    fs::create_dir_all(&all).context("make the folder for tests' files")?;
    let all = all.canonicalize().context("find the folder for tests' files")?;
    let this = std::process::id().to_string();
    for entry in fs::read_dir(&all).context("list the folder for tests' files")? {
        let entry = entry?;
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|id| id == this || !Path::new("/proc").join(id).exists()) {
            // Another process may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(all.join(format!("{PREFIX}{this}")))
}
