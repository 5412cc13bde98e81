//! Makes the store anew from what the topics and the blob store still tell. Each record is given to what wrote it the
//! first time, so that rows come back as they were; doing it twice changes nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use pipeline::blob::{self, Kind};
use pipeline::event::{ClipReport, Event, Happened, SegmentReport, VideoEvent};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, UnitId, VideoId};
use pipeline::outbox::{Outbox, Pulse, Sink, Source};
use pipeline::stage::{Stage, StageName};
use pipeline::store::{Claim, Release};
use tokio_util::sync::CancellationToken;

use crate::deliver::{Deliver, DeliverArgs};
use crate::join::{Join, JoinArgs};
use crate::record;
use crate::services::Services;

/// Whose claims these are.
const OWNER: &str = "rebuild";

/// How long a unit may still be asked for: work topics keep no record for longer than a week.
const CLAIMS_MATTER: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Makes the store anew, record by record.
pub struct Rebuild {
    services: Services,
    join: Join,
    deliver: Deliver,
    sink: Arc<dyn Sink>,
    began_at: Timestamp,
}

impl Rebuild {
    /// Makes it; what gatherers say while they hear everything again goes to `sink`, and is known already, or was
    /// lost with the store and must be said.
    ///
    /// # Errors
    /// When a stage cannot be made.
    pub fn new(services: Services, join: JoinArgs, deliver: DeliverArgs, sink: Arc<dyn Sink>) -> anyhow::Result<Self> {
        Ok(Self {
            join: Join::new(services.clone(), join)?,
            deliver: Deliver::new(services.clone(), deliver)?,
            services,
            sink,
            began_at: Timestamp::now(),
        })
    }

    /// First, of every record of `video.event`: writes what users asked for.
    ///
    /// # Errors
    /// When the record is none, or store or blobs are away.
    pub async fn request(&self, body: &[u8]) -> anyhow::Result<()> {
        let mut event = VideoEvent::read(body)?;
        if let Some(Happened::Created(created)) = &mut event.happened
            && created.source == "upload"
            && created.source_key.is_empty()
        {
            // Older versions did not tell the key.
            let (tenant, video) = (event.job.tenant(), event.job.video());
            created.source_key = self.upload_of(&tenant, video).await?.unwrap_or_default();
        }
        Ok(record::write_request(&self.services.store, &event).await?)
    }

    /// Then, of every record of `video.event`, which lies at `offset`: writes the log, the state, clips and claims.
    ///
    /// # Errors
    /// As [`Rebuild::request`].
    pub async fn event(&self, body: &[u8], offset: i64) -> anyhow::Result<()> {
        let event = VideoEvent::read(body)?;
        if event.happened.is_none() {
            return Ok(());
        }
        self.claims(&event).await?;
        let is_past_submission = matches!(
            &event.happened,
            Some(Happened::UnitDone(pipeline::event::UnitDone { stage, .. })
                | Happened::UnitFailed(pipeline::event::UnitFailed { stage, .. })) if *stage == StageName::Fetch as i32
        );
        if is_past_submission || matches!(event.happened, Some(Happened::Cancelled(_))) {
            self.services.store.mark_published(&event.job.tenant(), event.job.video()).await?;
        }
        Ok(record::write(&self.services.store, event, offset).await?)
    }

    /// Then, of every record of `segment.done`: gathers it again.
    ///
    /// # Errors
    /// As [`Rebuild::request`].
    pub async fn segment(&self, body: &[u8], source: Source) -> anyhow::Result<()> {
        gather(&self.join, SegmentReport::read(body)?, self.outbox(source)).await
    }

    /// Then, of every record of `clip.ready`: gathers it again.
    ///
    /// # Errors
    /// As [`Rebuild::request`].
    pub async fn clip(&self, body: &[u8], source: Source) -> anyhow::Result<()> {
        gather(&self.deliver, ClipReport::read(body)?, self.outbox(source)).await
    }

    /// Last: returns the videos that have bytes in the blob store and that no event tells of.
    ///
    /// # Errors
    /// As [`Rebuild::request`].
    pub async fn unknown_blobs(&self) -> anyhow::Result<Vec<(TenantId, VideoId)>> {
        let (store, blobs) = (&self.services.store, self.services.carrier.blobs());
        let mut unknown = Vec::new();
        for tenant in blobs.tenants().await? {
            for video in blobs.videos(&tenant).await? {
                let is_known =
                    store.video(&tenant, video).await?.is_some() || store.is_unwanted(&tenant, video).await?;
                if !is_known && !blobs.objects(&tenant, video).await?.is_empty() {
                    unknown.push((tenant.clone(), video));
                }
            }
        }
        Ok(unknown)
    }

    /// Notes which units have their answer and how often others were tried, so that a record that is delivered again
    /// is not worked on again.
    async fn claims(&self, event: &VideoEvent) -> anyhow::Result<()> {
        let at = Timestamp::from_millisecond(event.at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
        if self.began_at.duration_since(at) > CLAIMS_MATTER {
            return Ok(());
        }
        let unit_of = |stage: i32, unit: &str| {
            let stage = StageName::try_from(stage).ok().filter(|stage| is_claimed(*stage))?;
            Some(UnitId::derive(stage.as_str(), &event.job.tenant(), event.job.video(), unit))
        };
        let store = &self.services.store;
        let (unit, failures) = match &event.happened {
            Some(Happened::UnitDone(done)) => (unit_of(done.stage, &done.unit), None),
            Some(Happened::UnitFailed(failed)) => (unit_of(failed.stage, &failed.unit), None),
            Some(Happened::UnitRetried(retried)) => (unit_of(retried.stage, &retried.unit), Some(retried.attempt)),
            Some(Happened::Replayed(replay)) => {
                if let Some(unit) = unit_of(replay.stage, &replay.unit) {
                    store.forget(unit).await?;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let Some(unit) = unit else { return Ok(()) };
        let Claim::Granted { lease, failures: known, .. } = store.claim(unit, OWNER, at, Duration::ZERO).await? else {
            return Ok(());
        };
        match failures {
            None => store.finish(&lease).await?,
            Some(told) if known < told => store.release(&lease, Release::Failed).await?,
            Some(_) => store.release(&lease, Release::HandedBack).await?,
        };
        Ok(())
    }

    async fn upload_of(&self, tenant: &TenantId, video: VideoId) -> anyhow::Result<Option<String>> {
        let prefix = blob::key(tenant, video, Kind::Source, "");
        let objects = self.services.carrier.blobs().objects(tenant, video).await?;
        Ok(objects.into_iter().map(|object| object.key).find(|key| key.starts_with(&prefix)))
    }

    fn outbox<O: pipeline::event::Outgoing>(&self, source: Source) -> Outbox<O> {
        Outbox::new(self.sink.clone(), source, Pulse::new(CancellationToken::new()))
    }
}

/// Lets a gatherer hear `report` once more. What it cannot gather it could not gather the first time either.
async fn gather<S: Stage>(stage: &S, report: S::In, out: Outbox<S::Out>) -> anyhow::Result<()> {
    match stage.process(report, &out).await {
        Err(Failure::Reject { code, source }) => {
            tracing::warn!(%code, error = format!("{source:#}"), "report left out");
            Ok(())
        }
        other => Ok(other.with_context(|| format!("gather again what {} heard", S::NAME))?),
    }
}

/// Says whether a stage's units are claimed.
fn is_claimed(stage: StageName) -> bool {
    !matches!(stage, StageName::Join | StageName::Deliver | StageName::Record)
}

#[cfg(test)]
mod tests;
