//! `moments` reads what was gathered from a real store and blob folder, and says what it plans.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use pipeline::blob::{self, Blobs, Error, Kind, Location};
use pipeline::event::{
    BlobRef, ClipPlanned, ClipReport, ClipReportKind, Edge, Envelope, Event, Face, Frame, Happened, Job, Loudness,
    MediaInfo, Options, SegmentAnalysis, SegmentKind, SegmentReport, SegmentTotal, SegmentTranscript, VideoEvent,
    WindowGathered, Word,
};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::stage::{Stage, StageName};
use pipeline::store::{Gatherer, open_file};
use pipeline::topic::Topic;
use processors::moments::{Moments, MomentsArgs, Out};
use processors::services::Services;
use prost::Message;

use crate::material::TakenOver;

const SEGMENT_US: i64 = 6_000_000;
const FRAME_US: i64 = 40_000;
const SENTENCE: &str = "why do the planets move around the sun in such a quiet way";

/// A folder with a store and blobs, and the stage on them. Small pages and payloads, so that both ways are used.
struct Rig {
    _folder: tempfile::TempDir,
    services: Services,
    stage: Moments,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open_file(&folder.path().join("store.db")).expect("a store");
        let blobs = Blobs::open(&Location::Folder(folder.path().join("blobs"))).expect("blobs");
        let runtime = Runtime::new(&RuntimeArgs { runtime: Some(Path::new("none").into()) });
        let services = Services { store, carrier: Carrier::new(blobs, 4096), runtime };
        let stage = Moments::new(services.clone(), MomentsArgs { page_results: 3 }).expect("the stage");
        Self { _folder: folder, services, stage }
    }

    /// Writes `reports` as `join` does.
    async fn gather(&self, reports: &[SegmentReport]) {
        for report in reports {
            let (tenant, video) = (report.job.tenant(), report.job.video());
            let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(30);
            let body = report.encode_to_vec();
            let item = report.unit_key();
            let store = &self.services.store;
            let open = store.gather(Gatherer::Join, &tenant, video, report.window, 0, deadline, &item, &body).await;
            assert!(open.expect("gathered"));
        }
    }

    async fn plan(&self, input: &WindowGathered) -> Result<Vec<Envelope>, Failure> {
        let (outbox, collected) = Collected::outbox::<Out>();
        self.stage.process(input.clone(), &outbox).await?;
        Ok(collected.take())
    }

    async fn report(&self, job: &Job, segment: SegmentKind, index: u32, result: Vec<u8>) -> SegmentReport {
        let key = format!("{}/{}/result/{}-{index}", job.tenant(), job.video(), segment.as_str());
        let payload = self.services.carrier.pack(&key, Bytes::from(result)).await.expect("packed");
        SegmentReport::done(job, 0, segment, index, payload)
    }

    /// Everything that workers say of a talk of `segments` pieces.
    async fn talk(&self, job: &Job, segments: u32) -> Vec<SegmentReport> {
        let mut reports = Vec::new();
        for index in 0..segments {
            let seen = seen(index).encode_to_vec();
            reports.push(self.report(job, SegmentKind::Video, index, seen).await);
            let heard = heard(index).encode_to_vec();
            reports.push(self.report(job, SegmentKind::Audio, index, heard).await);
        }
        reports
    }
}

fn job(options: Options) -> Job {
    let tenant = TenantId::default_tenant();
    Job::new(&tenant, VideoId::from_idempotency_key(&tenant, "talk"), Lane::Express, options)
}

fn window(job: &Job, segments: u32) -> WindowGathered {
    let end_us = i64::from(segments) * SEGMENT_US;
    let media = MediaInfo { duration_us: end_us, width: 1280, height: 720, frame_rate: 25.0, ..Default::default() };
    let source = BlobRef { key: "default/talk/source/talk.mp4".into(), bytes: 1 };
    let total =
        SegmentTotal { audio: segments, video: segments, last: true, end_us, media, source, ..SegmentTotal::default() };
    WindowGathered { job: job.clone(), window: 0, total, completeness: 1.0 }
}

