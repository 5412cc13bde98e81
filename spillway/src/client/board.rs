//! What a person sees while waiting: bars on a terminal, plain lines elsewhere, nothing but JSON when asked.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::progress::{Progress, STAGES};

/// How often a stage that goes on is told of without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far all videos are together.
pub struct Board {
    face: Face,
    state: Mutex<State>,
}

enum Face {
    Bars { all: MultiProgress, upload: ProgressBar },
    Lines,
    Json,
}

#[derive(Default)]
struct State {
    videos: BTreeMap<String, Progress>,
    stages: BTreeMap<&'static str, ProgressBar>,
    told: BTreeMap<&'static str, (Instant, (u64, u64))>,
}

impl Board {
    /// Makes a board for what `upload_bytes` are to be sent; with `json` it shows nothing.
    pub fn new(json: bool, upload_bytes: u64) -> Self {
        let face = if json {
            Face::Json
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let style = "{prefix:<11} {bar:30} {bytes:>10} / {total_bytes:<10} {bytes_per_sec}";
            let upload = all.add(ProgressBar::new(upload_bytes));
            if upload_bytes == 0 {
                upload.finish_and_clear();
            }
            Face::Bars { all, upload: upload.with_style(style_of(style)).with_prefix("upload") }
        } else {
            Face::Lines
        };
        Self { face, state: Mutex::default() }
    }

    /// Counts bytes that were sent.
    pub fn sent(&self, bytes: u64) {
        if let Face::Bars { upload, .. } = &self.face {
            upload.inc(bytes);
            if upload.length().is_some_and(|all| upload.position() >= all) {
                upload.finish(); // draws at once: the last bytes come within the time of one drawing
            }
        }
    }

    /// Tells a person something, above the bars.
    pub fn say(&self, line: &str) {
        match &self.face {
            Face::Bars { all, .. } => drop(all.println(line)),
            Face::Lines => eprintln!("{line}"),
            Face::Json => {}
        }
    }

    /// Takes an event of a video.
    pub fn hear(&self, video: &str, event: &Value) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stage) = state.videos.entry(video.to_owned()).or_default().hear(event) else { return };
        let sums = state.videos.values().map(|video| video.of(stage));
        let now = sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        match &self.face {
            Face::Bars { all, .. } => {
                let earlier = state.stages.keys().filter(|other| place(other) < place(stage)).count();
                let bar = state.stages.entry(stage).or_insert_with(|| stage_bar(all, stage, earlier));
                bar.set_length(now.1);
                bar.set_position(now.0);
            }
            Face::Lines => {
                let (done, total) = now;
                let before = state.told.get(stage);
                let is_due = before.is_none_or(|(at, then)| *then != now && at.elapsed() > LINE_EVERY);
                if is_due || (done == total && before.is_none_or(|(_, then)| *then != now)) {
                    state.told.insert(stage, (Instant::now(), now));
                    eprintln!("  {stage}: {done} of {total}");
                }
            }
            Face::Json => {}
        }
    }

    /// Takes the bars away, so that results stand alone. A bar that is only cleared would be drawn again, below them,
    /// when it is dropped.
    pub fn close(&self) {
        if let Face::Bars { all, upload } = &self.face {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.stages.values().chain([upload]).for_each(ProgressBar::finish_and_clear);
            drop(all.clear());
        }
    }
}

/// Adds a stage's bar; it takes its place in the order of the flow, below that of the upload.
fn stage_bar(all: &MultiProgress, stage: &'static str, earlier: usize) -> ProgressBar {
    let bar = ProgressBar::new(0).with_style(style_of("{prefix:<11} {bar:30} {pos:>4} / {len}"));
    all.insert(earlier + 1, bar).with_prefix(stage)
}

fn place(stage: &str) -> usize {
    STAGES.iter().position(|name| *name == stage).unwrap_or(STAGES.len())
}

fn style_of(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
