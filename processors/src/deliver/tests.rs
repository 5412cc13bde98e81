use std::sync::Arc;

use pipeline::event::{ClipTotal, Replay, clip_failed, video_failed};
use pipeline::id::ClipId;
use pipeline::outbox::Collected;

use super::*;
use crate::join::tests::{accept, services};

/// The stage with a store of its own, and a job to gather for.
struct Rig {
    deliver: Deliver,
    job: Job,
    out: Outbox<VideoEvent>,
    said: Arc<Collected>,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn new(deliver_deadline: Duration) -> Self {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        let args = DeliverArgs { deliver_deadline };
        let deliver = Deliver::new(services(folder.path()), args).expect("make the stage");
        let job = accept(&deliver.store).await;
        let (out, said) = Collected::outbox();
        Self { deliver, job, out, said, _folder: folder }
    }

    fn end(&self) -> Option<Ended> {
        let said = self.said.take();
        assert!(said.len() <= 1, "{said:?}");
        match VideoEvent::read(&said.first()?.body).expect("an event").happened {
            Some(Happened::Ended(ended)) => Some(ended),
            other => panic!("not an end: {other:?}"),
        }
    }

    async fn hear(&self, report: ClipReport) -> Option<Ended> {
        self.deliver.process(report, &self.out).await.expect("gather a report");
        self.end()
    }

    async fn tick(&self) -> Option<Ended> {
        self.deliver.tick(0, Duration::MAX, &self.out).await.expect("tick");
        self.end()
    }

    fn id(&self, index: i64) -> String {
        ClipId::derive(self.job.video(), index, index + 1).to_string()
    }

    fn done(&self, index: i64) -> ClipReport {
        ClipReport { job: self.job.clone(), kind: Some(ClipReportKind::Done(self.id(index))) }
    }

    fn failed(&self, index: i64) -> ClipReport {
        clip_failed(&self.job, &self.id(index), StageName::Cut, Code::ClipInvalid, "black frames")
    }

    fn total(&self, window: u32, clips: u32, completeness: f64) -> ClipReport {
        let length_us = 600_000_000;
        let total = ClipTotal { window, clips, completeness, length_us, ..ClipTotal::default() };
        ClipReport { job: self.job.clone(), kind: Some(ClipReportKind::Total(total)) }
    }

    fn last(&self, window: u32, clips: u32, completeness: f64) -> ClipReport {
        let length_us = 600_000_000;
        let total = ClipTotal { window, last: true, clips, completeness, length_us, ..ClipTotal::default() };
        ClipReport { job: self.job.clone(), kind: Some(ClipReportKind::Total(total)) }
    }

    fn given_up(&self) -> ClipReport {
        video_failed(&self.job, StageName::Fetch, Code::NotAVideo, "no container")
    }
}

const LONG: Duration = Duration::from_secs(3600);

/// What is compared of an end: its state, code and stage.
fn gist(ended: Option<Ended>) -> (EndState, String, Option<StageName>) {
    let ended = ended.expect("the video ended");
    (ended.state(), ended.code.clone(), ended.stage.and_then(|s| StageName::try_from(s).ok()))
}

fn because(state: EndState, code: Code, stage: StageName) -> (EndState, String, Option<StageName>) {
    (state, code.to_string(), Some(stage))
}

#[tokio::test]
async fn video_is_done_once_every_clip_of_every_window_is_there() {
    let rig = Rig::new(LONG).await;
    assert_eq!(rig.hear(rig.last(1, 1, 1.0)).await, None);
    assert_eq!(rig.hear(rig.done(0)).await, None, "window 0 is not planned yet");
    assert_eq!(rig.hear(rig.done(1)).await, None);
    assert_eq!(rig.hear(rig.total(0, 2, 1.0)).await, None);
    let ended = rig.hear(rig.done(2)).await;
    assert_eq!(ended.as_ref().map(|e| e.completeness), Some(1.0));
    assert_eq!(gist(ended), (EndState::Done, String::new(), None));
    for late in [rig.done(2), rig.failed(1), rig.given_up(), rig.last(1, 9, 0.1)] {
        assert_eq!(rig.hear(late).await, None, "it ended");
    }
}

