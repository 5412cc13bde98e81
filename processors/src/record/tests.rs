use pipeline::event::{Clip, Created, Event, Job, Options, StageTotal, UnitDone, UnitFailed, UnitRetried};
use pipeline::id::{ClipId, TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Collected, Pulse, Source};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use pipeline::event::{EndState, Ended, MediaInfo, Replay};
use pipeline::store::{StageProgress, VideoError};

use super::*;
use crate::join::tests::{accept, services};

fn job() -> Job {
    Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default())
}

fn happened(job: &Job, at_s: i64, what: Happened) -> VideoEvent {
    VideoEvent::new(job, Timestamp::from_second(at_s).expect("a time in range"), what)
}

fn total(stage: StageName, window: u32, total: u32) -> Happened {
    Happened::Total(StageTotal { stage: stage as i32, total, window, ..StageTotal::default() })
}

fn done(stage: StageName, unit: &str) -> Happened {
    Happened::UnitDone(UnitDone { stage: stage as i32, unit: unit.to_owned(), ..UnitDone::default() })
}

fn failed(stage: StageName, unit: &str) -> Happened {
    Happened::UnitFailed(UnitFailed { stage: stage as i32, unit: unit.to_owned(), ..UnitFailed::default() })
}

fn ended(state: EndState, code: &str) -> Happened {
    Happened::Ended(Ended {
        state: state as i32,
        completeness: 0.5,
        code: code.to_owned(),
        stage: Some(6),
        detail: "seen".to_owned(),
        round: 0,
    })
}

fn all(events: &[VideoEvent]) -> VideoState {
    events.iter().fold(VideoState::default(), apply)
}

/// Progress as text: `analyze 2/3 (1 failed)`.
fn progress_text(state: &VideoState) -> Vec<String> {
    let text = |p: &StageProgress| {
        let failed = if p.failed > 0 { format!(" ({} failed)", p.failed) } else { String::new() };
        format!("{} {}/{}{failed}", p.stage, p.done, p.totals.iter().sum::<u32>())
    };
    state.stages.iter().map(text).collect()
}

/// The events of a video with two windows, without its end.
fn whole_way(job: &Job) -> Vec<VideoEvent> {
    let media = MediaInfo { duration_us: 90_500_000, ..MediaInfo::default() };
    let fast = job.in_lane(Lane::Batch);
    let mut events = vec![
        happened(job, 1, Happened::Created(Created::default())),
        happened(job, 2, done(StageName::Fetch, "video")),
        happened(&fast, 3, Happened::Ready(media)),
        happened(&fast, 9, done(StageName::Split, "video")),
    ];
    for window in 0..2 {
        for so_far in [1, 2] {
            events.push(happened(&fast, 4, total(StageName::Analyze, window, so_far)));
        }
        events.push(happened(&fast, 5, total(StageName::Transcribe, window, 1)));
        events.push(happened(&fast, 6, done(StageName::Transcribe, &format!("audio/{window}"))));
        events.push(happened(&fast, 6, done(StageName::Analyze, &format!("video/{}", window * 2))));
        events.push(happened(&fast, 7, failed(StageName::Analyze, &format!("video/{}", window * 2 + 1))));
        events.push(happened(&fast, 8, done(StageName::Moments, &format!("window/{window}"))));
        events.push(happened(&fast, 8, total(StageName::Cut, window, 3)));
        let analysis = BlobRef { key: format!("t/v/analysis/{}", 9 + window), bytes: 1 };
        events.push(happened(&fast, 8, Happened::Analyzed(analysis)));
    }
    let retried = UnitRetried { stage: StageName::Cut as i32, unit: "clip/1".to_owned(), ..UnitRetried::default() };
    events.push(happened(&fast, 9, Happened::UnitRetried(retried)));
    events.push(happened(&fast, 10, done(StageName::Cut, "clip/1")));
    events
}

