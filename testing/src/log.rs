//! What the processes of a service logged, one JSON object a line.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The runner's word that work on a unit begins (at level `debug`).
pub const BEGUN: &str = "unit begun";
/// The runner's word that a unit's owner died while it worked.
pub const ORPHANED: &str = "a worker died with this unit in hand: waiting to run it alone";

/// A consumer's word that it has other partitions than before.
pub const REASSIGNED: &str = "assignment changed";
/// The runner's word that a unit is given up.
pub const GIVEN_UP: &str = "unit given up";
/// The runner's word that a message is no message.
pub const UNREADABLE: &str = "message unreadable";

/// A log that is being written.
pub struct Log {
    path: PathBuf,
}

impl Log {
    /// Names the log at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says whether `stage` said `message` about a unit of `video`.
    pub fn says(&self, message: &str, stage: &str, video: &str) -> bool {
        self.follow().says(message, stage, video)
    }

    /// Reads it from its beginning, and then what is added.
    pub fn follow(&self) -> Follower<'_> {
        Follower { log: self, read_bytes: 0 }
    }

    /// Returns the names and exit statuses of children that ended as they were told to.
    pub fn children_ended(&self) -> Vec<(String, String)> {
        let lines = self.text();
        let ended = lines.lines().filter_map(parse).filter(|line| line["message"] == "child ended");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        ended.map(|line| (text(&line["name"]), text(&line["status"]))).collect()
    }

    /// Returns the stage, video and unit of each time that `message` was said of a unit.
    pub fn units(&self, message: &str) -> Vec<[String; 3]> {
        let lines = self.text();
        let said = lines.lines().filter(|line| line.contains(message)).filter_map(parse);
        let names = ["stage", "video", "unit"];
        said.filter(|line| line["message"] == message)
            .map(|line| names.map(|name| line["span"][name].as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// Returns the last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.path).unwrap_or_default()).into_owned()
    }
}

/// Reads a log on and on; each line is read once, so that a look takes no time.
pub struct Follower<'a> {
    log: &'a Log,
    read_bytes: u64,
}

impl Follower<'_> {
    /// Says whether `stage` said `message` about a unit of `video` since the last look.
    pub fn says(&mut self, message: &str, stage: &str, video: &str) -> bool {
        let mut added = Vec::new();
        let mut file = File::open(&self.log.path).expect("the log is there");
        file.seek(SeekFrom::Start(self.read_bytes)).expect("seek in the log");
        file.read_to_end(&mut added).expect("read the log");
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read_bytes += whole as u64;
        let text = String::from_utf8_lossy(&added[..whole]).into_owned();
        text.lines().filter(|line| line.contains(message)).filter_map(parse).any(|line| {
            let span = &line["span"];
            line["message"] == message && span["stage"] == stage && span["video"] == video
        })
    }
}

/// Reads a line; one that is only half written is none yet.
fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
