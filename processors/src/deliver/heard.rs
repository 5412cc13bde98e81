//! What was said about a video's clips, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::event::{ClipReportKind, ClipTotal, EndState, Ended, Reopened, UnitFailure, VIDEO_FAILED};
use pipeline::failure::Code;
use pipeline::stage::StageName;

/// Whether there is time left to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    Left,
    Over,
}

/// How it stands with a unit whose replay is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stands {
    /// It failed: its answer is to be waited for, and the item that says so is to be forgotten, if there is one.
    Failed { item: Option<String> },
    /// Nothing says that it failed.
    Answered,
}

/// What was said about a video's clips.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Heard {
    done: BTreeSet<String>,
    failed: Vec<UnitFailure>,
    totals: BTreeMap<u32, ClipTotal>,
    video_failed: Option<UnitFailure>,
    reopened: Vec<Reopened>,
}

impl Heard {
    pub(super) fn add(&mut self, kind: Option<ClipReportKind>) {
        match kind {
            Some(ClipReportKind::Done(id)) => drop(self.done.insert(id)),
            Some(ClipReportKind::Failed(failure)) => self.failed.push(failure),
            Some(ClipReportKind::Total(total)) => drop(self.totals.insert(total.window, total)),
            Some(ClipReportKind::VideoFailed(failure)) => self.video_failed = Some(failure),
            Some(ClipReportKind::Reopened(reopened)) => self.reopened.push(reopened),
            None => {}
        }
    }

    /// Says how the video ends, if nothing more can come. When the whole video was given up, clips that are
    /// planned are still waited for.
    pub(super) fn ending(&self, patience: Patience) -> Option<Ended> {
        let over = self.is_over();
        if !over && patience == Patience::Left {
            return None;
        }
        let completeness = self.completeness();
        let reason = self.reason(over, completeness);
        let state = match (self.clips(), &reason) {
            (0, _) => EndState::Failed,
            (_, Some(_)) => EndState::Partial,
            (_, None) => EndState::Done,
        };
        let reason = reason.or_else(|| (self.clips() == 0).then(|| nothing_left(completeness)));
        let (code, stage, detail) = reason.map_or_else(Default::default, |r| (r.code, Some(r.stage), r.detail));
        let round = self.reopened.len() as u32;
        Some(Ended { state: state as i32, completeness, code, stage, detail, round })
    }

    /// Judges the replay of a unit by what was heard of it.
    pub(super) fn stands(&self, reopened: &Reopened) -> Stands {
        let unit = &reopened.replay.unit;
        let given_up_by = |stages: [StageName; 2]| {
            let failure = self.video_failed.as_ref().filter(|failure| stages.contains(&failure.stage()));
            failure.map(|_| VIDEO_FAILED.to_owned())
        };
        let failed = |item: Option<String>| match item {
            Some(item) => Stands::Failed { item: Some(item) },
            None => Stands::Answered,
        };
        match reopened.replay.stage() {
            // What `split` did not send may have been waited for in vain.
            stage @ (StageName::Fetch | StageName::Split) => failed(given_up_by([stage, StageName::Join])),
            // `join` has judged: it plans the window anew.
            StageName::Transcribe | StageName::Analyze | StageName::Join => {
                Stands::Failed { item: given_up_by([StageName::Join, StageName::Moments]) }
            }
            StageName::Moments => {
                let window = unit.split('/').nth(1).and_then(|window| window.parse().ok());
                let given_up = window.and_then(|window| self.totals.get(&window)).filter(|total| total.given_up);
                let total = given_up.map(|total| format!("total/{}", total.window));
                failed(total.or_else(|| given_up_by([StageName::Moments; 2])))
            }
            StageName::Cut => {
                let has_failed = self.failed.iter().any(|failure| *unit == format!("clip/{}", failure.unit));
                failed(has_failed.then(|| unit.clone()))
            }
            // What could not be gathered left nothing behind.
            StageName::Deliver => Stands::Failed { item: None },
            StageName::Record => Stands::Answered,
        }
    }

