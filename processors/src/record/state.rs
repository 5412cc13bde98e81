//! What follows from a video's log: its state.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pipeline::event::{EndState, Ended, Happened, MediaInfo, Replay, StageTotal, VideoEvent};
use pipeline::failure::Code;
use pipeline::stage::StageName;
use pipeline::store::{Plan, StageProgress, State, VideoError, VideoState};

/// Windows counted apart; a video of the greatest admitted length has far fewer.
const MAX_WINDOWS: u32 = 4096;

/// Returns what is known of a video after `event`. Counts are the same in whatever order events come; of several
/// ends the first stays, unless the video was opened again.
pub fn apply(mut state: VideoState, event: &VideoEvent) -> VideoState {
    let at = Timestamp::from_millisecond(event.at_ms).ok();
    state.updated_at = state.updated_at.max(at);
    match &event.happened {
        Some(Happened::Created(_)) => {
            state.lane.get_or_insert_with(|| event.job.lane().to_string());
            expect(&mut state, StageName::Fetch, 0, 1);
        }
        Some(Happened::Ready(media)) => ready(&mut state, event, media),
        Some(Happened::Total(total)) => {
            if let Ok(stage) = StageName::try_from(total.stage) {
                expect(&mut state, stage, total.window, total.total);
                plan(&mut state, stage, total);
            }
        }
        Some(Happened::UnitDone(unit)) => answered(&mut state, unit.stage, &unit.unit, false),
        Some(Happened::UnitFailed(unit)) => answered(&mut state, unit.stage, &unit.unit, true),
        Some(Happened::Replayed(replay)) => unanswered(&mut state, replay),
        Some(Happened::Analyzed(blob)) => {
            if !state.analyses.contains(&blob.key) {
                state.analyses.push(blob.key.clone());
                // Shorter first, so that the tenth window comes after the second.
                state.analyses.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
            }
        }
        Some(Happened::Ended(ended)) if !state.state.is_final() => end(&mut state, ended, at),
        Some(Happened::Cancelled(_)) if !state.state.is_final() => {
            state.state = State::Cancelled;
            state.ended_at = at;
        }
        Some(Happened::Reopened(_)) if matches!(state.state, State::Partial | State::Failed) => {
            state.state = State::Processing;
            (state.completeness, state.error, state.ended_at) = (None, None, None);
        }
        Some(
            Happened::Ended(_)
            | Happened::Cancelled(_)
            | Happened::UnitRetried(_)
            | Happened::ClipReady(_)
            | Happened::Reopened(_)
            | Happened::Deleted(_),
        )
        | None => {}
    }
    state
}

fn ready(state: &mut VideoState, event: &VideoEvent, media: &MediaInfo) {
    begin(state);
    state.lane = Some(event.job.lane().to_string());
    state.duration_s = Some(media.duration().as_seconds());
    expect(state, StageName::Fetch, 0, 1);
    expect(state, StageName::Split, 0, 1);
}

fn begin(state: &mut VideoState) {
    if state.state == State::Queued {
        state.state = State::Processing;
    }
}

fn end(state: &mut VideoState, ended: &Ended, at: Option<Timestamp>) {
    state.state = match ended.state() {
        EndState::Done => State::Done,
        EndState::Partial => State::Partial,
        EndState::Failed => State::Failed,
    };
    state.completeness = Some(ended.completeness);
    state.ended_at = at;
    if ended.code.is_empty() {
        return;
    }
    let stage = ended.stage.and_then(|s| StageName::try_from(s).ok());
    // A newer version may know codes that this one does not; what was seen is better than nothing.
    let message = Code::from_name(&ended.code).map_or(ended.detail.clone(), |code| code.message().to_owned());
    state.error =
        Some(VideoError { code: ended.code.clone(), stage: stage.map(|s| s.to_string()).unwrap_or_default(), message });
}

