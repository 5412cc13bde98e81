//! Messages keep their meaning: the bytes that older versions left in the topics still read as what they said.
//!
//! `messages.txt` holds one message a line, name and hex. Lines are added, never changed: a field that is new is
//! shown by a further line, and the old ones prove that readers do without it.

use std::collections::BTreeMap;

use pipeline::event::{
    Aspect, AudioSegment, BlobRef, Captions, Clip, ClipPlanned, ClipReport, ClipReportKind, ClipTotal, Created, Edge,
    EndState, Ended, Event, Face, Frame, Framing, Happened, Job, Keyframe, LaneDone, Loudness, MediaInfo, Options,
    Payload, Place, Reason, Reopened, Replay, SegmentAnalysis, SegmentKind, SegmentReport, SegmentReportKind,
    SegmentTotal, SegmentTranscript, StageTotal, SystemState, UnitDone, UnitFailed, UnitFailure, UnitInHand,
    UnitRetried, VideoEvent, VideoReady, VideoSegment, VideoSource, VideoSubmitted, WindowGathered, Word,
    WorkerCommand, WorkerOrder, WorkerReport, WorkerState, video_failed,
};
use pipeline::failure::Code;
use pipeline::id::TenantId;
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use prost::Message;

const KEPT: &str = include_str!("messages.txt");

#[test]
fn messages_of_older_versions_still_read() {
    let kept: BTreeMap<&str, &str> = KEPT.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut missing = String::new();
    for (name, bytes, reads_as_itself) in samples() {
        match kept.get(name) {
            None => missing += &format!("{name} {}\n", hex(&bytes)),
            Some(old) => {
                assert_eq!(hex(&bytes), *old, "{name} is written differently");
                assert!(reads_as_itself, "{name} does not read as what was written");
            }
        }
    }
    assert!(missing.is_empty(), "add these lines to messages.txt:\n{missing}");
}

#[test]
fn a_message_with_a_wrong_id_is_refused() {
    let bytes = VideoSubmitted::default().encode_to_vec();
    assert!(VideoSubmitted::read(&bytes).is_err());
}

/// Returns name, bytes, and whether the bytes read as the same message.
fn samples() -> Vec<(&'static str, Vec<u8>, bool)> {
    let mut samples = whole_videos();
    samples.extend(segments());
    samples.extend(findings());
    samples.extend(clips());
    samples.extend(happenings());
    samples.extend(every_field());
    samples.extend(workers());
    samples
}

fn sample<M: Message + Default + PartialEq>(name: &'static str, message: &M) -> (&'static str, Vec<u8>, bool) {
    let bytes = message.encode_to_vec();
    let same = M::decode(&*bytes).is_ok_and(|read| read == *message);
    (name, bytes, same)
}

fn whole_videos() -> Vec<(&'static str, Vec<u8>, bool)> {
    let upload = VideoSubmitted { job: job(), source: Some(VideoSource::Upload(blob())) };
    let url = VideoSubmitted { source: Some(VideoSource::Url("https://example.com/a.mp4".into())), ..upload.clone() };
    let ready = VideoReady { job: job(), source: blob(), media: media() };
    vec![sample("submitted-upload", &upload), sample("submitted-url", &url), sample("ready", &ready)]
}

