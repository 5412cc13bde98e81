//! The stage `deliver`: keeps what became of each clip, and ends the video once nothing more can come.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::event::{
    ClipReport, ClipReportKind, ClipTotal, EndState, Ended, Event, Happened, Job, UnitFailure, VideoEvent,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::store::{Gatherer, OpenGather, SharedStore};
use prost::Message;
use tracing::{info, warn};

use crate::services::Services;

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
        if matches!(report.kind, Some(ClipReportKind::Failed(_))) {
            let kept = self.store.gathered_item(Gatherer::Deliver, &tenant, video, WINDOW, &item).await?;
            let kept = kept.and_then(|body| ClipReport::decode(&*body).ok()?.kind);
            if matches!(kept, Some(ClipReportKind::Done(_))) {
                return Ok(false);
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
            _ => (EndState::Failed, StageName::Deliver, code.to_string(), detail),
        };
        let ended = Ended {
            state: state as i32,
            completeness: 0.0,
            code,
            stage: Some(stage as i32),
            detail: detail.to_owned(),
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
        // Once closed, the video has ended: a clip that succeeds on a replay is there, but changes nothing of that.
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

/// Whether there is time left to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Patience {
    Left,
    Over,
}

/// What was said about a video's clips.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard {
    done: u64,
    failed: Vec<UnitFailure>,
    totals: BTreeMap<u32, ClipTotal>,
    video_failed: Option<UnitFailure>,
}

impl Heard {
    fn add(&mut self, kind: Option<ClipReportKind>) {
        match kind {
            Some(ClipReportKind::Done(_)) => self.done += 1,
            Some(ClipReportKind::Failed(failure)) => self.failed.push(failure),
            Some(ClipReportKind::Total(total)) => drop(self.totals.insert(total.window, total)),
            Some(ClipReportKind::VideoFailed(failure)) => self.video_failed = Some(failure),
            None => {}
        }
    }

    /// Says how the video ends, if nothing more can come. When the whole video was given up, clips that are
    /// planned are still waited for.
    fn ending(&self, patience: Patience) -> Option<Ended> {
        let windows = self.totals.values().find(|t| t.last).map(|t| t.window + 1);
        let all_windows = windows.is_some_and(|n| self.totals.range(..n).count() == n as usize);
        let planned: u64 = self.totals.values().map(|t| u64::from(t.clips)).sum();
        let answered = self.done + self.failed.len() as u64 >= planned;
        let over = answered && (all_windows || self.video_failed.is_some());
        if !over && patience == Patience::Left {
            return None;
        }
        let completeness = self.completeness();
        let reason = self.reason(over, completeness);
        let state = match (self.done, &reason) {
            (0, _) => EndState::Failed,
            (_, Some(_)) => EndState::Partial,
            (_, None) => EndState::Done,
        };
        let reason = reason.or_else(|| (self.done == 0).then(|| nothing_left(completeness)));
        let (code, stage, detail) = reason.map_or_else(Default::default, |r| (r.code, Some(r.stage), r.detail));
        Some(Ended { state: state as i32, completeness, code, stage, detail })
    }

    /// Returns why the video is not done in whole, if it is not.
    fn reason(&self, over: bool, completeness: f64) -> Option<UnitFailure> {
        if let Some(failure) = self.video_failed.as_ref().or(self.failed.first()) {
            return Some(failure.clone());
        }
        if !over {
            return Some(failure(StageName::Deliver, Code::Deadline, "clips did not answer in time".to_owned()));
        }
        if completeness >= 1.0 {
            return None;
        }
        if self.done == 0 {
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

#[cfg(test)]
mod tests;