/// A sentence and a pause.
fn heard(index: u32) -> SegmentTranscript {
    let start_us = i64::from(index) * SEGMENT_US;
    let word = |(place, text): (usize, &str)| {
        let start_us = start_us + 500_000 + place as i64 * 380_000;
        Word { start_us, end_us: start_us + 340_000, text: text.to_owned(), confidence: 0.9 }
    };
    let words: Vec<Word> = SENTENCE.split(' ').enumerate().map(word).collect();
    let speech_us = vec![start_us + 500_000, words[words.len() - 1].end_us];
    let loudness = Loudness { step_us: 100_000, dbfs: vec![-25.0; 60] };
    SegmentTranscript {
        start_us,
        end_us: start_us + SEGMENT_US,
        words,
        loudness,
        speech_us,
        transcriber: "test".into(),
    }
}

/// Somebody at the right who sways a little and speaks; one take over all segments.
fn seen(index: u32) -> SegmentAnalysis {
    let start_us = i64::from(index) * SEGMENT_US;
    let end_us = start_us + SEGMENT_US;
    let frame = |at_us: i64| {
        let change = if at_us == start_us { 0.0 } else { 0.01 };
        Frame { at_us, change, change_over_two: change, brightness: 0.4, ..Default::default() }
    };
    let looked_us: Vec<i64> = (start_us..end_us).step_by(200_000).collect();
    let face = |at_us: &i64| {
        let x = 900.0 + 20.0 * (*at_us as f32 / 700_000.0).sin();
        Face { at_us: *at_us, x, y: 150.0, width: 130.0, height: 170.0, score: 0.95, mouth_motion: 0.1 }
    };
    let picture = |shade: u8| Bytes::from(vec![shade; 1728]);
    let edge = || Edge { thumbnails: vec![picture(90), picture(90), picture(90)] };
    SegmentAnalysis {
        start_us,
        end_us,
        frames: (start_us..end_us).step_by(FRAME_US as usize).map(frame).collect(),
        faces: looked_us.iter().map(face).collect(),
        looked_us,
        head: edge(),
        tail: edge(),
    }
}

fn of<E: Event>(said: &[Envelope]) -> Vec<E> {
    said.iter().filter(|e| e.topic == E::TOPIC).map(|e| E::read(&e.body).expect("a message")).collect()
}

#[tokio::test]
async fn a_gathered_talk_becomes_clips_a_total_and_an_analysis() {
    let rig = Rig::new();
    let job = job(Options::default());
    rig.gather(&rig.talk(&job, 15).await).await;
    let said = rig.plan(&window(&job, 15)).await.unwrap();

    let clips: Vec<ClipPlanned> = of(&said);
    assert_eq!(clips.len(), 3);
    for planned in &clips {
        let clip = &planned.clip;
        assert!((10_000_000..=30_000_000).contains(&(clip.end_us - clip.start_us)), "{clip:?}");
        assert!(clip.transcript().starts_with("why do") && clip.transcript().ends_with("quiet way"), "{clip:?}");
        assert_eq!(planned.source.key, "default/talk/source/talk.mp4");
        assert_eq!(clip.framings.iter().map(|f| f.mode().as_str()).collect::<Vec<_>>(), ["still"], "{clip:?}");
        let (x, _) = clip.framings[0].corner(clip.start_us);
        assert!((700.0..840.0).contains(&x), "the face at 900 to 1050 is inside 405 pixels from {x}");
    }
    let reports: Vec<ClipReport> = of(&said);
    let [ClipReport { kind: Some(ClipReportKind::Total(total)), .. }] = reports.as_slice() else {
        panic!("one total: {reports:?}");
    };
    assert_eq!((total.clips, total.last, total.completeness, total.length_us), (3, true, 1.0, 90_000_000));

    let events: Vec<VideoEvent> = of(&said);
    let happened: Vec<Happened> = events.into_iter().filter_map(|e| e.happened).collect();
    let [Happened::Analyzed(analyzed), Happened::Total(cut)] = happened.as_slice() else { panic!("{happened:?}") };
    assert_eq!((cut.stage(), cut.total, cut.window), (StageName::Cut, 3, 0));
    let json = rig.services.carrier.blobs().get(&analyzed.key).await.unwrap();
    assert!(analyzed.key.ends_with("/analysis/window-0.json"), "{}", analyzed.key);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["words"].as_array().map(Vec::len), Some(15 * 13));
    assert_eq!((&json["words"][0]["start_s"], &json["words"][0]["text"]), (&0.5.into(), &"why".into()));
    assert_eq!(json["loudness"]["dbfs"].as_array().map(Vec::len), Some(900));
    assert_eq!(json["tracks"].as_array().map(Vec::len), Some(1), "one face, joined over the segments");
    assert_eq!(json["tracks"][0]["boxes"].as_array().map(Vec::len), Some(450));
    assert_eq!(json["shots"], serde_json::json!([{"start_s": 0.0, "end_s": 90.0}]));
    // What comes last says that the window is done.
    assert_eq!(said.last().map(|e| e.topic), Some(Topic::ClipReady));
}

