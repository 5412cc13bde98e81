//! The stage `record`: the one writer of a video's log, and of the state that follows from it.

mod state;

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{BlobRef, Envelope, Happened, Outgoing, VideoEvent, VideoSource};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::store::{LogEntry, NewVideo, SharedStore, State, Video, VideoState};
use tracing::warn;

use crate::services::Services;
pub use state::apply;

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
        write(&self.store, input, out.source().offset).await
    }
}

/// Writes `event`, which lies at the place `seq` of `video.event`, and all that follows from it. The one place that
/// does: a store that was lost is made anew by it too.
///
/// # Errors
/// When the event says nothing, or the store is away.
pub async fn write(store: &SharedStore, event: VideoEvent, seq: i64) -> Result<(), Failure> {
    if event.happened.is_none() {
        return Err(Failure::reject(Code::MessageUnreadable, anyhow!("an event says nothing")));
    }
    let Some(video) = video(store, &event).await? else { return Ok(()) };
    if let Some(Happened::Deleted(_)) = event.happened {
        return Ok(store.delete_video(&event.job.tenant(), event.job.video(), time(&event)).await?);
    }
    let state = apply(settled(video), &event);
    let clip = match &event.happened {
        Some(Happened::ClipReady(clip)) => Some(clip.clone()),
        _ => None,
    };
    store.log(&LogEntry { seq, event }, &state, clip.as_ref()).await?;
    Ok(())
}

/// Writes what a user asked for, as ingest does before it tells of it: that the video was created, cancelled, deleted.
/// For a store that is made anew: there this must be known before the log is written.
///
/// # Errors
/// When the store is away.
pub async fn write_request(store: &SharedStore, event: &VideoEvent) -> Result<(), Failure> {
    let (tenant, video, at) = (event.job.tenant(), event.job.video(), time(event));
    match event.happened {
        Some(Happened::Created(_)) => {
            store.create_video(&from_event(event)).await?;
        }
        Some(Happened::Cancelled(_)) => {
            store.cancel_video(&tenant, video, at).await?;
        }
        Some(Happened::Deleted(_)) => store.delete_video(&tenant, video, at).await?,
        _ => {}
    }
    Ok(())
}

/// Returns the event's video, or makes its row anew from the event: ingest writes the row before anything is
/// published, so a missing one was lost. `None`: it was deleted.
async fn video(store: &SharedStore, event: &VideoEvent) -> Result<Option<Video>, Failure> {
    let (tenant, video) = (event.job.tenant(), event.job.video());
    if let Some(found) = store.video(&tenant, video).await? {
        return Ok(Some(found));
    }
    if store.is_unwanted(&tenant, video).await? {
        return Ok(None);
    }
    warn!(%video, "making the row of a video anew");
    let new = from_event(event);
    store.create_video(&new).await?;
    store.mark_published(&tenant, video).await?;
    Ok(Some(Video { new, state: VideoState::default(), cancelled_at: None }))
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

/// Returns what an event tells of how its video was accepted.
fn from_event(event: &VideoEvent) -> NewVideo {
    let created = match &event.happened {
        Some(Happened::Created(created)) => created.clone(),
        _ => pipeline::event::Created { source: "upload".to_owned(), ..Default::default() },
    };
    let source = match &*created.source {
        // Without a key, as older versions told it: whatever needs the bytes was told it by `fetch`.
        "upload" => VideoSource::Upload(BlobRef { key: created.source_key, bytes: created.bytes }),
        url => VideoSource::Url(url.to_owned()),
    };
    NewVideo {
        job: event.job.clone(),
        source,
        name: created.name,
        created_at: time(event),
        request_hash: created.request_hash,
    }
}

fn time(event: &VideoEvent) -> Timestamp {
    Timestamp::from_millisecond(event.at_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
