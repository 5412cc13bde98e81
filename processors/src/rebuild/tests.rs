use pipeline::event::{
    Clip, ClipReportKind, Created, EndState, Ended, Envelope, Job, Options, Payload, SegmentKind, SegmentReportKind,
    SegmentTotal, UnitDone, UnitFailed, UnitRetried, VideoSource,
};
use pipeline::id::ClipId;
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::store::{Gatherer, NewVideo, SharedStore};
use pipeline::topic::Topic;
use prost::Message;
use testing::rows::{compare, rows};

use super::*;
use crate::join::tests::services;

/// What lies in the topics after a while: `video.event`, `segment.done` and `clip.ready`, by offset.
#[derive(Default)]
struct Topics {
    events: Vec<VideoEvent>,
    segments: Vec<SegmentReport>,
    clips: Vec<ClipReport>,
}

/// A store that `ingest` and `record` write, and one that is made anew.
struct Rig {
    live: Services,
    lost: Rebuild,
    said: Arc<Collected>,
    topics: Topics,
    _folders: [tempfile::TempDir; 2],
}

fn at(second: i64) -> Timestamp {
    let today = Timestamp::now().as_second() - 3600;
    Timestamp::from_second(today + second).expect("a time in range")
}

impl Rig {
    fn new() -> Self {
        let folders = std::array::from_fn(|_| tempfile::tempdir().expect("make a temporary folder"));
        let said = Arc::new(Collected::default());
        let hour = Duration::from_secs(3600);
        let (join, deliver) = (JoinArgs { join_deadline: hour }, DeliverArgs { deliver_deadline: hour });
        let lost = Rebuild::new(services(folders[1].path()), join, deliver, said.clone()).expect("make it");
        Self { live: services(folders[0].path()), lost, said, topics: Topics::default(), _folders: folders }
    }

    /// Accepts a video as `ingest` does.
    async fn accept(&mut self, key: &str) -> Job {
        let tenant = TenantId::default_tenant();
        let job = Job::new(&tenant, VideoId::from_idempotency_key(&tenant, key), Lane::Express, Options::default());
        let blob_key = blob::key(&tenant, job.video(), Kind::Source, "original");
        let source = pipeline::event::BlobRef { key: blob_key.clone(), bytes: 9 };
        let new = NewVideo {
            job: job.clone(),
            source: VideoSource::Upload(source),
            name: key.to_owned(),
            created_at: at(0),
            request_hash: format!("hash of {key}"),
        };
        self.live.store.create_video(&new).await.unwrap();
        let created = Created {
            name: new.name,
            source: "upload".to_owned(),
            bytes: 9,
            source_key: blob_key,
            request_hash: new.request_hash,
        };
        self.happens(&job, 0, Happened::Created(created)).await;
        self.live.store.mark_published(&tenant, job.video()).await.unwrap();
        job
    }

    /// Publishes an event, which `record` writes.
    async fn happens(&mut self, job: &Job, second: i64, what: Happened) {
        let event = VideoEvent::new(job, at(second), what);
        let offset = self.topics.events.len() as i64;
        record::write(&self.live.store, event.clone(), offset).await.unwrap();
        self.topics.events.push(event);
    }

    async fn done(&mut self, job: &Job, stage: StageName, unit: &str) {
        let done = UnitDone { stage: stage as i32, unit: unit.to_owned(), attempt: 1, ..UnitDone::default() };
        self.happens(job, 1, Happened::UnitDone(done)).await;
    }

    async fn ends(&mut self, job: &Job, state: EndState) {
        let ended = Ended { state: state as i32, completeness: 1.0, ..Ended::default() };
        self.happens(job, 2, Happened::Ended(ended)).await;
    }

    /// Makes the other store from the topics.
    async fn rebuild(&self) {
        for event in &self.topics.events {
            self.lost.request(&event.encode_to_vec()).await.unwrap();
        }
        for (offset, event) in self.topics.events.iter().enumerate() {
            self.lost.event(&event.encode_to_vec(), offset as i64).await.unwrap();
        }
        let source = |offset: usize| Source { partition: 0, offset: offset as i64 };
        for (offset, report) in self.topics.segments.iter().enumerate() {
            self.lost.segment(&report.encode_to_vec(), source(offset)).await.unwrap();
        }
        for (offset, report) in self.topics.clips.iter().enumerate() {
            self.lost.clip(&report.encode_to_vec(), source(offset)).await.unwrap();
        }
    }

    fn anew(&self) -> &SharedStore {
        &self.lost.services.store
    }
}

