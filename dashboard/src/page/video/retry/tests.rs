use jiff::Timestamp;
use pipeline::dead_letter::{Letter, LetterId, Record};
use pipeline::event::{Job, Options, VideoSource};
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::{Header, Headers};
use pipeline::lane::Lane;
use pipeline::store::{NewVideo, VideoError, VideoState};

use super::*;

fn ended(state: State, code: &str) -> Video {
    let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
    let error = VideoError { code: code.to_owned(), stage: "deliver".to_owned(), message: String::new() };
    let source = VideoSource::Url(String::new());
    let (name, request_hash, created_at) = (String::new(), String::new(), Timestamp::UNIX_EPOCH);
    Video {
        new: NewVideo { job, source, name, created_at, request_hash },
        state: VideoState { state, error: Some(error), ..VideoState::default() },
        cancelled_at: None,
    }
}

/// A state that has heard all there is: what became of one letter of `video`, if there is one.
fn heard(video: &Video, letter: Option<Option<Settled>>) -> seen::State {
    let mut state = seen::State::default();
    state.hearing.up_to_date();
    if let Some(settled) = letter {
        let id = LetterId { stage: StageName::Cut, partition: 0, offset: 7 };
        let mut headers = Headers::default();
        headers.set(Header::Video, video.new.job.video().to_string());
        state.letters.hear(Record::Letter(Letter { id, at: Timestamp::UNIX_EPOCH, headers, body: Vec::new() }));
        if let Some(how) = settled {
            state.letters.hear(Record::Settles(id, how));
        }
    }
    state
}

fn given_up() -> Vec<Unit> {
    vec![Unit { given_up: Some((5, "stuck".to_owned())), ..Unit::new(StageName::Cut, "clip/1") }]
}

#[track_caller]
fn check(video: &Video, letter: Option<Option<Settled>>, units: &[Unit], expected: &str) {
    let retry = Retry::of(&heard(video, letter), video, units, 10);
    let why = retry.no_retry.unwrap_or_default();
    assert!(retry.given_up.is_empty() && why.contains(expected), "{why}");
}

#[test]
fn why_nothing_can_be_tried_again_is_told() {
    let video = ended(State::Partial, "stuck");
    check(&video, None, &given_up(), "dead letters of 1 unit are gone, which the brokers keep for 14 days");
    check(&video, Some(Some(Settled::Discarded)), &given_up(), "a person discarded 1 dead letter");
    check(&video, Some(Some(Settled::Unneeded)), &given_up(), "nothing was left to do");
    check(&ended(State::Partial, "deadline"), None, &[], "ended at a deadline");
    check(&ended(State::Partial, "parts_missing"), None, &[], "ended at a deadline");
    check(&ended(State::Failed, "nothing_left"), None, &[], "no stage gave up a unit");
}

#[test]
fn what_can_be_tried_again_or_ended_whole_needs_no_excuse() {
    let video = ended(State::Failed, "stuck");
    let retry = Retry::of(&heard(&video, Some(None)), &video, &given_up(), 10);
    assert_eq!((retry.given_up.len(), retry.no_retry), (1, None));
    let whole = ended(State::Done, "");
    assert_eq!(Retry::of(&heard(&whole, None), &whole, &[], 10), Retry::default());
}

#[test]
fn what_was_not_heard_yet_is_not_told_as_gone() {
    let video = ended(State::Failed, "stuck");
    let retry = Retry::of(&seen::State::default(), &video, &given_up(), 10);
    assert!(retry.no_retry.is_some_and(|why| why.contains("still being read")));
}