#[test]
fn progress_is_listed_in_the_order_of_the_flow() {
    let state = all(&whole_way(&job()));
    assert_eq!(
        progress_text(&state),
        ["fetch 1/1", "split 1/1", "transcribe 2/2", "analyze 4/4 (2 failed)", "moments 2/2", "cut 1/6"]
    );
    assert_eq!((state.state, state.lane.as_deref(), state.duration_s), (State::Processing, Some("batch"), Some(90.5)));
    assert_eq!(state.analyses, ["t/v/analysis/9", "t/v/analysis/10"]);
    assert_eq!(state.updated_at, Timestamp::from_second(10).ok());
}

#[test]
fn accepted_video_is_queued_with_one_known_unit() {
    let state = all(&whole_way(&job())[..1]);
    assert_eq!((state.state, progress_text(&state)), (State::Queued, vec!["fetch 0/1".to_owned()]));
}

#[test]
fn end_tells_why_and_is_never_changed_back() {
    let job = job();
    let partial = happened(&job, 20, ended(EndState::Partial, "clip_invalid"));
    let state = all(&[whole_way(&job), vec![partial]].concat());
    let error = VideoError::new(Code::ClipInvalid, StageName::Cut);
    assert_eq!((state.state, state.error.clone(), state.completeness), (State::Partial, Some(error), Some(0.5)));
    assert_eq!(state.ended_at, Timestamp::from_second(20).ok());
    for later in [ended(EndState::Done, ""), Happened::Cancelled(true), done(StageName::Cut, "clip/9")] {
        let after = apply(state.clone(), &happened(&job, 30, later));
        assert_eq!((after.state, after.error, after.ended_at), (State::Partial, state.error.clone(), state.ended_at));
    }
}

#[test]
fn code_of_a_newer_version_is_shown_with_what_was_seen() {
    let state = all(&[happened(&job(), 1, ended(EndState::Failed, "melted"))]);
    let error = state.error.expect("an error");
    assert_eq!((&*error.code, &*error.stage, &*error.message), ("melted", "cut", "seen"));
}

#[test]
fn stages_and_windows_beyond_reason_are_not_counted() {
    let mut unknown = happened(&job(), 1, total(StageName::Analyze, u32::MAX, 1));
    let state = apply(VideoState::default(), &unknown);
    assert!(state.stages.iter().all(|p| p.totals.is_empty()));
    unknown.happened = Some(Happened::UnitDone(UnitDone { stage: 99, ..UnitDone::default() }));
    assert!(apply(VideoState::default(), &unknown).stages.is_empty());
}

fn replay(stage: StageName, unit: &str) -> Replay {
    Replay { stage: stage as i32, unit: unit.to_owned(), letter: format!("{stage}/0/0") }
}

fn planned(round: u32, clips: &[&str]) -> Happened {
    let clips: Vec<String> = clips.iter().map(|id| (*id).to_owned()).collect();
    let (stage, total) = (StageName::Cut as i32, clips.len() as u32);
    Happened::Total(StageTotal { stage, total, window: 0, clips, round })
}

#[test]
fn replayed_unit_reopens_the_end_and_is_counted_once() {
    let job = job();
    let mut events = vec![
        happened(&job, 1, total(StageName::Transcribe, 0, 2)),
        happened(&job, 2, done(StageName::Transcribe, "audio/0")),
        happened(&job, 3, failed(StageName::Transcribe, "audio/1")),
        happened(&job, 4, done(StageName::Join, "window/0")),
        happened(&job, 5, done(StageName::Moments, "window/0")),
        happened(&job, 6, planned(0, &["a", "b"])),
        happened(&job, 7, done(StageName::Cut, "clip/a")),
        happened(&job, 8, done(StageName::Cut, "clip/b")),
        happened(&job, 9, ended(EndState::Partial, "parts_missing")),
        happened(&job, 10, Happened::Replayed(replay(StageName::Transcribe, "audio/1"))),
        happened(&job, 11, Happened::Reopened(replay(StageName::Transcribe, "audio/1"))),
    ];
    let state = all(&events);
    assert_eq!((state.state, state.error, state.completeness, state.ended_at), (State::Processing, None, None, None));
    events.extend([
        happened(&job, 12, done(StageName::Transcribe, "audio/1")),
        happened(&job, 13, done(StageName::Join, "window/0/again/1")),
        happened(&job, 14, done(StageName::Moments, "window/0/again/1")),
        happened(&job, 15, planned(1, &["b", "c"])),
        happened(&job, 16, done(StageName::Cut, "clip/c")),
        happened(&job, 17, ended(EndState::Done, "")),
    ]);
    let state = all(&events);
    assert_eq!((state.state, &state.dropped), (State::Done, &vec!["a".to_owned()]));
    assert_eq!(progress_text(&state), ["transcribe 2/2", "join 1/1", "moments 1/1", "cut 2/2"]);
    // A clip that is not planned any more may be done late; planned again it is the video's again.
    events.push(happened(&job, 18, done(StageName::Cut, "clip/a")));
    assert_eq!(progress_text(&all(&events))[3], "cut 2/2");
    events.push(happened(&job, 19, planned(2, &["a"])));
    let state = all(&events);
    assert_eq!((progress_text(&state)[3].as_str(), state.dropped.len()), ("cut 1/1", 2));
}