#[tokio::test]
async fn an_analysis_that_another_worker_has_taken_over_is_not_stored() {
    let rig = Rig::new();
    let job = job(Options::default());
    rig.gather(&rig.talk(&job, 15).await).await;
    let (outbox, said) = Collected::outbox::<Out>();
    let failed = rig.stage.process(window(&job, 15), &outbox.claimed(Arc::new(TakenOver))).await;
    assert!(matches!(failed, Err(Failure::Retry(_))), "{failed:?}");
    assert!(said.take().is_empty());
    let key = blob::key(&job.tenant(), job.video(), Kind::Analysis, "window-0.json");
    let found = rig.services.carrier.blobs().size(&key).await;
    assert!(matches!(found, Err(Error::NotFound)), "{found:?}");
}

#[tokio::test]
async fn order_of_arrival_does_not_change_the_plan() {
    let plans = |reversed: bool| async move {
        let rig = Rig::new();
        let job = job(Options { clips: 5, ..Options::default() });
        let mut reports = rig.talk(&job, 12).await;
        if reversed {
            reports.reverse();
        }
        rig.gather(&reports).await;
        let said = rig.plan(&window(&job, 12)).await.unwrap();
        said.into_iter().filter(|e| e.topic == Topic::ClipPlanned).map(|e| e.body).collect::<Vec<_>>()
    };
    let forth = plans(false).await;
    assert!(!forth.is_empty());
    assert_eq!(forth, plans(true).await);
}

#[tokio::test]
async fn a_lost_segment_is_not_in_any_clip() {
    let rig = Rig::new();
    let job = job(Options::default());
    let mut reports = rig.talk(&job, 12).await;
    reports.retain(|r| r.unit_key() != "video/5");
    reports.push(SegmentReport::failed(&job, 0, SegmentKind::Video, 5, (30_000_000, 36_000_000), Code::Crashed));
    rig.gather(&reports).await;
    let said = rig.plan(&WindowGathered { completeness: 0.96, ..window(&job, 12) }).await.unwrap();
    let clips: Vec<ClipPlanned> = of(&said);
    assert!(!clips.is_empty());
    assert!(clips.iter().all(|c| c.clip.end_us <= 30_000_000 || c.clip.start_us >= 36_000_000), "{clips:?}");
}

#[tokio::test]
async fn a_silent_video_without_faces_still_gives_a_clip() {
    let rig = Rig::new();
    let job = job(Options::default());
    let mut reports = Vec::new();
    for index in 0..5 {
        let bare = SegmentAnalysis { faces: Vec::new(), ..seen(index) };
        reports.push(rig.report(&job, SegmentKind::Video, index, bare.encode_to_vec()).await);
    }
    rig.gather(&reports).await;
    let clips: Vec<ClipPlanned> = of(&rig.plan(&window(&job, 5)).await.unwrap());
    assert!(!clips.is_empty());
    assert!(clips.iter().all(|c| !c.clip.reasons.is_empty()));
}

#[tokio::test]
async fn without_any_picture_the_video_is_rejected() {
    let rig = Rig::new();
    let job = job(Options::default());
    rig.gather(&[rig.report(&job, SegmentKind::Audio, 0, heard(0).encode_to_vec()).await]).await;
    let failure = rig.plan(&window(&job, 1)).await.expect_err("nothing to show");
    assert_eq!(failure.code(), Code::NothingLeft);
    let said = Moments::failed(&window(&job, 1), failure.code(), "nothing");
    let [Out::Report(ClipReport { kind: Some(ClipReportKind::VideoFailed(failed)), .. })] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!((failed.stage(), failed.code.as_str()), (StageName::Moments, "nothing_left"));
}

#[tokio::test]
async fn one_window_of_many_that_fails_leaves_the_others_their_clips() {
    let job = job(Options { early: true, ..Options::default() });
    let mut input = window(&job, 4);
    input.window = 1;
    let said = Moments::failed(&input, Code::Stuck, "no progress");
    let [Out::Report(ClipReport { kind: Some(ClipReportKind::Total(total)), .. })] = said.as_slice() else {
        panic!("{said:?}");
    };
    assert_eq!((total.window, total.clips, total.completeness), (1, 0, 0.0));
}