fn segments() -> Vec<(&'static str, Vec<u8>, bool)> {
    let inline = Payload { place: Some(Place::Inline(vec![1, 2, 3].into())) };
    let stored = Payload { place: Some(Place::Blob(blob())) };
    let audio = AudioSegment { job: job(), index: 1, window: 2, start_us: 3, end_us: 4, samples: inline.clone() };
    let video = VideoSegment {
        job: job(),
        index: 1,
        window: 2,
        start_us: 3,
        end_us: 4,
        media: media(),
        file: stored,
        demuxer: "nut".into(),
    };
    let total = SegmentTotal {
        audio: 2,
        video: 10,
        last: true,
        end_us: 60,
        media: media(),
        source: blob(),
        ..SegmentTotal::default()
    };
    let report = SegmentReport { job: job(), window: 0, kind: Some(SegmentReportKind::Total(total.clone())) };
    let opened = SegmentTotal { reopened_by: vec!["transcribe/0/7".into()], ..total.clone() };
    let opened = SegmentReport { job: job(), window: 0, kind: Some(SegmentReportKind::Total(opened)) };
    let replayed = SegmentReport { job: job(), window: 0, kind: Some(SegmentReportKind::Replayed(replay())) };
    let done = SegmentReport::done(&job(), 0, SegmentKind::Video, 7, inline);
    let failed = SegmentReport::failed(&job(), 0, SegmentKind::Audio, 7, (1, 2), Code::Stuck);
    let gathered = WindowGathered { job: job(), window: 0, total, completeness: 0.93 };
    vec![
        sample("audio-segment", &audio),
        sample("video-segment", &video),
        sample("segment-total", &report),
        sample("segment-total-again", &opened),
        sample("segment-replayed", &replayed),
        sample("segment-done", &done),
        sample("segment-failed", &failed),
        sample("window-gathered", &gathered),
    ]
}

fn findings() -> Vec<(&'static str, Vec<u8>, bool)> {
    let loudness = Loudness { step_us: 100_000, dbfs: vec![-20.0, -100.0] };
    let transcript = SegmentTranscript {
        start_us: 0,
        end_us: 9,
        words: vec![word()],
        loudness,
        speech_us: vec![0, 9],
        transcriber: "pocketsphinx".into(),
    };
    let frame = Frame { at_us: 1, change: 0.5, change_over_two: 0.25, brightness: 0.75, ..Frame::default() };
    let face = Face { at_us: 1, x: 2.0, y: 3.0, width: 4.0, height: 5.0, score: 0.5, mouth_motion: 0.25 };
    let analysis = SegmentAnalysis {
        start_us: 0,
        end_us: 9,
        frames: vec![frame],
        faces: vec![face],
        looked_us: vec![1],
        ..SegmentAnalysis::default()
    };
    vec![sample("transcript", &transcript), sample("analysis", &analysis)]
}

fn clips() -> Vec<(&'static str, Vec<u8>, bool)> {
    let planned = ClipPlanned { job: job(), source: blob(), media: media(), clip: clip() };
    let done = ClipReport { job: job(), kind: Some(ClipReportKind::Done(clip().id)) };
    let total = ClipTotal { last: true, clips: 3, completeness: 1.0, length_us: 60, ..ClipTotal::default() };
    let again = ClipTotal { clips: 1, planned: vec![clip().id], round: 1, given_up: true, ..total.clone() };
    let [total, again] =
        [total, again].map(|total| ClipReport { job: job(), kind: Some(ClipReportKind::Total(total)) });
    let reopened = Reopened { replay: replay(), window: Some(0), round: 1 };
    let reopened = ClipReport { job: job(), kind: Some(ClipReportKind::Reopened(reopened)) };
    let failed = video_failed(&job(), StageName::Fetch, Code::NotAVideo, "no container");
    vec![
        sample("clip-planned", &planned),
        sample("clip-done", &done),
        sample("clip-total", &total),
        sample("clip-total-again", &again),
        sample("clip-reopened", &reopened),
        sample("video-failed", &failed),
    ]
}