#[test]
fn replayed_clip_that_fails_again_is_counted_as_failed_once() {
    let job = job();
    let mut events = vec![
        happened(&job, 1, planned(0, &["a"])),
        happened(&job, 2, failed(StageName::Cut, "clip/a")),
        happened(&job, 3, Happened::Replayed(replay(StageName::Cut, "clip/a"))),
    ];
    assert_eq!(progress_text(&all(&events)), ["cut 0/1"]);
    events.push(happened(&job, 4, failed(StageName::Cut, "clip/a")));
    assert_eq!(progress_text(&all(&events)), ["cut 1/1 (1 failed)"]);
}

#[test]
fn done_and_cancelled_videos_are_not_reopened() {
    let job = job();
    for end in [ended(EndState::Done, ""), Happened::Cancelled(true)] {
        let before = all(&[happened(&job, 1, end)]);
        let after = apply(before.clone(), &happened(&job, 2, Happened::Reopened(replay(StageName::Cut, "clip/a"))));
        assert_eq!((after.state, after.ended_at), (before.state, before.ended_at));
    }
}

proptest! {
    #[test]
    fn any_order_of_events_gives_the_same_counts(shuffled in Just(whole_way(&job())).prop_shuffle()) {
        let mut expected = all(&whole_way(&job()));
        let mut found = all(&shuffled);
        expected.updated_at = None;
        found.updated_at = None;
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn end_holds_wherever_it_comes(at in 0_usize..30, shuffled in Just(whole_way(&job())).prop_shuffle()) {
        let mut events = shuffled;
        let end = happened(&events[0].job, 50, ended(EndState::Done, ""));
        events.insert(at.min(events.len()), end);
        let state = all(&events);
        prop_assert_eq!(state.state, State::Done);
        prop_assert_eq!(progress_text(&state), progress_text(&all(&whole_way(&job()))));
    }
}

/// The stage with a store of its own.
struct Rig {
    record: Record,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        let record = Record::new(services(folder.path()), RecordArgs {}).expect("make the stage");
        Self { record, _folder: folder }
    }

    /// Lets the stage hear `event`, read at `offset`.
    async fn hear(&self, offset: i64, event: &VideoEvent) {
        let pulse = Pulse::new(CancellationToken::new());
        let out = Outbox::new(std::sync::Arc::new(Collected::default()), Source { partition: 0, offset }, pulse);
        self.record.process(event.clone(), &out).await.expect("record an event");
    }

    async fn get(&self, job: &Job) -> Video {
        self.record.store.video(&job.tenant(), job.video()).await.unwrap().expect("a video")
    }

    async fn log(&self, job: &Job) -> Vec<i64> {
        let log = self.record.store.log_after(&job.tenant(), job.video(), None, 999).await.unwrap();
        log.iter().map(|entry| entry.seq).collect()
    }
}