/// Notes that `stage` has `total` units in `window`; a total only grows.
fn expect(state: &mut VideoState, stage: StageName, window: u32, total: u32) {
    if window >= MAX_WINDOWS {
        return;
    }
    let totals = &mut progress(state, stage).totals;
    let window = window as usize;
    if totals.len() <= window {
        totals.resize(window + 1, 0);
    }
    totals[window] = totals[window].max(total);
}

/// Notes which clips a window has. Planned anew, it has others: what it has no more is not counted.
fn plan(state: &mut VideoState, stage: StageName, total: &StageTotal) {
    if stage != StageName::Cut || total.window >= MAX_WINDOWS || total.clips.is_empty() && total.round == 0 {
        return;
    }
    let new = Plan { round: total.round, clips: total.clips.clone() };
    let old = state.plans.get(&total.window);
    if old.is_some_and(|old| old.round > new.round) {
        return;
    }
    let gone = old.into_iter().flat_map(|old| &old.clips).filter(|id| !new.clips.contains(id));
    let gone: Vec<String> = gone.cloned().collect();
    state.dropped.retain(|id| !new.clips.contains(id));
    state.dropped.extend(gone);
    let dropped = state.dropped.clone();
    let cut = progress(state, StageName::Cut);
    if new.round > 0 {
        cut.totals[total.window as usize] = total.total;
        let kept = cut.answers.iter().filter(|(id, _)| !dropped.contains(id));
        (cut.done, cut.failed) =
            kept.fold((0, 0), |(done, failed), (_, is_failed)| (done + 1, failed + u32::from(*is_failed)));
    }
    state.plans.insert(total.window, new);
}

/// Counts an answer for `unit` of a stage; one that only a newer version knows is not counted.
fn answered(state: &mut VideoState, stage: i32, unit: &str, is_failed: bool) {
    begin(state);
    let Ok(stage) = StageName::try_from(stage) else { return };
    let name = name_of(unit);
    match stage {
        StageName::Fetch | StageName::Split => expect(state, stage, 0, 1),
        StageName::Join | StageName::Moments => expect(state, stage, name.parse().unwrap_or(0), 1),
        _ => {}
    }
    let is_dropped = stage == StageName::Cut && state.dropped.iter().any(|id| id == name);
    let progress = progress(state, stage);
    // A window may be worked on several times, and a clip be planned again: the last answer counts.
    if matches!(stage, StageName::Join | StageName::Moments | StageName::Cut) {
        let before = progress.answers.insert(name.to_owned(), is_failed);
        if is_dropped {
            return;
        }
        if let Some(was_failed) = before {
            progress.done -= 1;
            progress.failed -= u32::from(was_failed);
        }
    }
    progress.done += 1;
    progress.failed += u32::from(is_failed);
}

/// Takes a unit that was given up out of the counts: it will answer again.
fn unanswered(state: &mut VideoState, replay: &Replay) {
    let Ok(stage) = StageName::try_from(replay.stage) else { return };
    let progress = progress(state, stage);
    let counted = match stage {
        StageName::Join | StageName::Moments | StageName::Cut => {
            progress.answers.remove(name_of(&replay.unit)) == Some(true)
        }
        _ => progress.failed > 0,
    };
    if counted {
        progress.done = progress.done.saturating_sub(1);
        progress.failed = progress.failed.saturating_sub(1);
    }
}

/// Returns the part of a unit's name that tells it from the others: `3` of `window/3` and of `window/3/again/1`.
fn name_of(unit: &str) -> &str {
    unit.split('/').nth(1).unwrap_or(unit)
}

/// Returns the progress of `stage`, listed in the order of the flow.
fn progress(state: &mut VideoState, stage: StageName) -> &mut StageProgress {
    let place = |name: &str| StageName::ALL.iter().position(|s| s.as_str() == name);
    let at = state.stages.partition_point(|p| place(&p.stage) < place(stage.as_str()));
    if state.stages.get(at).is_none_or(|p| p.stage != stage.as_str()) {
        let new = StageProgress {
            stage: stage.to_string(),
            done: 0,
            failed: 0,
            totals: Vec::new(),
            answers: BTreeMap::new(),
        };
        state.stages.insert(at, new);
    }
    &mut state.stages[at]
}