fn happenings() -> Vec<(&'static str, Vec<u8>, bool)> {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let created = Created { name: "talk.mp4".into(), source: "upload".into(), bytes: 9, ..Created::default() };
    let keyed = Created { source_key: blob().key, request_hash: "9f".into(), ..created.clone() };
    let planned = StageTotal { stage: StageName::Cut as i32, total: 1, window: 0, clips: vec![clip().id], round: 1 };
    let failed = UnitFailed {
        stage: StageName::Cut as i32,
        unit: "clip/1".into(),
        code: "stuck".into(),
        detail: "d".into(),
        letter: "cut/0/7".into(),
        ..UnitFailed::default()
    };
    let failed_told = UnitFailed { started_ms: 9, worker: "cut-1".into(), attempts: 5, ..failed.clone() };
    let retried = UnitRetried {
        stage: 6,
        unit: "clip/1".into(),
        attempt: 1,
        error: "e".into(),
        letter: "cut/0/7".into(),
        ..UnitRetried::default()
    };
    let told = UnitRetried { started_ms: 9, worker: "cut-1".into(), ..retried.clone() };
    let unit = UnitDone {
        stage: StageName::Cut as i32,
        unit: "clip/1".into(),
        worker: "w".into(),
        attempt: 1,
        queued_ms: 1,
        started_ms: 2,
        finished_ms: 3,
    };
    let ended = Ended { state: EndState::Partial as i32, completeness: 0.5, ..Ended::default() };
    let ended_again = Ended { round: 1, ..ended.clone() };
    let worker = WorkerReport { worker: "w".into(), stage: StageName::Cut as i32, slots: 2, ..WorkerReport::default() };
    vec![
        sample("happened-created", &VideoEvent::new(&job(), at, Happened::Created(created))),
        sample("happened-unit-done", &VideoEvent::new(&job(), at, Happened::UnitDone(unit))),
        sample("happened-clip-ready", &VideoEvent::new(&job(), at, Happened::ClipReady(clip()))),
        sample("happened-ended", &VideoEvent::new(&job(), at, Happened::Ended(ended))),
        sample("happened-created-keyed", &VideoEvent::new(&job(), at, Happened::Created(keyed))),
        sample("happened-planned", &VideoEvent::new(&job(), at, Happened::Total(planned))),
        sample("happened-unit-failed", &VideoEvent::new(&job(), at, Happened::UnitFailed(failed))),
        sample("happened-unit-failed-told", &VideoEvent::new(&job(), at, Happened::UnitFailed(failed_told))),
        sample("happened-unit-retried", &VideoEvent::new(&job(), at, Happened::UnitRetried(retried))),
        sample("happened-unit-retried-told", &VideoEvent::new(&job(), at, Happened::UnitRetried(told))),
        sample("happened-ended-again", &VideoEvent::new(&job(), at, Happened::Ended(ended_again))),
        sample("happened-replayed", &VideoEvent::new(&job(), at, Happened::Replayed(replay()))),
        sample("happened-reopened", &VideoEvent::new(&job(), at, Happened::Reopened(replay()))),
        sample("happened-deleted", &VideoEvent::new(&job(), at, Happened::Deleted(true))),
        sample("happened-cancelled", &VideoEvent::new(&job(), at, Happened::Cancelled(true))),
        sample("worker-report", &worker),
    ]
}

/// Messages of which the others show only a part.
fn every_field() -> Vec<(&'static str, Vec<u8>, bool)> {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let options = Options {
        clips: 5,
        min_clip_ms: 4000,
        max_clip_ms: 9000,
        aspect: Aspect::Square as i32,
        height: 720,
        captions: Captions::Burn as i32,
        early: true,
        language: "de".into(),
        priority: true,
        callback_url: Some("https://example.com/done".into()),
    };
    let mut job_with_options = job();
    job_with_options.options = options;
    let asked = VideoSubmitted { job: job_with_options, source: Some(VideoSource::Upload(blob())) };
    let mut lowered = job();
    (lowered.degraded, lowered.lanes_lower) = (true, 2);
    let lowered = VideoSubmitted { job: lowered, source: Some(VideoSource::Upload(blob())) };
    let degraded = Clip { degraded: true, ..clip() };
    let framed = Clip { frame: Some(blob()), ..clip() };
    let system = SystemState {
        process: "ingest-1".into(),
        at_ms: 9,
        degraded: true,
        since_ms: 8,
        reasons: vec!["231 videos have not ended, 200 degrade the service".into()],
        refusing: "7 bytes of disk are free".into(),
        unfinished_videos: 231,
        unfinished_limit: 200,
        memory_bytes: 5,
        memory_limit_bytes: 6,
        disk_free_bytes: 7,
        outside_failures: 4,
        ..SystemState::default()
    };
    let uploads = SystemState { uploads_begun_total: 7, uploads_ended_total: 5, ..SystemState::default() };
    let edge = Edge { thumbnails: vec![vec![1, 2].into(), vec![3].into()] };
    let frame = Frame { at_us: 1, change_over_six: 0.5, blend: 0.25, ..Frame::default() };
    let (head, tail) = (edge.clone(), edge);
    let edges = SegmentAnalysis { frames: vec![frame], head, tail, ..SegmentAnalysis::default() };
    let failure = UnitFailure {
        unit: clip().id,
        stage: StageName::Cut as i32,
        code: "output_invalid".into(),
        detail: "a black frame".into(),
    };
    let failed = ClipReport { job: job(), kind: Some(ClipReportKind::Failed(failure)) };
    vec![
        sample("submitted-with-options", &asked),
        sample("analysis-edges", &edges),
        sample("clip-failed", &failed),
        sample("happened-ready", &VideoEvent::new(&job(), at, Happened::Ready(media()))),
        sample("happened-analyzed", &VideoEvent::new(&job(), at, Happened::Analyzed(blob()))),
        sample("submitted-degraded", &lowered),
        sample("happened-clip-degraded", &VideoEvent::new(&job(), at, Happened::ClipReady(degraded))),
        sample("happened-clip-framed", &VideoEvent::new(&job(), at, Happened::ClipReady(framed))),
        sample("system-state", &system),
        sample("system-state-uploads", &uploads),
    ]
}

