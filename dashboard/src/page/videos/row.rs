//! A video in a list.

use jiff::Timestamp;
use pipeline::stage::StageName;
use pipeline::store::{StageProgress, Video};
use serde::Serialize;

use crate::say;

/// A video in a list.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Row {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The name the user gave; hostile text, may be empty.
    pub name: String,
    /// Its state, as a caller of the API sees it.
    pub state: &'static str,
    /// Its lane: a guess until it is measured.
    pub lane: String,
    /// Whether it was accepted while the service left optional work out.
    pub is_degraded: bool,
    /// When it was accepted, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// Its length, in seconds, once it is measured.
    pub length_s: Option<f64>,
    /// From then until it ended, or until now, in seconds.
    pub took_s: f64,
    /// Whether it has ended.
    pub has_ended: bool,
    /// Clips that are ready.
    pub clips_ready: u32,
    /// Clips that are planned so far.
    pub clips_planned: u32,
    /// Why it did not end well.
    pub error: Option<Trouble>,
}

/// Why a video did not end well.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Trouble {
    /// The stable name of the reason.
    pub code: String,
    /// Where it happened.
    pub stage: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Row {
    /// Shows `video` as it is at `now`.
    pub fn of(video: &Video, now: Timestamp) -> Self {
        let (job, state) = (&video.new.job, &video.state);
        let created_ms = video.new.created_at.as_millisecond();
        let ended_at = state.ended_at.or(video.cancelled_at);
        let until_ms = ended_at.unwrap_or(now).as_millisecond();
        let cut = state.stages.iter().find(|progress| progress.stage == StageName::Cut.as_str());
        let planned: usize = state.plans.values().map(|plan| plan.clips.len()).sum();
        Self {
            id: job.video().to_string(),
            tenant: job.tenant().to_string(),
            name: video.new.name.clone(),
            state: video.state().as_str(),
            lane: state.lane.clone().unwrap_or_else(|| job.lane().to_string()),
            is_degraded: job.degraded,
            created_ms,
            length_s: state.duration_s,
            took_s: say::between_s(created_ms, until_ms),
            has_ended: ended_at.is_some(),
            clips_ready: cut.map_or(0, ready),
            clips_planned: planned as u32,
            error: state.error.as_ref().map(|error| Trouble {
                code: error.code.clone(),
                stage: error.stage.clone(),
                message: error.message.clone(),
            }),
        }
    }

    /// Returns the path of its page.
    pub fn path(&self) -> String {
        format!("/videos/{}/{}", self.tenant, self.id)
    }

    /// Says its name.
    pub fn called(&self) -> &str {
        if self.name.is_empty() { "(no name)" } else { &self.name }
    }

    /// Says its length.
    pub fn length(&self) -> String {
        say::maybe_span(self.length_s)
    }

    /// Says how long it took, or takes.
    pub fn took(&self) -> String {
        if self.has_ended { say::span(self.took_s) } else { format!("{} so far", say::span(self.took_s)) }
    }

    /// Says when it was accepted.
    pub fn created(&self) -> String {
        say::moment(say::at(self.created_ms))
    }

    /// Says how many clips there are.
    pub fn clips(&self) -> String {
        match (self.clips_ready, self.clips_planned) {
            (ready, planned) if ready >= planned => ready.to_string(),
            (ready, planned) => format!("{ready} of {planned}"),
        }
    }
}

fn ready(cut: &StageProgress) -> u32 {
    cut.done.saturating_sub(cut.failed)
}
