//! What is done behind the requests: creations that did not reach the broker are published, and blobs that nothing
//! needs any more are removed. The blob store is walked, not the database: whatever is there must be wanted. What was
//! deleted or refused lately does not wait for the walk.

use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use pipeline::blob::{Kind, Object};
use pipeline::event::VideoSource;
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{Page, State, Video, VideoFilter};
use tokio_util::sync::CancellationToken;

use crate::accept;
use crate::app::{App, Keep};
use crate::metrics;

/// How many unpublished creations are read at once.
const BATCH: usize = 200;
/// How often is asked which videos were refused lately.
const REFUSED_EVERY: Duration = Duration::from_secs(2);
/// How many failed videos, the newest, are looked at then; the walk finds the others.
const REFUSED: usize = 50;
/// How long after a video's end what late workers still write of it is removed soon; the walk finds what comes later.
const LATE_WRITES: Duration = Duration::from_secs(30);

/// Sweeps until `stop`. An error is told and tried again the next time round.
pub async fn run(app: App, keep: Keep, stop: CancellationToken) {
    // Each at its own pace: a walk over many videos takes long, and must not hold a publication up.
    let publishing = async {
        let mut turns = ticks(keep.publish_every);
        loop {
            turns.tick().await;
            tell(publish_creations(&app).await.context("publish creations"));
        }
    };
    let walking = async {
        let mut turns = ticks(keep.sweep_every);
        loop {
            turns.tick().await;
            tell(remove_unwanted(&app, &keep).await.context("remove what is not wanted"));
        }
    };
    let refusing = async {
        let mut turns = ticks(REFUSED_EVERY);
        loop {
            turns.tick().await;
            tell(remove_refused(&app).await.context("remove refused videos"));
        }
    };
    let removing = async {
        loop {
            app.removals.asked().await;
            tell(remove_asked(&app).await.context("remove deleted videos"));
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = publishing => {}
        () = walking => {}
        () = refusing => {}
        () = removing => {}
    }
}

fn tell(result: anyhow::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(error = %format_args!("{error:#}"), "sweep broke off");
    }
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// Publishes the creations of videos whose request could not.
///
/// # Errors
/// When store or broker are away.
pub async fn publish_creations(app: &App) -> anyhow::Result<()> {
    // A request that publishes right now is left alone; that both do it would do no harm.
    let patience = SignedDuration::try_from(app.limits.publish_wait)?;
    loop {
        let before = Timestamp::now().checked_sub(patience)?;
        let unpublished = app.store.unpublished(before, BATCH).await?;
        for new in &unpublished {
            accept::publish_creation(app, new).await?;
            metrics::late_publication();
            tracing::info!(video = %new.job.video(), "creation published late");
        }
        if unpublished.len() < BATCH {
            return Ok(());
        }
    }
}

async fn remove_asked(app: &App) -> anyhow::Result<()> {
    for (tenant, video) in app.removals.take() {
        app.blobs.remove_video(&tenant, video).await?;
    }
    Ok(())
}

/// Removes what is left of videos whose input was found unfit lately.
async fn remove_refused(app: &App) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let failed = VideoFilter::in_state(State::Failed);
    for tenant in app.blobs.tenants().await? {
        let newest = app.store.videos(&tenant, &failed, &Page { after: None, limit: REFUSED }).await?;
        let is_late = |video: &&Video| video.state.ended_at.is_some_and(|at| !is_past(now, at, LATE_WRITES));
        for video in newest.items.iter().filter(|video| was_refused(video)).filter(is_late) {
            app.blobs.remove_video(&tenant, video.new.job.video()).await?;
        }
    }
    Ok(())
}

/// Walks the blob store once and removes what nothing needs any more.
///
/// # Errors
/// When store or blobs are away.
pub async fn remove_unwanted(app: &App, keep: &Keep) -> anyhow::Result<()> {
    let now = Timestamp::now();
    for tenant in app.blobs.tenants().await? {
        for video in app.blobs.videos(&tenant).await? {
            if app.stop.is_cancelled() {
                return Ok(());
            }
            remove_from(app, keep, &tenant, video, now).await?;
        }
    }
    let unfinished_before = now.checked_sub(SignedDuration::try_from(keep.keep_unfinished)?)?;
    Ok(app.blobs.remove_unfinished(unfinished_before).await?)
}

async fn remove_from(app: &App, keep: &Keep, tenant: &TenantId, id: VideoId, now: Timestamp) -> anyhow::Result<()> {
    let is_past = |at: Timestamp, keep: Duration| is_past(now, at, keep);
    let Some(video) = app.store.video(tenant, id).await? else {
        // Deleted, or an upload that never became a video: which may be about to.
        let unwanted = app.store.is_unwanted(tenant, id).await?;
        for object in app.blobs.objects(tenant, id).await? {
            if unwanted || is_past(object.modified_at, keep.keep_unfinished) {
                app.blobs.remove(&object.key).await?;
            }
        }
        return Ok(());
    };
    if was_refused(&video) {
        app.blobs.remove_video(tenant, id).await?;
        return Ok(());
    }
    if let Some(ended_at) = video.state.ended_at.or(video.cancelled_at) {
        if is_past(ended_at, keep.keep_segments) {
            app.blobs.remove_kind(tenant, id, Kind::Segment).await?;
            app.blobs.remove_kind(tenant, id, Kind::Result).await?;
        }
        if is_past(ended_at, keep.keep_sources) {
            if !sources(app, tenant, id).await?.is_empty() {
                // Nothing of it can be tried again now. The source goes last: while it is there, this is done again.
                app.store.forget_gathers(tenant, id).await?;
                app.blobs.remove_kind(tenant, id, Kind::Source).await?;
            }
            return Ok(());
        }
    }
    if let VideoSource::Upload(source) = &video.new.source {
        // A repeated request that died between storing its bytes and removing them leaves a copy.
        for object in sources(app, tenant, id).await? {
            if object.key != source.key && is_past(object.modified_at, keep.keep_unfinished) {
                app.blobs.remove(&object.key).await?;
            }
        }
    }
    Ok(())
}

/// Returns the source of a video, with whatever copies there are.
async fn sources(app: &App, tenant: &TenantId, id: VideoId) -> anyhow::Result<Vec<Object>> {
    let prefix = pipeline::blob::key(tenant, id, Kind::Source, "");
    let mut objects = app.blobs.objects(tenant, id).await?;
    objects.retain(|object| object.key.starts_with(&prefix));
    Ok(objects)
}

fn is_past(now: Timestamp, at: Timestamp, keep: Duration) -> bool {
    SignedDuration::try_from(keep).is_ok_and(|keep| now.duration_since(at) > keep)
}

/// Says whether the input itself was found unfit: nothing can be made of its bytes, and no replay needs them.
fn was_refused(video: &Video) -> bool {
    let code = video.state.error.as_ref().and_then(|error| Code::from_name(&error.code));
    video.state() == State::Failed && code.is_some_and(Code::blames_input)
}
