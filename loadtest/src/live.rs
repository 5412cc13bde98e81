//! What goes on, while it does: a block of lines that is drawn anew on a terminal, else a line now and then.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::client::Answer;
use crate::drive::Ledger;
use crate::fleet::{Fleet, WORK};
use crate::follow::Stories;
use crate::observe::Observer;
use crate::quantiles::Quantiles;

/// How often the block is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a line is printed where there is no terminal.
const PRINT_EVERY: Duration = Duration::from_secs(10);

/// What is shown.
pub struct Live<'a> {
    /// How many arrivals there will be.
    pub planned: usize,
    /// How many times faster than the schedule it goes.
    pub time_scale: f64,
    /// What was sent.
    pub ledger: &'a Ledger,
    /// What ended.
    pub stories: &'a Stories,
    /// The workers, if they can be seen.
    pub observer: Option<&'a Observer>,
}

impl Live<'_> {
    /// Shows it until it is dropped.
    pub async fn show(&self) -> std::convert::Infallible {
        let begun = Instant::now();
        let scaled = || begun.elapsed().as_secs_f64() * self.time_scale;
        if !std::io::stderr().is_terminal() {
            let mut often = tokio::time::interval(PRINT_EVERY);
            loop {
                often.tick().await;
                eprintln!("{}", self.lines(scaled())[..2].join("; "));
            }
        }
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let block = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
        let mut often = tokio::time::interval(DRAW_EVERY);
        loop {
            often.tick().await;
            block.set_message(self.lines(scaled()).join("\n"));
            block.tick();
        }
    }

    /// Returns the lines at `now_s` seconds of the schedule; the first two are the sum of it.
    fn lines(&self, now_s: f64) -> Vec<String> {
        let (arrived, accepted) = {
            let sent = self.ledger.lock();
            let accepted = sent.iter().filter(|sent| matches!(sent.answer, Answer::Accepted(_)));
            (sent.len(), Vec::from_iter(accepted.map(|sent| sent.answered_s)))
        };
        let (count, refused) = (accepted.len(), arrived - accepted.len());
        let quantiles = Quantiles::of(accepted).unwrap_or_default();
        let (ended, wait, total) = {
            let stories = self.stories.lock();
            let scaled = |of: fn(&crate::story::Story) -> Option<f64>| {
                Quantiles::of(stories.iter().filter_map(of).map(|seconds| seconds * self.time_scale))
                    .unwrap_or_default()
            };
            (stories.len(), scaled(|story| story.queue_wait_s), scaled(|story| story.total_s))
        };
        let mut lines = vec![
            format!(
                "{now_s:>6.0} s  arrived {arrived} of {}, accepted {count}, not {refused}, ended {ended}",
                self.planned
            ),
            format!(
                "accepted p50 {:.3} s, p99 {:.3} s; wait p50 {:.0} s, p95 {:.0} s; to the end p50 {:.0} s, p95 {:.0} s",
                quantiles.p50, quantiles.p99, wait.p50, wait.p95, total.p50, total.p95
            ),
        ];
        if let Some(fleet) = self.observer.and_then(Observer::now) {
            lines.extend(workers(&fleet));
        }
        lines
    }
}

/// Shows each stage's workers and what waits for them, by lane.
fn workers(fleet: &Fleet) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<12}{:>7}{:>7}{:>7}{:>10}  waiting or in work, by lane",
        "stage", "wanted", "open", "busy", "starting"
    )];
    for stage in WORK.map(|stage| stage.to_string()) {
        let workers = fleet.stages.get(&stage).copied().unwrap_or_default();
        let wanted = fleet.wanted.get(&stage).map_or("-".to_owned(), ToString::to_string);
        let empty = BTreeMap::new();
        let lanes = fleet.lag.get(&stage).unwrap_or(&empty).iter().filter(|(_, lag)| **lag > 0.0);
        let lanes: Vec<String> = lanes.map(|(lane, lag)| format!("{lane} {lag:.0}")).collect();
        lines.push(format!(
            "{stage:<12}{wanted:>7}{:>7}{:>7}{:>10}  {}",
            workers.slots,
            workers.busy,
            workers.starting,
            lanes.join(", ")
        ));
    }
    lines
}