    fn is_over(&self) -> bool {
        let Some(failure) = &self.video_failed else {
            return self.all_windows() && self.is_answered() && self.is_planned_anew();
        };
        // A window that was opened again and then given up is not planned any more.
        let is_planned = matches!(failure.stage(), StageName::Join | StageName::Moments) || self.is_planned_anew();
        self.is_answered() && is_planned
    }

    /// Says whether every window of the video is planned.
    fn all_windows(&self) -> bool {
        let windows = self.totals.values().find(|t| t.last).map(|t| t.window + 1);
        windows.is_some_and(|n| self.totals.range(..n).count() == n as usize)
    }

    /// Says whether every window that was opened again is planned anew.
    fn is_planned_anew(&self) -> bool {
        let mut awaited = self.reopened.iter().filter_map(|reopened| Some((reopened.window?, reopened.round)));
        awaited.all(|(window, round)| self.totals.get(&window).is_some_and(|total| total.round >= round))
    }

    /// Says whether every clip that is planned has its answer.
    fn is_answered(&self) -> bool {
        if !self.tells_clips() {
            let planned: u64 = self.totals.values().map(|t| u64::from(t.clips)).sum();
            return (self.done.len() + self.failed.len()) as u64 >= planned;
        }
        let failed: BTreeSet<&str> = self.failed.iter().map(|failure| failure.unit.as_str()).collect();
        let mut planned = self.totals.values().flat_map(|total| &total.planned);
        planned.all(|id| self.done.contains(id) || failed.contains(id.as_str()))
    }

    /// Says whether the windows tell which clips they have; older versions only told how many.
    fn tells_clips(&self) -> bool {
        self.totals.values().all(|total| total.planned.len() == total.clips as usize)
    }

    /// Says whether a clip is the video's: one that a window which was planned anew has no more is not.
    fn is_planned(&self, id: &str) -> bool {
        let is_known = self.tells_clips() && self.all_windows();
        !is_known || self.totals.values().any(|total| total.planned.iter().any(|planned| planned == id))
    }

    /// Counts the clips that are there.
    fn clips(&self) -> usize {
        self.done.iter().filter(|id| self.is_planned(id)).count()
    }

    /// Returns why the video is not done in whole, if it is not.
    fn reason(&self, over: bool, completeness: f64) -> Option<UnitFailure> {
        let failed = self.failed.iter().find(|failure| self.is_planned(&failure.unit));
        if let Some(failure) = self.video_failed.as_ref().or(failed) {
            return Some(failure.clone());
        }
        if !over {
            return Some(failure(StageName::Deliver, Code::Deadline, "clips did not answer in time".to_owned()));
        }
        if completeness >= 1.0 {
            return None;
        }
        if self.clips() == 0 {
            return Some(nothing_left(completeness));
        }
        let detail = format!("{:.1} % of the video was worked on", completeness * 100.0);
        Some(failure(StageName::Join, Code::PartsMissing, detail))
    }

    /// Returns the share of the known windows that was worked on, by their length.
    fn completeness(&self) -> f64 {
        // A window without length weighs as much as the shortest there can be, so that the sum is not zero.
        let weighed = self.totals.values().map(|t| (t.length_us.max(1) as f64, t.completeness.clamp(0.0, 1.0)));
        let (sum, length) =
            weighed.fold((0.0, 0.0), |(sum, all), (length, share)| (sum + share * length, all + length));
        if length > 0.0 { sum / length } else { 0.0 }
    }
}

fn nothing_left(completeness: f64) -> UnitFailure {
    let detail = format!("no clip was found in the {:.1} % of the video that was worked on", completeness * 100.0);
    failure(StageName::Moments, Code::NothingLeft, detail)
}

fn failure(stage: StageName, code: Code, detail: String) -> UnitFailure {
    UnitFailure { unit: String::new(), stage: stage as i32, code: code.to_string(), detail }
}
