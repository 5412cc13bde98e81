use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use pipeline::blob::{Blobs, Location};
use pipeline::event::{ClipReportKind, Envelope, Options, Payload, SegmentDone};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Collected, Pulse, Source};
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::store::NewVideo;
use pipeline::topic::Topic;
use tokio_util::sync::CancellationToken;

use super::*;

/// Returns services with a store and blobs of their own below `folder`.
pub(crate) fn services(folder: &Path) -> Services {
    let blobs = Blobs::open(&Location::Folder(folder.join("blobs"))).expect("open the blobs");
    Services {
        store: pipeline::store::open_file(&folder.join("store.db")).expect("open the store"),
        carrier: Carrier::new(blobs, 4 << 20),
        runtime: Runtime::new(&RuntimeArgs { runtime: Some(folder.to_owned()) }),
    }
}

/// Accepts a video and returns its job.
pub(crate) async fn accept(store: &SharedStore) -> Job {
    let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
    let video = NewVideo {
        job: job.clone(),
        source: pipeline::event::VideoSource::Url("https://example.org/talk.mp4".to_owned()),
        name: "talk.mp4".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        request_hash: String::new(),
    };
    store.create_video(&video).await.expect("create a video");
    job
}

/// The stage with a store of its own, and a job to gather for.
struct Rig {
    join: Join,
    job: Job,
    out: Outbox<Output>,
    said: Arc<Collected>,
    next_offset: AtomicI64,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new(join_deadline: Duration) -> Self {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        let join = Join::new(services(folder.path()), JoinArgs { join_deadline }).expect("make the stage");
        let job = accept(&join.store).await;
        let (out, said) = Collected::outbox();
        Self { join, job, out, said, next_offset: AtomicI64::new(0), _folder: folder }
    }

    /// Lets the stage hear `report`, the next one in its partition, and returns what it says.
    async fn hear(&self, report: &SegmentReport) -> Vec<Envelope> {
        let source = Source { partition: 0, offset: self.next_offset.fetch_add(1, Ordering::Relaxed) };
        let out = Outbox::new(self.said.clone(), source, Pulse::new(CancellationToken::new()));
        self.join.process(report.clone(), &out).await.expect("gather a report");
        self.said.take()
    }

    async fn tick(&self) -> Vec<Envelope> {
        self.join.tick(0, Duration::MAX, &self.out).await.expect("tick");
        self.said.take()
    }

    fn done(&self, segment: SegmentKind, index: u32) -> SegmentReport {
        SegmentReport::done(&self.job, 0, segment, index, Payload::default())
    }

    fn failed(&self, segment: SegmentKind, index: u32) -> SegmentReport {
        SegmentReport::failed(&self.job, 0, segment, index, (0, 1), Code::Stuck)
    }

    fn total(&self, audio: u32, video: u32) -> SegmentReport {
        let total = SegmentTotal { audio, video, last: true, end_us: 60_000_000, ..SegmentTotal::default() };
        SegmentReport { job: self.job.clone(), window: 0, kind: Some(SegmentReportKind::Total(total)) }
    }
}

const LONG: Duration = Duration::from_secs(3600);

fn gathered(said: &[Envelope]) -> WindowGathered {
    assert_eq!(said.iter().map(|e| e.topic).collect::<Vec<_>>(), [Topic::VideoEvent, Topic::WindowGathered]);
    assert!(matches!(VideoEvent::read(&said[0].body).unwrap().happened, Some(Happened::UnitDone(_))));
    WindowGathered::read(&said[1].body).expect("a window")
}

#[tokio::test]
async fn window_goes_on_once_all_have_answered_in_any_order() {
    for total_at in 0..=3 {
        let rig = Rig::new(LONG).await;
        let mut reports =
            vec![rig.done(SegmentKind::Video, 1), rig.done(SegmentKind::Audio, 0), rig.done(SegmentKind::Video, 0)];
        reports.insert(total_at, rig.total(1, 2));
        for report in &reports[..3] {
            assert_eq!(rig.hear(report).await, [], "total at {total_at}");
        }
        let window = gathered(&rig.hear(&reports[3]).await);
        assert_eq!((window.completeness, window.total.video, window.job), (1.0, 2, rig.job.clone()));
        assert_eq!(rig.join.store.open_gathers(Gatherer::Join, 0, 9).await.unwrap(), []);
        // Nothing more is said, whoever repeats himself.
        for report in &reports {
            assert_eq!(rig.hear(report).await, []);
        }
    }
}

#[tokio::test]
async fn redelivered_report_counts_once() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.total(0, 2)).await;
    for _ in 0..3 {
        assert_eq!(rig.hear(&rig.done(SegmentKind::Video, 0)).await, []);
    }
    gathered(&rig.hear(&rig.done(SegmentKind::Video, 1)).await);
}

