//! The stage `deliver`: keeps what became of each clip, and ends the video once nothing more can come. When a unit that
//! was given up is worked on again, it opens the video again, and ends it once more.

mod heard;

use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{ClipReport, ClipReportKind, EndState, Ended, Event, Happened, Job, Reopened, VideoEvent};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::store::{Gatherer, OpenGather, SharedStore};
use prost::Message;
use tracing::{info, warn};

use crate::services::Services;
use heard::{Heard, Patience, Stands};

/// Clips are gathered for the whole video at once.
const WINDOW: u32 = 0;

/// Items read from the store at once.
const ITEMS: usize = 500;

/// Gatherings looked at in one tick.
const GATHERINGS: usize = 100;

/// How long `deliver` waits.
#[derive(Clone, Debug, clap::Args)]
pub struct DeliverArgs {
    /// How long a video waits while none of its clips answers, e.g. `24h`.
    #[arg(long, env = "SPILLWAY_DELIVER_DEADLINE", default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub deliver_deadline: Duration,
}

/// The stage.
pub struct Deliver {
    store: SharedStore,
    deadline: Duration,
}

impl Deliver {
    /// Makes the stage.
    ///
    /// # Errors
    /// None so far; every stage is made alike.
    pub fn new(services: Services, args: DeliverArgs) -> anyhow::Result<Self> {
        Ok(Self { store: services.store, deadline: args.deliver_deadline })
    }

    /// Writes what is heard; says whether the gathering is open and has something new. A clip that is there stays
    /// so: a failure that comes late, from an attempt that was given up on, does not undo it.
    async fn keep(&self, report: &ClipReport, partition: i32) -> Result<bool, Failure> {
        let (tenant, video, item) = (report.job.tenant(), report.job.video(), report.unit_key());
        if matches!(report.kind, Some(ClipReportKind::Failed(_) | ClipReportKind::Total(_))) {
            let kept = self.store.gathered_item(Gatherer::Deliver, &tenant, video, WINDOW, &item).await?;
            let kept = kept.and_then(|body| ClipReport::decode(&*body).ok()?.kind);
            match (&kept, &report.kind) {
                (Some(ClipReportKind::Done(_)), _) => return Ok(false),
                // Two rounds of a window may be planned at once: the earlier one's word counts no more.
                (Some(ClipReportKind::Total(kept)), Some(ClipReportKind::Total(new))) if kept.round > new.round => {
                    return Ok(false);
                }
                _ => {}
            }
        }
        let deadline = Timestamp::now() + self.deadline;
        let body = report.encode_to_vec();
        let gathered = self.store.gather(Gatherer::Deliver, &tenant, video, WINDOW, partition, deadline, &item, &body);
        Ok(gathered.await?)
    }

    async fn heard(&self, open: &OpenGather) -> Result<(Option<Job>, Heard), Failure> {
        let (mut heard, mut job) = (Heard::default(), None);
        let mut after: Option<String> = None;
        loop {
            let page =
                self.store.gathered(Gatherer::Deliver, &open.tenant, open.video, WINDOW, after.as_deref(), ITEMS);
            let items = page.await?;
            for (_, body) in &items {
                let report = ClipReport::read(body).map_err(|error| Failure::Retry(error.into()))?;
                heard.add(report.kind);
                job = job.or(Some(report.job));
            }
            if items.len() < ITEMS {
                return Ok((job, heard));
            }
            after = items.into_iter().next_back().map(|(item, _)| item);
        }
    }

    /// Ends the video if nothing more can come, then closes: in this order, so that a death in between only
    /// repeats the message.
    async fn end(&self, open: &OpenGather, patience: Patience, out: &Outbox<VideoEvent>) -> Result<(), Failure> {
        let (Some(job), heard) = self.heard(open).await? else {
            return Err(Failure::Retry(anyhow!("an open gathering is empty")));
        };
        let Some(ended) = heard.ending(patience) else { return Ok(()) };
        info!(video = %open.video, state = ?ended.state(), code = ended.code, completeness = ended.completeness, "video ended");
        out.send(VideoEvent::new(&job, Timestamp::now(), Happened::Ended(ended))).await?;
        out.flush().await?;
        self.close(open).await
    }

