//! One stage's output is the next one's input: what `split` sends, `analyze` understands.

use pipeline::event::{Event, Options, SegmentReport, SegmentReportKind, VideoReady, VideoSegment};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::split::{Split, SplitArgs};

use crate::material::{PICTURE, SOUND, Workshop, job, look_at, upload};

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_split_are_analysed() {
    let shop = Workshop::new();
    let sizes = "-s 1280x720 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 25 -c:a aac";
    let path = shop.make(&format!("{PICTURE} {SOUND} {sizes}"), "talk.mp4");
    let services = shop.services();
    let (job, media) = (job(Options::default()), look_at(&path).expect("a video"));
    let source = upload(&services, &job, &path).await;
    let (outbox, collected) = Collected::outbox();
    let args = SplitArgs {
        segment_target: std::time::Duration::from_secs(2),
        segment_enough_bytes: 3 << 20,
        segment_memory_bytes: 16 << 20,
    };
    let split = Split::new(services.clone(), args).expect("stage");
    split.process(VideoReady { job, source, media }, &outbox).await.expect("split");

    let analyze = Analyze::new(services, AnalyzeArgs::default()).expect("stage");
    let (outbox, reports) = Collected::outbox();
    let mut pieces = 0;
    for envelope in collected.take().into_iter().filter(|e| e.topic == Topic::SegmentVideo) {
        let segment = VideoSegment::read(&envelope.body).expect("a segment");
        analyze.process(segment, &outbox).await.expect("analysed");
        pieces += 1;
    }
    let done = reports.take().into_iter().filter(|e| {
        let report = SegmentReport::read(&e.body).expect("a report");
        matches!(report.kind, Some(SegmentReportKind::Done(_)))
    });
    assert!(pieces > 0);
    assert_eq!(done.count(), pieces);
}
