//! What of a video can be tried again, and why nothing can.

use std::time::Duration;

use pipeline::dead_letter::Settled;
use pipeline::failure::Code;
use pipeline::stage::StageName;
use pipeline::store::{State, Video};
use pipeline::topic::Topic;
use serde::Serialize;

use super::unit::Unit;
use crate::say;
use crate::seen;
use crate::seen::letters::{Brief, Letters};

/// What of a video can be tried again.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Retry {
    /// What stages gave up of it and can be tried again.
    pub given_up: Vec<GivenUp>,
    /// Why nothing can, of a video that did not end whole; nothing where something can.
    pub no_retry: Option<String>,
}

/// Units that a stage gave up.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GivenUp {
    /// The stage.
    pub stage: &'static str,
    /// Their dead letters, none of which is settled.
    pub letters: Vec<String>,
}

impl Retry {
    /// Finds what of `video`, which has `units`, can be tried again at `now_ms`.
    pub fn of(state: &seen::State, video: &Video, units: &[Unit], now_ms: i64) -> Self {
        let id = video.new.job.video().to_string();
        let given_up = GivenUp::of(&state.letters, &id);
        let is_whole = !matches!(video.state(), State::Failed | State::Partial);
        if is_whole || !given_up.is_empty() {
            return Self { given_up, no_retry: None };
        }
        let no_retry = match state.hearing.gap(now_ms) {
            Some(gap) => format!("whether a unit can be tried again is not known: {gap}"),
            None => why_not(&state.letters, video, &id, units),
        };
        Self { given_up, no_retry: Some(no_retry) }
    }
}

/// Says why nothing of a video can be tried again that did not end whole and has no open letter.
fn why_not(letters: &Letters, video: &Video, id: &str, units: &[Unit]) -> String {
    let lost = units.iter().filter(|unit| unit.given_up.is_some()).count();
    let own = || letters.all().map(|(_, brief)| brief).filter(|brief| brief.video == id);
    let settled = |how: Settled| own().filter(|brief: &&Brief| brief.settled == Some(how)).count();
    if lost > 0 && settled(Settled::Discarded) > 0 {
        let discarded = say::many(settled(Settled::Discarded), "dead letter");
        return format!("a person discarded {discarded} of it, and what is discarded is not tried again");
    }
    if lost > 0 && settled(Settled::Unneeded) > 0 {
        return "its dead letters are settled, because nothing was left to do for them".to_owned();
    }
    if lost > 0 {
        let units = say::many(lost, "unit");
        let kept = Topic::DeadLetter(StageName::Fetch).spec().retention.map(days).unwrap_or_default();
        return format!("the dead letters of {units} are gone, which the brokers keep{kept}: submit the video again");
    }
    let code = video.state.error.as_ref().map_or("", |error| &error.code);
    if [Code::Deadline, Code::PartsMissing].iter().any(|missing| missing.as_str() == code) {
        return "it ended at a deadline with what was there by then: what was missing had not failed, so that no stage has a \
                unit to try again. Submit the video again, when workers keep up"
            .to_owned();
    }
    "no stage gave up a unit: the same video would end the same. Submit it again with other options".to_owned()
}

fn days(kept: Duration) -> String {
    format!(" for {} days", kept.as_secs() / (24 * 3600))
}

impl GivenUp {
    /// Finds what was given up of the video called `video`.
    pub fn of(letters: &Letters, video: &str) -> Vec<Self> {
        let mut given_up: Vec<Self> = Vec::new();
        // Letters come by stage.
        for (id, _) in letters.open().filter(|(_, brief)| brief.video == video) {
            match given_up.last_mut().filter(|last| last.stage == id.stage.as_str()) {
                Some(last) => last.letters.push(id.to_string()),
                None => given_up.push(Self { stage: id.stage.as_str(), letters: vec![id.to_string()] }),
            }
        }
        given_up
    }

    /// Returns where is asked whether to try them again.
    pub fn path(&self) -> String {
        let ids: String = self.letters.iter().map(|id| format!("&id={id}")).collect();
        format!("/letters/confirm?action=replay{ids}")
    }

    /// Says how many there are.
    pub fn told(&self) -> String {
        say::many(self.letters.len(), "unit")
    }
}

#[cfg(test)]
mod tests;
