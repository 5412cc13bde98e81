use pipeline::blob::{Blobs, Location};
use pipeline::event::{
    ClipPlanned, ClipReport, ClipReportKind, Options, SegmentReport, SegmentReportKind, VideoReady, VideoSegment,
    VideoSource, VideoSubmitted, WindowGathered,
};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;

use super::*;
use crate::spec::Basis;
use crate::token::Token;

fn ground(folder: &std::path::Path) -> Ground {
    let blobs = Blobs::open(&Location::Folder(folder.to_owned())).unwrap();
    let spec = Spec { seed: 1, time_scale: 100_000.0, basis: Basis::Measured, startup_s: 0.0 };
    Ground::new(spec, Carrier::new(blobs, 1 << 20))
}

fn job() -> Job {
    Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Standard, Options::default())
}

/// Lets a stage work on `input` and returns what it said.
async fn said<S: Stage<Out = Said>>(stage: &S, input: S::In) -> Vec<Envelope> {
    let (out, collected) = Collected::outbox();
    stage.process(input, &out).await.unwrap();
    collected.take()
}

fn of<E: Event>(said: &[Envelope]) -> Vec<E> {
    let bodies = said.iter().filter(|envelope| envelope.topic == E::TOPIC).map(|envelope| &envelope.body);
    bodies.map(|body| E::read(body).unwrap()).collect()
}

#[tokio::test]
async fn a_video_goes_all_the_way_to_its_clips() {
    let folder = tempfile::tempdir().unwrap();
    let ground = ground(folder.path());
    let job = job();
    let upload = Token { length_s: 130.0 }.upload(200);
    let key = pipeline::blob::key(&job.tenant(), job.video(), pipeline::blob::Kind::Source, "s");
    let source = ground.carrier.blobs().put(&key, upload).await.unwrap();
    let submitted = VideoSubmitted { job: job.clone(), source: Some(VideoSource::Upload(source.clone())) };

    let fetched = said(&Fetch::new(ground.clone()).unwrap(), submitted).await;
    let [ready] = &of::<VideoReady>(&fetched)[..] else { panic!("{fetched:?}") };
    assert_eq!((ready.media.duration_us, ready.job.lane()), (130_000_000, Lane::Express));

    let split = said(&Split, ready.clone()).await;
    let segments: Vec<VideoSegment> = of(&split);
    assert_eq!((segments.len(), segments[2].end_us), (3, 130_000_000));
    let reports: Vec<SegmentReport> = of(&split);
    let Some(SegmentReportKind::Total(total)) = reports[0].kind.clone() else { panic!("{reports:?}") };
    assert_eq!((total.video, total.audio, total.last), (3, 2, true));

    let analyzed = said(&Analyze(ground.clone()), segments[1].clone()).await;
    let [report] = &of::<SegmentReport>(&analyzed)[..] else { panic!("{analyzed:?}") };
    assert_eq!(report.unit_key(), "video/1");

    let gathered = WindowGathered { job: ready.job.clone(), window: 0, total, completeness: 1.0 };
    let planned = said(&Moments(ground.clone()), gathered).await;
    let clips: Vec<ClipPlanned> = of(&planned);
    let [total] = &of::<ClipReport>(&planned)[..] else { panic!("{planned:?}") };
    let Some(ClipReportKind::Total(total)) = &total.kind else { panic!("{total:?}") };
    assert_eq!(total.planned, clips.iter().map(|planned| planned.clip.id.clone()).collect::<Vec<_>>());

    let cut = said(&Cut(ground), clips[0].clone()).await;
    assert_eq!(of::<ClipReport>(&cut)[0].kind, Some(ClipReportKind::Done(clips[0].clip.id.clone())));
    assert!(cut.iter().any(|envelope| envelope.topic == Topic::VideoEvent));
}

#[tokio::test]
async fn what_no_load_test_sent_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let ground = ground(folder.path());
    let job = job();
    let key = pipeline::blob::key(&job.tenant(), job.video(), pipeline::blob::Kind::Source, "s");
    let source = ground.carrier.blobs().put(&key, "\0\0\0\x18ftypmp42".into()).await.unwrap();
    let (out, _) = Collected::outbox();
    let input = VideoSubmitted { job, source: Some(VideoSource::Upload(source)) };
    let failed = Fetch::new(ground).unwrap().process(input, &out).await;
    assert!(matches!(failed, Err(Failure::Reject { code: Code::NotAVideo, .. })), "{failed:?}");
}
