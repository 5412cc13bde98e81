//! Writes down what was seen and decided, so that it can be replayed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use planning::record::Recorded;

/// A file that grows by a line a tick. What is there at the start, or has grown too large, is kept under the same name
/// with `.1` behind it, in place of what was kept so before: each file is one run's, and two are all there are.
pub struct Recorder {
    path: PathBuf,
    most_bytes: u64,
    file: File,
    bytes: u64,
}

impl Recorder {
    /// Begins a new file at `path`, of at most `most_bytes`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(path: &Path, most_bytes: u64) -> Result<Self> {
        let file = fresh(path)?;
        Ok(Self { path: path.to_owned(), most_bytes, file, bytes: 0 })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, recorded: &Recorded) -> Result<()> {
        let mut line = serde_json::to_vec(recorded).context("write an observation as JSON")?;
        line.push(b'\n');
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.most_bytes {
            self.file = fresh(&self.path)?;
            self.bytes = 0;
        }
        self.file.write_all(&line).with_context(|| format!("write {}", self.path.display()))?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

fn fresh(path: &Path) -> Result<File> {
    if path.exists() {
        let mut kept = path.as_os_str().to_owned();
        kept.push(".1");
        std::fs::rename(path, &kept).with_context(|| format!("keep the earlier {}", path.display()))?;
    }
    let file = OpenOptions::new().create_new(true).write(true).open(path);
    file.with_context(|| format!("make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use planning::decision::StageDecision;
    use planning::observation::Observation;
    use planning::policy::Policy;

    use super::*;
    use crate::args::Bounds;
    use crate::replay::replay;

    #[test]
    fn what_is_recorded_can_be_replayed_and_takes_bounded_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ticks.jsonl");
        std::fs::write(&path, "an earlier run").unwrap();
        let mut recorder = Recorder::begin(&path, 2000).unwrap();
        for tick in 0..100 {
            let seen = Observation { at: f64::from(tick), ..Observation::default() };
            let decided = vec![StageDecision {
                stage: "cut".to_owned(),
                replicas: tick,
                reason: "a \"reason\"".to_owned(),
                inputs: None,
            }];
            recorder.write(&Recorded { seen, decided, policy: None }).unwrap();
        }
        let (last, kept) = (std::fs::read(&path).unwrap(), std::fs::read(folder.path().join("ticks.jsonl.1")).unwrap());
        assert!(last.len() <= 2000 && kept.len() <= 2000 && kept.starts_with(b"{"), "{}", kept.len());
        let mut decisions = Vec::new();
        replay(&Policy::default(), &Bounds::default(), &*last, &mut decisions).unwrap();
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines(&decisions), lines(&last));
        assert!(String::from_utf8(last).unwrap().lines().last().unwrap().contains("\"at\":99.0"));
    }
}