/// What workers say of themselves, and what they are told.
fn workers() -> Vec<(&'static str, Vec<u8>, bool)> {
    let outside = WorkerReport { outside_failures: 10, ..WorkerReport::default() };
    let command =
        WorkerCommand { worker: "cut-1".into(), what: WorkerOrder::Drain as i32, at_ms: 9, by: "somebody".into() };
    let quota = WorkerReport { outside_quota_left: Some(100.0), ..WorkerReport::default() };
    let paused = WorkerReport { state: WorkerState::Paused as i32, paused_for: "the store".into(), ..quota.clone() };
    let of_lane =
        LaneDone { lane: Lane::Batch as i32, done_total: 2, busy_seconds_total: 1.5, work_media_s_total: 12.0 };
    let lanes = WorkerReport { done_of: vec![of_lane], ..WorkerReport::default() };
    let in_hand = UnitInHand { video: "v".into(), unit: "clip/1".into(), lane: Lane::Batch as i32, age_ms: 7 };
    let busy = WorkerReport { units: vec![in_hand], busy: 1, queued: 2, pid: 3, ..WorkerReport::default() };
    let used =
        WorkerReport { outside_quota_used: Some(0), outside_quota_limit: Some(3000.0), ..WorkerReport::default() };
    vec![
        sample("worker-report-quota-used", &used),
        sample("worker-report-in-hand", &busy),
        sample("worker-report-outside", &outside),
        sample("worker-command", &command),
        sample("worker-report-quota", &quota),
        sample("worker-report-paused", &paused),
        sample("worker-report-lanes", &lanes),
    ]
}

fn job() -> Job {
    let video = "6f2c1f0e-0a1b-4c2d-8e3f-000000000001".parse().unwrap();
    Job::new(&TenantId::default_tenant(), video, Lane::Express, Options::default())
}

fn blob() -> BlobRef {
    BlobRef { key: "default/v/source/original".into(), bytes: 9 }
}

fn media() -> MediaInfo {
    MediaInfo {
        demuxer: "mov".into(),
        duration_us: 60,
        width: 1280,
        height: 720,
        audio_stream: Some(1),
        ..MediaInfo::default()
    }
}

fn replay() -> Replay {
    Replay { stage: StageName::Transcribe as i32, unit: "audio/0".into(), letter: "transcribe/0/7".into() }
}

fn word() -> Word {
    Word { start_us: 1, end_us: 2, text: "what".into(), confidence: 0.5 }
}

fn clip() -> Clip {
    let corner = Keyframe { at_us: 1, x: 2.0, y: 3.0 };
    let framing =
        Framing { start_us: 1, end_us: 2, width: 405.0, height: 720.0, keyframes: vec![corner], ..Framing::default() };
    let reason =
        Reason { name: "speech".into(), value: 0.9, contribution: 0.3, text: "speech fills 90 % of it".into() };
    Clip {
        id: "6f2c1f0e-0a1b-5c2d-8e3f-000000000002".into(),
        start_us: 1,
        end_us: 2,
        score: 0.5,
        reasons: vec![reason],
        framings: vec![framing],
        words: vec![word()],
        video: Some(blob()),
        ..Clip::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
