//! What `analyze` sees in a file that `split` cut into pieces.

use std::path::Path;

use pipeline::event::{
    Event, MediaInfo, Options, Place, SegmentAnalysis, SegmentReport, SegmentReportKind, VideoReady, VideoSegment,
};
use pipeline::failure::Failure;
use pipeline::media_time::{MediaRange, MediaTime};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::services::Services;
use processors::split::Split;
use prost::Message;

use crate::material::{Workshop, job, look_at, split_args, upload};

/// A video as `analyze` saw it.
pub struct Seen {
    pub media: MediaInfo,
    pub analyses: Vec<SegmentAnalysis>,
}

impl Seen {
    /// Returns the whole of it.
    pub fn range(&self) -> MediaRange {
        MediaRange::new(MediaTime::ZERO, self.media.duration())
    }
}

/// Cuts `path` into pieces of about two seconds.
pub async fn pieces(services: &Services, path: &Path) -> Vec<VideoSegment> {
    let job = job(Options::default());
    let source = upload(services, &job, path).await;
    let ready = VideoReady { job, source, media: look_at(path).expect("admitted") };
    let (outbox, collected) = Collected::outbox();
    Split::new(services.clone(), split_args(2)).expect("stage").process(ready, &outbox).await.expect("split");
    let cut = collected.take().into_iter().filter(|envelope| envelope.topic == Topic::SegmentVideo);
    cut.map(|envelope| VideoSegment::read(&envelope.body).expect("a segment")).collect()
}

/// Analyses one piece.
pub async fn analyze(stage: &Analyze, piece: VideoSegment) -> Result<SegmentAnalysis, Failure> {
    let (outbox, collected) = Collected::outbox();
    stage.process(piece, &outbox).await?;
    let sent = collected.take();
    assert_eq!(sent.len(), 1, "one report a piece");
    let report = SegmentReport::read(&sent[0].body).expect("a report");
    let Some(SegmentReportKind::Done(done)) = report.kind else { panic!("not done: {report:?}") };
    let Some(Place::Inline(bytes)) = done.result.place else { panic!("small results travel in the message") };
    Ok(SegmentAnalysis::decode(bytes).expect("an analysis"))
}

/// Cuts `path` into pieces and analyses them all.
pub async fn see(shop: &Workshop, path: &Path) -> Seen {
    let services = shop.services();
    let stage = Analyze::new(services.clone(), AnalyzeArgs::default()).expect("stage");
    let mut analyses = Vec::new();
    let pieces = pieces(&services, path).await;
    let media = pieces[0].media.clone();
    for piece in pieces {
        analyses.push(analyze(&stage, piece).await.expect("analysed"));
    }
    Seen { media, analyses }
}