#[tokio::test]
async fn what_happens_is_logged_once_with_state_and_clip() {
    let rig = Rig::new();
    let job = accept(&rig.record.store).await;
    let id = ClipId::derive(job.video(), 0, 5);
    let clip = Clip { id: id.to_string(), end_us: 5, ..Clip::default() };
    let events = [
        happened(&job, 1, done(StageName::Analyze, "video/0")),
        happened(&job, 2, Happened::ClipReady(clip.clone())),
        happened(&job, 3, ended(EndState::Done, "")),
    ];
    for (offset, event) in events.iter().enumerate() {
        rig.hear(offset as i64, event).await;
    }
    // A group whose offsets were lost reads all of it again; a producer that retried wrote it twice.
    for (offset, event) in events.iter().enumerate() {
        rig.hear(offset as i64, event).await;
        rig.hear(100 + offset as i64, event).await;
    }
    assert_eq!(rig.log(&job).await, [0, 1, 2]);
    assert_eq!(rig.record.store.clips(&job.tenant(), job.video()).await.unwrap(), [clip]);
    let video = rig.get(&job).await;
    assert_eq!(video.state(), State::Done);
    assert_eq!(progress_text(&video.state), ["analyze 1/0"]);
}

#[tokio::test]
async fn cancelled_video_does_not_end_otherwise() {
    let rig = Rig::new();
    let job = accept(&rig.record.store).await;
    let at = Timestamp::from_second(5).unwrap();
    assert!(rig.record.store.cancel_video(&job.tenant(), job.video(), at).await.unwrap());
    rig.hear(1, &happened(&job, 6, ended(EndState::Done, ""))).await;
    rig.hear(2, &happened(&job, 7, Happened::Cancelled(true))).await;
    let video = rig.get(&job).await;
    assert_eq!((video.state.state, video.state.ended_at, video.state.completeness), (State::Cancelled, Some(at), None));
    assert_eq!(rig.log(&job).await, [1, 2]);
}

#[tokio::test]
async fn missing_row_is_made_from_the_event() {
    let rig = Rig::new();
    let job = job();
    let source = "https://example.org/talk".to_owned();
    let created = Created { name: "talk".to_owned(), source, ..Created::default() };
    rig.hear(0, &happened(&job, 7, Happened::Created(created))).await;
    rig.hear(1, &happened(&job, 8, done(StageName::Fetch, "video"))).await;
    let video = rig.get(&job).await;
    assert_eq!((&*video.new.name, video.new.created_at), ("talk", Timestamp::from_second(7).unwrap()));
    assert_eq!(video.new.source, VideoSource::Url("https://example.org/talk".to_owned()));
    assert_eq!((video.state.state, rig.log(&job).await), (State::Processing, vec![0, 1]));
    let later = Timestamp::from_second(1_000_000).unwrap();
    assert!(rig.record.store.unpublished(later, 9).await.unwrap().is_empty(), "it is not submitted again");
}

#[tokio::test]
async fn deletion_is_written_from_the_event() {
    let rig = Rig::new();
    let job = accept(&rig.record.store).await;
    rig.hear(1, &happened(&job, 7, Happened::Created(Created::default()))).await;
    rig.hear(2, &happened(&job, 8, Happened::Deleted(true))).await;
    rig.hear(3, &happened(&job, 9, done(StageName::Fetch, "video"))).await;
    let (tenant, video) = (job.tenant(), job.video());
    assert_eq!(rig.record.store.video(&tenant, video).await.unwrap(), None);
    assert!(rig.record.store.is_unwanted(&tenant, video).await.unwrap());
    assert!(rig.log(&job).await.is_empty());
}

#[tokio::test]
async fn deleted_video_stays_deleted() {
    let rig = Rig::new();
    let job = accept(&rig.record.store).await;
    rig.record.store.delete_video(&job.tenant(), job.video(), Timestamp::UNIX_EPOCH).await.unwrap();
    rig.hear(1, &happened(&job, 7, Happened::Created(Created::default()))).await;
    assert_eq!(rig.record.store.video(&job.tenant(), job.video()).await.unwrap(), None);
    assert!(rig.log(&job).await.is_empty());
}

#[tokio::test]
async fn event_that_says_nothing_is_rejected() {
    let rig = Rig::new();
    let event = VideoEvent { happened: None, ..happened(&job(), 1, Happened::Cancelled(true)) };
    let (out, _) = Collected::outbox();
    let rejected = rig.record.process(event.clone(), &out).await.expect_err("rejected");
    assert!(matches!(rejected, Failure::Reject { code: Code::MessageUnreadable, .. }));
    assert_eq!(event.unit_key(), event.id);
}
