//! One stage's output is the next one's input: what `split` sends, `analyze` understands.

use pipeline::event::{Event, SegmentReport, SegmentReportKind};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use processors::analyze::{Analyze, AnalyzeArgs};

use crate::material::{PICTURE, SOUND, Workshop};
use crate::seeing::pieces;

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_split_are_analysed() {
    let shop = Workshop::new();
    let sizes = "-s 1280x720 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -c:a aac";
    let path = shop.make(&format!("{PICTURE} {SOUND} {sizes}"), "talk.mp4");
    let services = shop.services();
    let pieces = pieces(&services, &path).await;
    let analyze = Analyze::new(services, AnalyzeArgs::default()).expect("stage");
    let (outbox, reports) = Collected::outbox();
    for piece in &pieces {
        analyze.process(piece.clone(), &outbox).await.expect("analysed");
    }
    let done = reports.take().into_iter().filter(|e| {
        let report = SegmentReport::read(&e.body).expect("a report");
        matches!(report.kind, Some(SegmentReportKind::Done(_)))
    });
    assert!(!pieces.is_empty());
    assert_eq!(done.count(), pieces.len());
}