#[tokio::test]
async fn failed_segments_lower_completeness_and_done_stays_done() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.total(1, 4)).await;
    rig.hear(&rig.failed(SegmentKind::Audio, 0)).await;
    rig.hear(&rig.done(SegmentKind::Audio, 0)).await;
    rig.hear(&rig.failed(SegmentKind::Audio, 0)).await;
    for index in 0..3 {
        rig.hear(&rig.done(SegmentKind::Video, index)).await;
    }
    let window = gathered(&rig.hear(&rig.failed(SegmentKind::Video, 3)).await);
    assert_eq!(window.completeness, (1.0 + 0.75) / 2.0);
}

#[tokio::test]
async fn answer_is_repeated_when_the_stage_died_before_it_closed() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    // It wrote the last report and died: the record comes again.
    let last = rig.total(0, 1);
    assert!(rig.join.keep(&last, 0).await.unwrap());
    gathered(&rig.hear(&last).await);
}

#[tokio::test]
async fn deadline_goes_on_with_what_is_there() {
    let rig = Rig::new(Duration::ZERO).await;
    rig.hear(&rig.total(1, 1)).await;
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    assert_eq!(gathered(&rig.tick().await).completeness, 0.5);
    assert_eq!(rig.tick().await, []);
    assert_eq!(rig.hear(&rig.done(SegmentKind::Audio, 0)).await, []);
}

#[tokio::test]
async fn deadline_without_a_total_fails_the_video() {
    let rig = Rig::new(Duration::ZERO).await;
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    let said = rig.tick().await;
    assert_eq!(said.iter().map(|e| e.topic).collect::<Vec<_>>(), [Topic::VideoEvent, Topic::ClipReady]);
    assert!(matches!(VideoEvent::read(&said[0].body).unwrap().happened, Some(Happened::UnitFailed(_))));
    match ClipReport::read(&said[1].body).unwrap().kind {
        Some(ClipReportKind::VideoFailed(f)) => assert_eq!((f.stage(), &*f.code), (StageName::Join, "deadline")),
        other => panic!("not a failure: {other:?}"),
    }
    assert_eq!(rig.tick().await, []);
}

impl Rig {
    fn replayed(&self, unit: &str, letter: &str) -> SegmentReport {
        let stage = StageName::Transcribe as i32;
        let replay = Replay { stage, unit: unit.to_owned(), letter: letter.to_owned() };
        SegmentReport { job: self.job.clone(), window: 0, kind: Some(SegmentReportKind::Replayed(replay)) }
    }

    /// Lets the stage hear of a replay and returns in which round the window will be passed on.
    async fn reopen(&self, unit: &str, letter: &str) -> Option<u32> {
        let said = self.hear(&self.replayed(unit, letter)).await;
        let [event, report] = &said[..] else { return None };
        assert!(matches!(VideoEvent::read(&event.body).unwrap().happened, Some(Happened::Replayed(_))));
        match ClipReport::read(&report.body).unwrap().kind {
            Some(ClipReportKind::Reopened(reopened)) => {
                assert_eq!((reopened.window, &*reopened.replay.letter), (Some(0), letter));
                Some(reopened.round)
            }
            other => panic!("not opened: {other:?}"),
        }
    }
}

#[tokio::test]
async fn window_whose_failed_segment_is_replayed_is_passed_on_once_more() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.total(1, 1)).await;
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    let first = gathered(&rig.hear(&rig.failed(SegmentKind::Audio, 0)).await);
    assert_eq!((first.completeness, &*first.unit_key()), (0.5, "window/0"));

    assert_eq!(rig.reopen("audio/0", "transcribe/0/3").await, Some(1));
    // Told twice, the answer is waited for once.
    assert_eq!(rig.reopen("audio/0", "transcribe/0/3").await, None);
    // What `split` says again on a replay of its own changes nothing of that.
    assert_eq!(rig.hear(&rig.total(1, 1)).await, []);
    let second = gathered(&rig.hear(&rig.done(SegmentKind::Audio, 0)).await);
    assert_eq!((second.completeness, &*second.unit_key()), (1.0, "window/0/again/1"));
    assert_eq!(rig.hear(&rig.done(SegmentKind::Audio, 0)).await, []);
}

#[tokio::test]
async fn replay_that_fails_again_and_then_works_is_a_round_each() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.total(1, 0)).await;
    gathered(&rig.hear(&rig.failed(SegmentKind::Audio, 0)).await);
    assert_eq!(rig.reopen("audio/0", "transcribe/0/0").await, Some(1));
    assert_eq!(gathered(&rig.hear(&rig.failed(SegmentKind::Audio, 0)).await).round(), 1);
    assert_eq!(rig.reopen("audio/0", "transcribe/0/1").await, Some(2));
    assert_eq!(gathered(&rig.hear(&rig.done(SegmentKind::Audio, 0)).await).round(), 2);
}

