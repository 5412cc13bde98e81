//! The stage `record`: the one writer of a video's log, and of the state that follows from it.

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{BlobRef, EndState, Ended, Envelope, Happened, MediaInfo, Outgoing, VideoEvent, VideoSource};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::store::{LogEntry, NewVideo, SharedStore, StageProgress, State, Video, VideoError, VideoState};
use tracing::warn;

use crate::services::Services;

/// Windows counted apart; a video of the greatest admitted length has far fewer.
const MAX_WINDOWS: u32 = 4096;

/// What `record` is told; nothing so far.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RecordArgs {}

/// The stage.
pub struct Record {
    store: SharedStore,
}

/// `record` says nothing.
pub enum Silence {}

impl Outgoing for Silence {
    fn envelope(&self) -> Envelope {
        match *self {}
    }
}

impl Record {
    /// Makes the stage.
    ///
    /// # Errors
    /// None so far; every stage is made alike.
    pub fn new(services: Services, _args: RecordArgs) -> anyhow::Result<Self> {
        Ok(Self { store: services.store })
    }

    /// Returns the event's video, or makes its row anew from the event: ingest writes the row before anything is
    /// published, so a missing one means that the store is being rebuilt from the events. `None`: it was deleted.
    async fn video(&self, event: &VideoEvent) -> Result<Option<Video>, Failure> {
        let (tenant, video) = (event.job.tenant(), event.job.video());
        if let Some(found) = self.store.video(&tenant, video).await? {
            return Ok(Some(found));
        }
        if self.store.is_unwanted(&tenant, video).await? {
            return Ok(None);
        }
        warn!(%video, "making the row of a video anew");
        let new = from_event(event);
        self.store.create_video(&new).await?;
        self.store.mark_published(&tenant, video).await?;
        Ok(Some(Video { new, state: VideoState::default(), cancelled_at: None }))
    }
}

impl Stage for Record {
    type In = VideoEvent;
    type Out = Silence;
    const NAME: StageName = StageName::Record;
    const KIND: Kind = Kind::Gather;

    fn failed(_: &VideoEvent, _: Code, _: &str) -> Vec<Silence> {
        Vec::new()
    }

    async fn process(&self, input: VideoEvent, out: &Outbox<Silence>) -> Result<(), Failure> {
        if input.happened.is_none() {
            return Err(Failure::reject(Code::MessageUnreadable, anyhow!("an event says nothing")));
        }
        let Some(video) = self.video(&input).await? else { return Ok(()) };
        let state = apply(settled(video), &input);
        let clip = match &input.happened {
            Some(Happened::ClipReady(clip)) => Some(clip.clone()),
            _ => None,
        };
        let entry = LogEntry { seq: out.source().offset, event: input };
        self.store.log(&entry, &state, clip.as_ref()).await?;
        Ok(())
    }
}

/// Returns the state as the user left it: who cancelled a video was told so, and nothing that comes later ends it
/// otherwise.
fn settled(video: Video) -> VideoState {
    match video.cancelled_at {
        Some(at) if !video.state.state.is_final() => {
            VideoState { state: State::Cancelled, ended_at: Some(at), ..video.state }
        }
        _ => video.state,
    }
}

/// Returns what is known of a video after `event`. Counts are the same in whatever order events come; of several
/// ends the first stays.
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
            }
        }
        Some(Happened::UnitDone(unit)) => answered(&mut state, unit.stage, &unit.unit, 0),
        Some(Happened::UnitFailed(unit)) => answered(&mut state, unit.stage, &unit.unit, 1),
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
        Some(Happened::Ended(_) | Happened::Cancelled(_) | Happened::UnitRetried(_) | Happened::ClipReady(_))
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

/// Counts an answer for `unit` of a stage; one that only a newer version knows is not counted.
fn answered(state: &mut VideoState, stage: i32, unit: &str, failures: u32) {
    begin(state);
    let Ok(stage) = StageName::try_from(stage) else { return };
    match stage {
        StageName::Fetch | StageName::Split => expect(state, stage, 0, 1),
        StageName::Join | StageName::Moments => {
            let window = unit.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            expect(state, stage, window, 1);
        }
        _ => {}
    }
    let progress = progress(state, stage);
    progress.done += 1;
    progress.failed += failures;
}

/// Returns the progress of `stage`, listed in the order of the flow.
fn progress(state: &mut VideoState, stage: StageName) -> &mut StageProgress {
    let place = |name: &str| StageName::ALL.iter().position(|s| s.as_str() == name);
    let at = state.stages.partition_point(|p| place(&p.stage) < place(stage.as_str()));
    if state.stages.get(at).is_none_or(|p| p.stage != stage.as_str()) {
        let new = StageProgress { stage: stage.to_string(), done: 0, failed: 0, totals: Vec::new() };
        state.stages.insert(at, new);
    }
    &mut state.stages[at]
}

/// Returns what an event tells of how its video was accepted: all but the hash of the request.
fn from_event(event: &VideoEvent) -> NewVideo {
    let (name, source, bytes) = match &event.happened {
        Some(Happened::Created(created)) => (created.name.clone(), created.source.as_str(), created.bytes),
        _ => (String::new(), "upload", 0),
    };
    let source = match source {
        // The event does not tell the key; whatever needs the bytes was told it by `fetch`.
        "upload" => VideoSource::Upload(BlobRef { key: String::new(), bytes }),
        url => VideoSource::Url(url.to_owned()),
    };
    NewVideo {
        job: event.job.clone(),
        source,
        name,
        created_at: Timestamp::from_millisecond(event.at_ms).unwrap_or(Timestamp::UNIX_EPOCH),
        request_hash: String::new(),
    }
}

#[cfg(test)]
mod tests;