#[tokio::test]
async fn failed_clip_makes_it_partial_and_all_failed_make_it_failed() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.last(0, 2, 1.0)).await;
    rig.hear(rig.done(0)).await;
    let ended = rig.hear(rig.failed(1)).await;
    assert_eq!(gist(ended), because(EndState::Partial, Code::ClipInvalid, StageName::Cut));

    let rig = Rig::new(LONG).await;
    rig.hear(rig.failed(0)).await;
    let ended = rig.hear(rig.last(0, 1, 1.0)).await;
    assert_eq!(ended.as_ref().map(|e| &*e.detail), Some("black frames"));
    assert_eq!(gist(ended), because(EndState::Failed, Code::ClipInvalid, StageName::Cut));
}

#[tokio::test]
async fn clip_that_succeeds_on_replay_before_the_end_counts() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.failed(0)).await;
    rig.hear(rig.done(0)).await;
    rig.hear(rig.failed(0)).await;
    assert_eq!(gist(rig.hear(rig.last(0, 1, 1.0)).await), (EndState::Done, String::new(), None));
}

#[tokio::test]
async fn missing_parts_make_it_partial() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.total(0, 1, 1.0)).await;
    rig.hear(rig.last(1, 0, 0.5)).await;
    let ended = rig.hear(rig.done(0)).await;
    assert_eq!(ended.as_ref().map(|e| e.completeness), Some(0.75));
    assert_eq!(gist(ended), because(EndState::Partial, Code::PartsMissing, StageName::Join));
}

#[tokio::test]
async fn no_clip_at_all_is_a_failure_with_a_reason() {
    for completeness in [0.0, 0.5, 1.0] {
        let rig = Rig::new(LONG).await;
        let ended = rig.hear(rig.last(0, 0, completeness)).await;
        assert_eq!(gist(ended), because(EndState::Failed, Code::NothingLeft, StageName::Moments));
    }
}

#[tokio::test]
async fn given_up_video_fails_at_once() {
    let rig = Rig::new(LONG).await;
    let ended = rig.hear(rig.given_up()).await;
    assert_eq!(ended.as_ref().map(|e| e.completeness), Some(0.0));
    assert_eq!(gist(ended), because(EndState::Failed, Code::NotAVideo, StageName::Fetch));
}

#[tokio::test]
async fn given_up_video_keeps_the_clips_it_has_and_waits_for_those_planned() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.total(0, 2, 1.0)).await;
    rig.hear(rig.done(0)).await;
    assert_eq!(rig.hear(rig.given_up()).await, None);
    let ended = rig.hear(rig.done(1)).await;
    assert_eq!(gist(ended), because(EndState::Partial, Code::NotAVideo, StageName::Fetch));
}

#[tokio::test]
async fn deadline_ends_it_with_what_is_there() {
    let rig = Rig::new(Duration::ZERO).await;
    rig.hear(rig.last(0, 2, 1.0)).await;
    assert_eq!(gist(rig.tick().await), because(EndState::Failed, Code::Deadline, StageName::Deliver));
    assert_eq!(rig.tick().await, None);

    let rig = Rig::new(Duration::ZERO).await;
    rig.hear(rig.last(0, 2, 1.0)).await;
    rig.hear(rig.done(0)).await;
    assert_eq!(gist(rig.tick().await), because(EndState::Partial, Code::Deadline, StageName::Deliver));

    let rig = Rig::new(LONG).await;
    rig.hear(rig.done(0)).await;
    assert_eq!(rig.tick().await, None, "there is time left");
}

#[tokio::test]
async fn cancelled_video_ends_without_a_word() {
    let rig = Rig::new(Duration::ZERO).await;
    rig.hear(rig.last(0, 1, 1.0)).await;
    let store = &rig.deliver.store;
    assert!(store.cancel_video(&rig.job.tenant(), rig.job.video(), Timestamp::UNIX_EPOCH).await.unwrap());
    assert_eq!(rig.tick().await, None);
    assert_eq!(store.open_gathers(Gatherer::Deliver, 0, 9).await.unwrap(), []);
    assert_eq!(rig.hear(rig.done(0)).await, None);
}

