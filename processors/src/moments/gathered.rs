//! Reads what `join` wrote of a window.

use anyhow::Context;
use pipeline::event::{
    Event, SegmentAnalysis, SegmentDone, SegmentKind, SegmentReport, SegmentReportKind, SegmentTranscript,
    WindowGathered,
};
use pipeline::failure::{Code, Failure};
use pipeline::media_time::MediaRange;
use pipeline::outbox::Pulse;
use pipeline::store::Gatherer;
use prost::Message;

use super::timeline::span;
use crate::services::Services;

/// What workers found in a window's segments, in no order.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What was heard.
    pub transcripts: Vec<SegmentTranscript>,
    /// What was seen.
    pub analyses: Vec<SegmentAnalysis>,
    /// Where sound was given up.
    pub lost_sound: Vec<MediaRange>,
}

/// Reads all results of the window that `input` names, `page_results` at a time.
///
/// # Errors
/// [`Failure::Unavailable`] when store or blobs are down, [`Failure::Reject`] when a row is not what it should be.
pub async fn read(
    services: &Services,
    input: &WindowGathered,
    page_results: usize,
    pulse: &Pulse,
) -> Result<Gathered, Failure> {
    let (tenant, video) = (input.job.tenant(), input.job.video());
    let mut gathered = Gathered::default();
    let mut after: Option<String> = None;
    loop {
        let page = services
            .store
            .gathered(Gatherer::Join, &tenant, video, input.window, after.as_deref(), page_results)
            .await?;
        let Some((last, _)) = page.last() else { return Ok(gathered) };
        after = Some(last.clone());
        for (item, body) in &page {
            pulse.beat()?;
            let report = SegmentReport::read(body).with_context(|| format!("read {item}")).map_err(unreadable)?;
            match report.kind {
                Some(SegmentReportKind::Done(done)) => open(services, &mut gathered, &done).await?,
                Some(SegmentReportKind::Failed(failed)) if failed.segment() == SegmentKind::Audio => {
                    gathered.lost_sound.push(span(failed.start_us, failed.end_us));
                }
                // A lost piece of picture is where nothing was analysed, and the totals came with the input.
                Some(SegmentReportKind::Failed(_) | SegmentReportKind::Total(_) | SegmentReportKind::Replayed(_))
                | None => {}
            }
        }
    }
}

async fn open(services: &Services, gathered: &mut Gathered, done: &SegmentDone) -> Result<(), Failure> {
    let bytes = services.carrier.open(&done.result).await?;
    match done.segment() {
        SegmentKind::Audio => gathered.transcripts.push(decoded(bytes)?),
        SegmentKind::Video => {
            let mut analysis: SegmentAnalysis = decoded(bytes)?;
            // A segment in which no frame could be decoded was worked on, but nothing is known of it.
            if analysis.start_us < analysis.end_us && !analysis.frames.is_empty() {
                analysis.faces.retain(|f| [f.x, f.y, f.width, f.height].iter().all(|v| v.is_finite()));
                gathered.analyses.push(analysis);
            }
        }
    }
    Ok(())
}

fn decoded<M: Message + Default>(bytes: bytes::Bytes) -> Result<M, Failure> {
    M::decode(bytes).context("read a segment's result").map_err(unreadable)
}

fn unreadable(error: anyhow::Error) -> Failure {
    Failure::reject(Code::MessageUnreadable, error)
}
