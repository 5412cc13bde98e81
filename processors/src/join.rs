//! The stage `join`: keeps what became of each segment, and passes a window on once all of its segments have
//! answered, or their time is over.

mod missing;

use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{
    ClipReport, ClipReportKind, Envelope, Event, Happened, Job, Outgoing, Reopened, Replay, SegmentKind, SegmentReport,
    SegmentReportKind, SegmentTotal, UnitDone, UnitFailed, VideoEvent, WindowGathered, video_failed,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::store::{Gatherer, OpenGather, SharedStore};
use prost::Message;
use tracing::{info, warn};

use crate::services::Services;
use missing::Missing;

/// Items read from the store at once: each may be as large as a record.
const ITEMS: usize = 16;

/// Gatherings looked at in one tick.
const GATHERINGS: usize = 100;

/// How long `join` waits.
#[derive(Clone, Debug, clap::Args)]
pub struct JoinArgs {
    /// How long a window waits while none of its segments answers, e.g. `6h`. Every segment is answered for,
    /// if only as a dead letter: this is for what was lost against all promises.
    #[arg(long, env = "SPILLWAY_JOIN_DEADLINE", default_value = "6h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub join_deadline: Duration,
}

/// The stage.
pub struct Join {
    store: SharedStore,
    deadline: Duration,
    missing: Missing,
}

/// What `join` says.
pub enum Output {
    /// A window is complete, or as complete as it gets.
    Gathered(WindowGathered),
    /// The video cannot go on, or `deliver` must wait for it again.
    Report(ClipReport),
    /// For the video's log.
    Happened(VideoEvent),
}

impl Outgoing for Output {
    fn envelope(&self) -> Envelope {
        match self {
            Self::Gathered(window) => Envelope::of(window),
            Self::Report(report) => Envelope::of(report),
            Self::Happened(event) => Envelope::of(event),
        }
    }
}

impl Join {
    /// Makes the stage.
    ///
    /// # Errors
    /// None so far; every stage is made alike.
    pub fn new(services: Services, args: JoinArgs) -> anyhow::Result<Self> {
        Ok(Self { store: services.store, deadline: args.join_deadline, missing: Missing::default() })
    }

    /// Writes what is heard; says whether the gathering is open and has something new. A segment that was worked
    /// on stays so: a failure that comes late, from an attempt that was given up on, does not undo it.
    async fn keep(&self, report: &SegmentReport, partition: i32) -> Result<bool, Failure> {
        let (tenant, video, item) = (report.job.tenant(), report.job.video(), report.unit_key());
        if matches!(report.kind, Some(SegmentReportKind::Failed(_))) {
            let kept = self.store.gathered_item(Gatherer::Join, &tenant, video, report.window, &item).await?;
            if kept.is_some_and(|body| segment_done(&body).is_some()) {
                return Ok(false);
            }
        }
        let mut report = report.clone();
        if let Some(SegmentReportKind::Total(total)) = &mut report.kind
            && let Some(kept) = self.total(&report.job, report.window).await?
        {
            // A video that is split again does not undo that its windows were opened again.
            total.reopened_by = kept.reopened_by;
        }
        let deadline = Timestamp::now() + self.deadline;
        let body = report.encode_to_vec();
        let gathered =
            self.store.gather(Gatherer::Join, &tenant, video, report.window, partition, deadline, &item, &body);
        Ok(gathered.await?)
    }

    /// Returns the window's total, once `split` has told it.
    async fn total(&self, job: &Job, window: u32) -> Result<Option<SegmentTotal>, Failure> {
        let item = format!("total/{window}");
        let (tenant, video) = (job.tenant(), job.video());
        let Some(body) = self.store.gathered_item(Gatherer::Join, &tenant, video, window, &item).await? else {
            return Ok(None);
        };
        match SegmentReport::decode(&*body).map(|report| report.kind) {
            Ok(Some(SegmentReportKind::Total(total))) => Ok(Some(total)),
            _ => Err(Failure::Retry(anyhow!("the stored total of window {window} is none"))),
        }
    }

    /// Passes the window on, then closes it: in this order, so that a death in between only repeats the message.
    async fn pass_on(&self, job: &Job, window: u32, total: SegmentTotal, out: &Outbox<Output>) -> Result<(), Failure> {
        let completeness = self.completeness(job, window, &total).await?;
        info!(video = %job.video(), window, completeness, "window gathered");
        let gathered = WindowGathered { job: job.clone(), window, total, completeness };
        out.send(done(job, &gathered.unit_key())).await?;
        out.send(Output::Gathered(gathered)).await?;
        out.flush().await?;
        self.close(job, window).await
    }

    /// Forgets that a unit of the window failed and opens the window again: it is passed on anew once the unit has
    /// answered. All is told before it is written, so that a death in between only repeats it; `deliver` hears of it
    /// before the answer can come, which follows in this partition.
    async fn reopen(&self, report: &SegmentReport, replay: &Replay, out: &Outbox<Output>) -> Result<(), Failure> {
        let (job, window) = (&report.job, report.window);
        let (tenant, video) = (job.tenant(), job.video());
        let kept = self.store.gathered_item(Gatherer::Join, &tenant, video, window, &replay.unit).await?;
        let kept = kept.and_then(|body| SegmentReport::decode(&*body).ok()?.kind);
        let mut total = self.total(job, window).await?;
        let is_known = total.as_ref().is_some_and(|total| total.reopened_by.contains(&replay.letter));
        match kept {
            _ if is_known => return Ok(()),
            Some(SegmentReportKind::Failed(_)) => {}
            // What could not be gathered left nothing behind.
            None if replay.stage() == StageName::Join => {}
            _ => {
                info!(%video, window, unit = replay.unit, "unit has answered meanwhile, nothing is opened again");
                return Ok(());
            }
        }
        let with = total.as_mut().map(|total| {
            total.reopened_by.push(replay.letter.clone());
            let kind = Some(SegmentReportKind::Total(total.clone()));
            let report = SegmentReport { job: job.clone(), window, kind };
            (report.unit_key(), report.encode_to_vec())
        });
        info!(%video, window, unit = replay.unit, letter = replay.letter, "window opened again");
        let round = total.map_or(0, |total| total.reopened_by.len() as u32);
        let reopened = Reopened { replay: replay.clone(), window: Some(window), round };
        let replayed = VideoEvent::new(job, Timestamp::now(), Happened::Replayed(replay.clone()));
        out.send(Output::Happened(replayed)).await?;
        out.send(Output::Report(ClipReport { job: job.clone(), kind: Some(ClipReportKind::Reopened(reopened)) }))
            .await?;
        out.flush().await?;
        let with = with.as_ref().map(|(item, body)| (item.as_str(), body.as_slice()));
        let deadline = Timestamp::now() + self.deadline;
        let without = Some(replay.unit.as_str());
        self.store.reopen_gather(Gatherer::Join, &tenant, video, window, deadline, without, with).await?;
        Ok(())
    }

    async fn close(&self, job: &Job, window: u32) -> Result<(), Failure> {
        Ok(self.store.close_gather(Gatherer::Join, &job.tenant(), job.video(), window).await?)
    }

    async fn completeness(&self, job: &Job, window: u32, total: &SegmentTotal) -> Result<f64, Failure> {
        let (tenant, video) = (job.tenant(), job.video());
        let (mut audio, mut picture) = (0, 0);
        let mut after: Option<String> = None;
        loop {
            let items = self.store.gathered(Gatherer::Join, &tenant, video, window, after.as_deref(), ITEMS).await?;
            for (_, body) in &items {
                match segment_done(body) {
                    Some(SegmentKind::Audio) => audio += 1,
                    Some(SegmentKind::Video) => picture += 1,
                    None => {}
                }
            }
            if items.len() < ITEMS {
                return Ok(share((audio, total.audio), (picture, total.video)));
            }
            after = items.into_iter().next_back().map(|(item, _)| item);
        }
    }

    async fn end_of_wait(&self, open: &OpenGather, out: &Outbox<Output>) -> Result<(), Failure> {
        let first = self.store.gathered(Gatherer::Join, &open.tenant, open.video, open.window, None, 1).await?;
        let job = match first.first().map(|(_, body)| SegmentReport::read(body)) {
            Some(Ok(report)) => report.job,
            Some(Err(error)) => return Err(Failure::Retry(error.into())),
            None => return Err(Failure::Retry(anyhow!("an open gathering of window {} is empty", open.window))),
        };
        if self.store.is_unwanted(&open.tenant, open.video).await? {
            return self.close(&job, open.window).await;
        }
        warn!(video = %open.video, window = open.window, "no segment answered for too long");
        if let Some(total) = self.total(&job, open.window).await? {
            return self.pass_on(&job, open.window, total, out).await;
        }
        let detail = format!("split did not come to the end of window {} while it was waited for", open.window);
        out.send(given_up(&job, format!("window/{}", open.window), &detail)).await?;
        out.send(Output::Report(video_failed(&job, StageName::Join, Code::Deadline, &detail))).await?;
        out.flush().await?;
        self.close(&job, open.window).await
    }
}

impl Stage for Join {
    type In = SegmentReport;
    type Out = Output;
    const NAME: StageName = StageName::Join;
    const KIND: Kind = Kind::Gather;

    /// A segment whose report is lost is missed until the deadline; without the total the window cannot go on.
    fn failed(input: &SegmentReport, code: Code, detail: &str) -> Vec<Output> {
        match input.kind {
            Some(SegmentReportKind::Total(_)) => {
                vec![Output::Report(video_failed(&input.job, StageName::Join, code, detail))]
            }
            _ => Vec::new(),
        }
    }

    async fn process(&self, input: SegmentReport, out: &Outbox<Output>) -> Result<(), Failure> {
        if input.kind.is_none() {
            return Err(Failure::reject(Code::MessageUnreadable, anyhow!("a segment report says nothing")));
        }
        let (tenant, video, source) = (input.job.tenant(), input.job.video(), out.source());
        let window = (tenant.clone(), video, input.window);
        let is_total = matches!(input.kind, Some(SegmentReportKind::Total(_)));
        let may_be_complete = self.missing.hear(source, &window) || is_total;
        if self.store.is_unwanted(&tenant, video).await? {
            self.missing.forget(source, &window);
            return self.close(&input.job, input.window).await;
        }
        if let Some(SegmentReportKind::Replayed(replay)) = &input.kind {
            self.missing.forget(source, &window);
            return self.reopen(&input, replay, out).await;
        }
        if !self.keep(&input, source.partition).await? || !may_be_complete {
            return Ok(());
        }
        let Some(total) = self.total(&input.job, input.window).await? else { return Ok(()) };
        let heard = self.store.gathered_count(Gatherer::Join, &tenant, video, input.window).await?;
        // One item is the total itself.
        let all = u64::from(total.audio) + u64::from(total.video) + 1;
        if heard < all {
            self.missing.counted(source, window, all - heard);
            return Ok(());
        }
        self.missing.forget(source, &window);
        self.pass_on(&input.job, input.window, total, out).await
    }

    async fn tick(&self, partition: i32, held: Duration, out: &Outbox<Output>) -> Result<(), Failure> {
        // While nobody listened no answer could be heard.
        if held < self.deadline {
            return Ok(());
        }
        let now = Timestamp::now();
        for open in self.store.open_gathers(Gatherer::Join, partition, GATHERINGS).await? {
            if open.deadline > now {
                break;
            }
            self.end_of_wait(&open, out).await?;
        }
        Ok(())
    }
}

/// Tells that a window is passed on. The runner tells that of units that are claimed; a window is none.
fn done(job: &Job, unit: &str) -> Output {
    let now = Timestamp::now();
    let now_ms = now.as_millisecond();
    let done = UnitDone {
        stage: StageName::Join as i32,
        unit: unit.to_owned(),
        worker: String::new(),
        attempt: 1,
        queued_ms: now_ms,
        started_ms: now_ms,
        finished_ms: now_ms,
    };
    Output::Happened(VideoEvent::new(job, now, Happened::UnitDone(done)))
}

/// Tells that a window is given up.
fn given_up(job: &Job, unit: String, detail: &str) -> Output {
    let code = Code::Deadline.to_string();
    let (stage, detail) = (StageName::Join as i32, detail.to_owned());
    let failed = UnitFailed { stage, unit, code, detail, ..UnitFailed::default() };
    Output::Happened(VideoEvent::new(job, Timestamp::now(), Happened::UnitFailed(failed)))
}

/// Returns which kind of segment `body` says was worked on, if it says that.
fn segment_done(body: &[u8]) -> Option<SegmentKind> {
    match SegmentReport::decode(body).ok()?.kind? {
        SegmentReportKind::Done(done) => Some(done.segment()),
        SegmentReportKind::Failed(_) | SegmentReportKind::Total(_) | SegmentReportKind::Replayed(_) => None,
    }
}

/// Returns the share of segments worked on: sound and picture weigh the same, whatever their segments' number;
/// a kind that the window does not have weighs nothing. A window into which only a piece of the one before reaches, as
/// where keyframes are far apart, has none of its own and misses none.
fn share(audio: (u32, u32), picture: (u32, u32)) -> f64 {
    let kinds: Vec<(u32, u32)> = [audio, picture].into_iter().filter(|(_, total)| *total > 0).collect();
    let shares: f64 = kinds.iter().map(|(done, total)| f64::from(*done.min(total)) / f64::from(*total)).sum();
    if kinds.is_empty() { 1.0 } else { shares / kinds.len() as f64 }
}

#[cfg(test)]
pub(crate) mod tests;
