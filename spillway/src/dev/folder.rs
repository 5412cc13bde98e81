//! The data folder of `spillway dev`, held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A locked data folder; the kernel frees the lock when the process ends, however it ends.
pub struct Folder {
    root: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is missing, and locks it.
    ///
    /// # Errors
    /// When another process holds it, or it cannot be written.
    pub fn lock(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root).with_context(|| format!("make the data folder {}", root.display()))?;
        let root = root.canonicalize().with_context(|| format!("find the data folder {}", root.display()))?;
        let file = root.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&file);
        let mut lock = lock.with_context(|| format!("open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).context("read the lock's holder")?;
                bail!(
                    "the data folder {} is in use by process {}; stop it or choose another with --data",
                    root.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock {}", file.display())),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())?;
        Ok(Self { root, _lock: lock })
    }

    /// Returns the folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of `name` inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let held = Folder::lock(base.path()).unwrap();
        let refused = Folder::lock(base.path()).err().unwrap().to_string();
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(held);
        assert!(Folder::lock(base.path()).is_ok());
    }
}