#[tokio::test]
async fn end_is_repeated_under_one_id_when_the_stage_died_before_it_closed() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.done(0)).await;
    let last = rig.last(0, 1, 1.0);
    assert!(rig.deliver.keep(&last, 0).await.unwrap());
    rig.deliver.process(last, &rig.out).await.unwrap();
    let said = rig.said.take();
    let expected = VideoEvent::new(&rig.job, Timestamp::UNIX_EPOCH, Happened::Ended(Ended::default()));
    assert_eq!(said.iter().map(|e| &e.unit_key).collect::<Vec<_>>(), [&expected.id]);
}

impl Rig {
    fn reopened(&self, stage: StageName, unit: &str, letter: &str, window: Option<(u32, u32)>) -> ClipReport {
        let replay = Replay { stage: stage as i32, unit: unit.to_owned(), letter: letter.to_owned() };
        let reopened = Reopened { replay, window: window.map(|w| w.0), round: window.map_or(0, |w| w.1) };
        ClipReport { job: self.job.clone(), kind: Some(ClipReportKind::Reopened(reopened)) }
    }

    /// Lets the stage hear of a replay; says what it tells the log.
    async fn reopen(&self, report: ClipReport) -> Vec<&'static str> {
        self.deliver.process(report, &self.out).await.expect("gather a report");
        let said = self.said.take();
        let happened = said.iter().map(|e| VideoEvent::read(&e.body).expect("an event").happened);
        let name = |happened| match happened {
            Some(Happened::Replayed(_)) => "replayed",
            Some(Happened::Reopened(_)) => "reopened",
            other => panic!("unexpected: {other:?}"),
        };
        happened.map(name).collect()
    }

    /// A window planned in `round` with the clips `planned`.
    fn planned(&self, round: u32, completeness: f64, planned: &[i64]) -> ClipReport {
        let planned: Vec<String> = planned.iter().map(|index| self.id(*index)).collect();
        let clips = planned.len() as u32;
        let total = ClipTotal {
            last: true,
            clips,
            completeness,
            length_us: 60_000_000,
            planned,
            round,
            ..ClipTotal::default()
        };
        ClipReport { job: self.job.clone(), kind: Some(ClipReportKind::Total(total)) }
    }
}

const BOTH: [&str; 2] = ["replayed", "reopened"];

#[tokio::test]
async fn replayed_clip_completes_its_video() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.planned(0, 1.0, &[0, 1])).await;
    rig.hear(rig.done(0)).await;
    assert_eq!(gist(rig.hear(rig.failed(1)).await), because(EndState::Partial, Code::ClipInvalid, StageName::Cut));
    let reopened = rig.reopened(StageName::Cut, &format!("clip/{}", rig.id(1)), "cut/0/0", None);
    assert_eq!(rig.reopen(reopened.clone()).await, BOTH);
    assert_eq!(rig.reopen(reopened).await, [""; 0], "told twice");
    let ended = rig.hear(rig.done(1)).await;
    assert_eq!(ended.as_ref().map(|e| e.round), Some(1), "an end of its own");
    assert_eq!(gist(ended), (EndState::Done, String::new(), None));
    // A second letter about the same unit changes nothing.
    let other = rig.reopened(StageName::Cut, &format!("clip/{}", rig.id(1)), "cut/0/9", None);
    assert_eq!(rig.reopen(other).await, [""; 0]);
}

#[tokio::test]
async fn replay_that_fails_again_ends_the_video_again() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.given_up()).await;
    assert_eq!(rig.reopen(rig.reopened(StageName::Fetch, "video", "fetch/0/0", None)).await, BOTH);
    let ended = rig.hear(rig.given_up()).await;
    assert_eq!(ended.as_ref().map(|e| e.round), Some(1));
    assert_eq!(gist(ended), because(EndState::Failed, Code::NotAVideo, StageName::Fetch));
    assert_eq!(rig.reopen(rig.reopened(StageName::Fetch, "video", "fetch/0/1", None)).await, BOTH);
    rig.hear(rig.planned(0, 1.0, &[0])).await;
    assert_eq!(gist(rig.hear(rig.done(0)).await), (EndState::Done, String::new(), None));
}