    /// Forgets that a unit failed and waits for its answer, unless it has answered meanwhile. The log is told before
    /// anything is written, so that a death in between only repeats it; the answer follows in this partition.
    async fn reopen(
        &self,
        report: &ClipReport,
        open: &OpenGather,
        reopened: &Reopened,
        out: &Outbox<VideoEvent>,
    ) -> Result<(), Failure> {
        let (mark, body) = (report.unit_key(), report.encode_to_vec());
        let (gatherer, tenant, video) = (Gatherer::Deliver, &open.tenant, open.video);
        if self.store.gathered_item(gatherer, tenant, video, WINDOW, &mark).await?.is_some() {
            return Ok(());
        }
        let (_, heard) = self.heard(open).await?;
        let without = match heard.stands(reopened) {
            Stands::Failed { item } => item,
            Stands::Answered => {
                info!(%video, unit = reopened.replay.unit, "unit has answered meanwhile, the video is not opened again");
                return Ok(());
            }
        };
        info!(%video, unit = reopened.replay.unit, letter = reopened.replay.letter, "video opened again");
        let now = Timestamp::now();
        // Of what it opened again itself, `join` has told.
        if reopened.window.is_none() {
            out.send(VideoEvent::new(&report.job, now, Happened::Replayed(reopened.replay.clone()))).await?;
        }
        out.send(VideoEvent::new(&report.job, now, Happened::Reopened(reopened.replay.clone()))).await?;
        out.flush().await?;
        let (deadline, with) = (now + self.deadline, Some((mark.as_str(), body.as_slice())));
        let opened =
            self.store.reopen_gather(gatherer, tenant, video, WINDOW, deadline, without.as_deref(), with).await?;
        if !opened {
            // Nothing was heard of the video so far; what it waits for must be known all the same.
            self.keep(report, out.source().partition).await?;
        }
        Ok(())
    }

    async fn close(&self, open: &OpenGather) -> Result<(), Failure> {
        Ok(self.store.close_gather(Gatherer::Deliver, &open.tenant, open.video, WINDOW).await?)
    }
}

impl Stage for Deliver {
    type In = ClipReport;
    type Out = VideoEvent;
    const NAME: StageName = StageName::Deliver;
    const KIND: Kind = Kind::Gather;

    /// What cannot be gathered ends the video here: nobody else would.
    fn failed(input: &ClipReport, code: Code, detail: &str) -> Vec<VideoEvent> {
        let (state, stage, code, detail) = match &input.kind {
            Some(ClipReportKind::Done(_)) => (EndState::Partial, StageName::Deliver, code.to_string(), detail),
            Some(ClipReportKind::VideoFailed(f)) => (EndState::Failed, f.stage(), f.code.clone(), f.detail.as_str()),
            // It ended before, and stays as it ended.
            Some(ClipReportKind::Reopened(_)) => return Vec::new(),
            _ => (EndState::Failed, StageName::Deliver, code.to_string(), detail),
        };
        let ended = Ended {
            state: state as i32,
            completeness: 0.0,
            code,
            stage: Some(stage as i32),
            detail: detail.to_owned(),
            round: 0,
        };
        vec![VideoEvent::new(&input.job, Timestamp::now(), Happened::Ended(ended))]
    }

    async fn process(&self, input: ClipReport, out: &Outbox<VideoEvent>) -> Result<(), Failure> {
        if input.kind.is_none() {
            return Err(Failure::reject(Code::MessageUnreadable, anyhow!("a clip report says nothing")));
        }
        let open = OpenGather {
            tenant: input.job.tenant(),
            video: input.job.video(),
            window: WINDOW,
            deadline: Timestamp::now() + self.deadline,
        };
        if self.store.is_unwanted(&open.tenant, open.video).await? {
            return self.close(&open).await;
        }
        if let Some(ClipReportKind::Reopened(reopened)) = &input.kind {
            return self.reopen(&input, &open, reopened, out).await;
        }
        // Once closed, the video has ended, and only a replay opens it again.
        if !self.keep(&input, out.source().partition).await? {
            return Ok(());
        }
        self.end(&open, Patience::Left, out).await
    }

    async fn tick(&self, partition: i32, held: Duration, out: &Outbox<VideoEvent>) -> Result<(), Failure> {
        // While nobody listened no answer could be heard.
        if held < self.deadline {
            return Ok(());
        }
        let now = Timestamp::now();
        for open in self.store.open_gathers(Gatherer::Deliver, partition, GATHERINGS).await? {
            if open.deadline > now {
                break;
            }
            if self.store.is_unwanted(&open.tenant, open.video).await? {
                self.close(&open).await?;
                continue;
            }
            warn!(video = %open.video, "clips did not answer in time");
            self.end(&open, Patience::Over, out).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