#[tokio::test]
async fn store_comes_back_row_by_row_however_often_it_is_made() {
    let mut rig = Rig::new();
    let (done, failed, cancelled) =
        (rig.accept("done").await, rig.accept("failed").await, rig.accept("cancelled").await);
    let (deleted, open) = (rig.accept("deleted").await, rig.accept("open").await);
    for job in [&done, &failed, &cancelled, &deleted, &open] {
        rig.done(job, StageName::Fetch, "video").await;
    }
    let clip = Clip { id: ClipId::derive(done.video(), 0, 5).to_string(), end_us: 5, ..Clip::default() };
    rig.happens(&done, 1, Happened::ClipReady(clip)).await;
    rig.ends(&done, EndState::Done).await;
    rig.ends(&failed, EndState::Failed).await;
    // Cancelled by `ingest` at once, and told after its end, which came too late, was told.
    let live = rig.live.store.clone();
    assert!(live.cancel_video(&cancelled.tenant(), cancelled.video(), at(3)).await.unwrap());
    rig.ends(&cancelled, EndState::Partial).await;
    rig.happens(&cancelled, 3, Happened::Cancelled(true)).await;
    assert!(live.cancel_video(&deleted.tenant(), deleted.video(), at(3)).await.unwrap());
    rig.happens(&deleted, 3, Happened::Cancelled(true)).await;
    rig.happens(&deleted, 3, Happened::Deleted(true)).await;
    let expected = rows(&live, 1, &[deleted.video()]).await;
    for _ in 0..2 {
        rig.rebuild().await;
        compare(&rows(rig.anew(), 1, &[deleted.video()]).await, &expected);
        assert!(rig.anew().log_after(&deleted.tenant(), deleted.video(), None, 9).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn units_that_have_their_answer_are_not_done_again() {
    let mut rig = Rig::new();
    let job = rig.accept("claims").await;
    rig.done(&job, StageName::Fetch, "video").await;
    let stage = StageName::Analyze as i32;
    let failed = UnitFailed { stage, unit: "video/0".to_owned(), ..UnitFailed::default() };
    rig.happens(&job, 2, Happened::UnitFailed(failed)).await;
    for attempt in 1..=2 {
        let retried = UnitRetried { stage, unit: "video/1".to_owned(), attempt, ..UnitRetried::default() };
        rig.happens(&job, 3, Happened::UnitRetried(retried)).await;
    }
    rig.rebuild().await;
    rig.rebuild().await;
    let claim = async |stage: StageName, unit: &str| {
        let unit = UnitId::derive(stage.as_str(), &job.tenant(), job.video(), unit);
        rig.anew().claim(unit, "worker", Timestamp::now(), Duration::from_secs(30)).await.unwrap()
    };
    assert_eq!(claim(StageName::Fetch, "video").await, Claim::Finished);
    assert_eq!(claim(StageName::Analyze, "video/0").await, Claim::Finished, "it was given up");
    match claim(StageName::Analyze, "video/1").await {
        Claim::Granted { failures, suspect, .. } => assert_eq!((failures, suspect), (2, false)),
        other => panic!("not granted: {other:?}"),
    }
}

#[tokio::test]
async fn gatherings_come_back_and_say_again_what_may_be_lost() {
    let mut rig = Rig::new();
    let job = rig.accept("gathered").await;
    let total = |audio| SegmentReport {
        job: job.clone(),
        window: 0,
        kind: Some(SegmentReportKind::Total(SegmentTotal { audio, last: true, ..SegmentTotal::default() })),
    };
    let done = |index| SegmentReport::done(&job, 0, SegmentKind::Audio, index, Payload::default());
    rig.topics.segments = vec![total(2), done(0)];
    let clip = ClipReport { job: job.clone(), kind: Some(ClipReportKind::Done("a".to_owned())) };
    rig.topics.clips = vec![clip];
    rig.rebuild().await;
    assert_eq!(rig.said.take(), []);
    let (tenant, video) = (job.tenant(), job.video());
    assert_eq!(rig.anew().gathered_count(Gatherer::Join, &tenant, video, 0).await.unwrap(), 2);
    assert_eq!(rig.anew().open_gathers(Gatherer::Deliver, 0, 9).await.unwrap().len(), 1);

    rig.topics.segments.push(done(1));
    rig.rebuild().await;
    let said: Vec<Topic> = rig.said.take().iter().map(|envelope: &Envelope| envelope.topic).collect();
    assert_eq!(said, [Topic::VideoEvent, Topic::WindowGathered], "join may have died before it said so");
}

#[tokio::test]
async fn bytes_of_which_no_event_tells_are_named_and_older_events_find_theirs() {
    let mut rig = Rig::new();
    let job = rig.accept("old").await;
    let blobs = rig.lost.services.carrier.blobs().clone();
    let (tenant, unknown) = (TenantId::default_tenant(), VideoId::random());
    for video in [unknown, job.video()] {
        blobs.put(&blob::key(&tenant, video, Kind::Source, "original"), "bytes".into()).await.unwrap();
    }
    if let Some(Happened::Created(created)) = &mut rig.topics.events[0].happened {
        created.source_key.clear();
    }
    rig.rebuild().await;
    assert_eq!(rig.lost.unknown_blobs().await.unwrap(), [(tenant.clone(), unknown)]);
    let video = rig.anew().video(&tenant, job.video()).await.unwrap().expect("a video");
    let expected = blob::key(&tenant, job.video(), Kind::Source, "original");
    assert!(matches!(video.new.source, VideoSource::Upload(blob) if blob.key == expected));
}