#[tokio::test]
async fn window_planned_anew_decides_which_clips_count() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.planned(0, 0.5, &[0, 1])).await;
    rig.hear(rig.done(0)).await;
    assert_eq!(gist(rig.hear(rig.done(1)).await), because(EndState::Partial, Code::PartsMissing, StageName::Join));
    let reopened = rig.reopened(StageName::Transcribe, "audio/0", "transcribe/0/0", Some((0, 1)));
    assert_eq!(rig.reopen(reopened).await, ["reopened"], "join told of the unit");
    // The word of the first round, redelivered late, is not what is waited for.
    assert_eq!(rig.hear(rig.planned(0, 0.5, &[0, 1])).await, None);
    assert_eq!(rig.hear(rig.planned(1, 1.0, &[1, 2])).await, None);
    assert_eq!(rig.hear(rig.planned(0, 0.5, &[0, 1])).await, None);
    let ended = rig.hear(rig.done(2)).await;
    assert_eq!(ended.as_ref().map(|e| (e.completeness, e.round)), Some((1.0, 1)));
    assert_eq!(gist(ended), (EndState::Done, String::new(), None));
}

#[tokio::test]
async fn clip_that_is_not_planned_any_more_neither_fails_nor_counts() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.planned(0, 0.5, &[0])).await;
    rig.hear(rig.failed(0)).await;
    rig.reopen(rig.reopened(StageName::Analyze, "video/0", "analyze/0/0", Some((0, 1)))).await;
    rig.hear(rig.planned(1, 1.0, &[1])).await;
    assert_eq!(gist(rig.hear(rig.done(1)).await), (EndState::Done, String::new(), None));
}

#[tokio::test]
async fn window_that_was_given_up_is_planned_on_replay() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.total(0, 0, 1.0)).await;
    let total = ClipTotal { window: 1, last: true, given_up: true, length_us: 600_000_000, ..ClipTotal::default() };
    rig.hear(ClipReport { job: rig.job.clone(), kind: Some(ClipReportKind::Total(total)) }).await;
    assert_eq!(rig.reopen(rig.reopened(StageName::Moments, "window/0", "moments/0/0", None)).await, [""; 0]);
    assert_eq!(rig.reopen(rig.reopened(StageName::Moments, "window/1", "moments/0/1", None)).await, BOTH);
    rig.hear(rig.last(1, 1, 1.0)).await;
    assert_eq!(gist(rig.hear(rig.done(0)).await), (EndState::Done, String::new(), None));
}

#[tokio::test]
async fn cancelled_video_is_not_opened_again() {
    let rig = Rig::new(LONG).await;
    rig.hear(rig.given_up()).await;
    let store = &rig.deliver.store;
    assert!(store.cancel_video(&rig.job.tenant(), rig.job.video(), Timestamp::UNIX_EPOCH).await.unwrap());
    assert_eq!(rig.reopen(rig.reopened(StageName::Fetch, "video", "fetch/0/0", None)).await, [""; 0]);
}

#[test]
fn what_cannot_be_gathered_ends_the_video() {
    let job = Job::new(
        &pipeline::id::TenantId::default_tenant(),
        pipeline::id::VideoId::random(),
        pipeline::lane::Lane::Express,
        pipeline::event::Options::default(),
    );
    let report = video_failed(&job, StageName::Split, Code::Damaged, "ends early");
    let said = Deliver::failed(&report, Code::Crashed, "x");
    match said.first().and_then(|event| event.happened.clone()) {
        Some(Happened::Ended(ended)) => {
            assert_eq!(gist(Some(ended)), because(EndState::Failed, Code::Damaged, StageName::Split));
        }
        other => panic!("not an end: {other:?}"),
    }
}