#[tokio::test]
async fn replay_of_what_was_done_meanwhile_opens_nothing() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.total(1, 0)).await;
    gathered(&rig.hear(&rig.done(SegmentKind::Audio, 0)).await);
    assert_eq!(rig.reopen("audio/0", "transcribe/0/3").await, None);
    assert_eq!(rig.reopen("audio/7", "transcribe/0/4").await, None, "nobody heard of it");
    assert_eq!(rig.join.store.open_gathers(Gatherer::Join, 0, 9).await.unwrap(), []);
}

#[tokio::test]
async fn segment_replayed_before_its_window_is_over_is_waited_for() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.failed(SegmentKind::Audio, 0)).await;
    assert_eq!(rig.reopen("audio/0", "transcribe/0/3").await, Some(0));
    assert_eq!(rig.hear(&rig.total(1, 0)).await, [], "its answer is missing");
    assert_eq!(gathered(&rig.hear(&rig.done(SegmentKind::Audio, 0)).await).completeness, 1.0);
}

#[tokio::test]
async fn nobody_waits_before_the_deadline() {
    let rig = Rig::new(LONG).await;
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    assert_eq!(rig.tick().await, []);
}

#[tokio::test]
async fn cancelled_and_deleted_videos_are_closed_without_a_word() {
    for delete in [false, true] {
        let rig = Rig::new(Duration::ZERO).await;
        let (tenant, video) = (rig.job.tenant(), rig.job.video());
        rig.hear(&rig.total(0, 1)).await;
        if delete {
            rig.join.store.delete_video(&tenant, video, Timestamp::UNIX_EPOCH).await.unwrap();
        } else {
            rig.join.store.cancel_video(&tenant, video, Timestamp::UNIX_EPOCH).await.unwrap();
        }
        assert_eq!(rig.tick().await, []);
        assert_eq!(rig.join.store.open_gathers(Gatherer::Join, 0, 9).await.unwrap(), []);
        assert_eq!(rig.hear(&rig.done(SegmentKind::Video, 0)).await, []);
    }
}

#[tokio::test]
async fn windows_of_one_video_are_gathered_apart() {
    let rig = Rig::new(LONG).await;
    let second = |report: SegmentReport| SegmentReport { window: 1, ..report };
    rig.hear(&rig.done(SegmentKind::Video, 0)).await;
    rig.hear(&second(rig.done(SegmentKind::Video, 1))).await;
    let window = gathered(&rig.hear(&second(rig.total(0, 1))).await);
    assert_eq!(window.window, 1);
    assert_eq!(gathered(&rig.hear(&rig.total(0, 1)).await).window, 0);
}

#[tokio::test]
async fn many_segments_are_gathered_over_several_reads() {
    let rig = Rig::new(LONG).await;
    let result = Payload { place: Some(pipeline::event::Place::Inline(vec![7; 2_000].into())) };
    let report = |segment: SegmentKind, index| {
        let done = SegmentDone { segment: segment as i32, index, result: result.clone() };
        SegmentReport { job: rig.job.clone(), window: 0, kind: Some(SegmentReportKind::Done(done)) }
    };
    assert_eq!(rig.hear(&rig.total(50, 250)).await, []);
    for index in 0..50 {
        assert_eq!(rig.hear(&report(SegmentKind::Audio, index)).await, []);
    }
    for index in 0..249 {
        assert_eq!(rig.hear(&report(SegmentKind::Video, index)).await, []);
    }
    assert_eq!(gathered(&rig.hear(&report(SegmentKind::Video, 249)).await).completeness, 1.0);
}

#[test]
fn share_weighs_sound_and_picture_alike() {
    assert_eq!(share((1, 1), (5, 10)), 0.75);
    assert_eq!(share((0, 0), (5, 10)), 0.5);
    assert_eq!(share((2, 2), (0, 0)), 1.0);
    assert_eq!(share((0, 0), (0, 0)), 1.0);
}

#[tokio::test]
async fn report_that_says_nothing_is_rejected() {
    let rig = Rig::new(LONG).await;
    let empty = SegmentReport { job: rig.job.clone(), window: 0, kind: None };
    let rejected = rig.join.process(empty, &rig.out).await.expect_err("rejected");
    assert!(matches!(rejected, Failure::Reject { code: Code::MessageUnreadable, .. }));
}

#[test]
fn only_a_lost_total_fails_the_video() {
    let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
    let total =
        SegmentReport { job: job.clone(), window: 0, kind: Some(SegmentReportKind::Total(SegmentTotal::default())) };
    assert_eq!(Join::failed(&total, Code::Crashed, "x").len(), 1);
    let done = SegmentReport::done(&job, 0, SegmentKind::Audio, 0, Payload::default());
    assert!(Join::failed(&done, Code::Crashed, "x").is_empty());
}
