//! Dead letters as people see them, and topics that are read from end to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use jiff::Timestamp;
use pipeline::dead_letter::{
    Filter, Letter, LetterId, Letters, Outcome, Selection, Settled, discard_all, replay, replay_all, settle,
};
use pipeline::event::{Happened, VideoEvent, VideoSource};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::{Header, reader};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::store::{LogEntry, NewVideo, SharedStore, State, Store, VideoState, open_file};
use pipeline::topic::Topic;

use crate::world::{Scripted, World, eventually, quick, submitted};

async fn letters(world: &World) -> (Letters, Vec<Letter>) {
    let letters = Letters::open(&world.brokers, StageName::Fetch).await.unwrap();
    let mut found = Vec::new();
    let mut reading = letters.read();
    while let Some(letter) = reading.next().await.unwrap() {
        found.push(letter);
    }
    (letters, found)
}

fn id(offset: i64) -> LetterId {
    LetterId { stage: StageName::Fetch, partition: 0, offset }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_found_and_what_became_of_them_is_kept_beside_them() {
    let world = World::new(1).await;
    assert!(letters(&world).await.1.is_empty());
    let stage = Scripted::new(async |_, _| Err(Failure::reject(Code::Damaged, anyhow!("half a file"))));
    let videos = world.submit_many(Lane::Express, 3).await;
    let worker = world.start(stage, quick());
    world.read_when(Topic::DeadLetter(StageName::Fetch), 3).await;
    worker.stop().await.unwrap();

    let (_, found) = letters(&world).await;
    assert_eq!(found.iter().map(|letter| letter.id).collect::<Vec<_>>(), [id(0), id(1), id(2)]);
    let of = |video: VideoId| found.iter().find(|letter| letter.video().is_some_and(|known| known.1 == video)).unwrap();
    let letter = of(videos[1]);
    assert_eq!((letter.code(), letter.header(Header::Detail)), (Some(Code::Damaged), "half a file"));
    let fits = |filter: Filter| found.iter().filter(|letter| filter.fits(letter)).count();
    assert_eq!(fits(Filter { video: Some(videos[1]), ..Filter::default() }), 1);
    assert_eq!(fits(Filter { code: Some("damaged".to_owned()), ..Filter::default() }), 3);
    assert_eq!(fits(Filter { code: Some("stuck".to_owned()), ..Filter::default() }), 0);
    assert_eq!(fits(Filter { tenant: "other".parse().ok(), ..Filter::default() }), 0);

    settle(&world.producer, id(1), Settled::Discarded).await.unwrap();
    let (letters, found) = letters(&world).await;
    assert_eq!(found.len(), 3, "what settles a letter is none");
    assert_eq!((letters.settled(id(0)), letters.settled(id(1))), (None, Some(Settled::Discarded)));
    assert_eq!(letters.find(id(2)).await.unwrap(), found[2]);
    for nowhere in [id(3), id(4), LetterId { partition: 7, ..id(0) }] {
        let error = letters.find(nowhere).await.expect_err("there is none").to_string();
        assert!(error.contains(&format!("no dead letter {nowhere}")), "{error}");
    }
}

/// A store that knows `video` in `state`.
async fn store_with(folder: &tempfile::TempDir, video: VideoId, state: State) -> SharedStore {
    let store = open_file(&folder.path().join(format!("{video}.db"))).unwrap();
    let job = submitted(video, Lane::Express).job;
    let source = VideoSource::Url("http://example.org/".to_owned());
    let (created_at, request_hash) = (Timestamp::UNIX_EPOCH, String::new());
    let new = NewVideo { job: job.clone(), source, name: String::new(), created_at, request_hash };
    store.create_video(&new).await.unwrap();
    let event = VideoEvent::new(&job, created_at, Happened::Ended(Default::default()));
    let state = VideoState { state, ..VideoState::default() };
    store.log(&LogEntry { seq: 1, event }, &state, None).await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_unit_is_worked_on_again_and_its_failure_is_told_anew() {
    let (world, folder) = (World::new(1).await, tempfile::tempdir().unwrap());
    let mended = Arc::new(AtomicBool::new(false));
    let stage = Scripted::new({
        let mended = mended.clone();
        move |_, _| {
            let works = mended.load(Ordering::SeqCst);
            async move { if works { Ok(()) } else { Err(Failure::reject(Code::Damaged, anyhow!("half a file"))) } }
        }
    });
    let video = world.submit(Lane::Express).await;
    let worker = world.start(stage.clone(), quick());
    let dead = Topic::DeadLetter(StageName::Fetch);
    world.read_when(dead, 1).await;
    // Its video is open, so nobody needs to open it.
    let store = store_with(&folder, video, State::Processing).await;
    let again = async |offset| {
        let (_, found) = letters(&world).await;
        let letter = found.iter().find(|letter| letter.id == id(offset)).unwrap();
        let unit = crate::world::unit_of(video);
        eventually("the claim is finished", async || world.store.row(unit).finished.then_some(())).await;
        world.store.forget(unit).await.unwrap();
        replay(&world.producer, &store, letter).await.unwrap()
    };
    assert_eq!(again(0).await, Outcome::Replayed);
    // The letter, what settles it, and the next letter, which may come before that.
    let seen = world.read_when(dead, 3).await;
    let next = seen.iter().position(|record| record.headers.contains_key("replay-of")).expect("the next letter");
    assert_eq!(seen[next].headers.get("replay-of").map(String::as_str), Some("fetch/0/0"));
    assert_eq!(seen[next].headers.get("first-published-ms"), seen[0].headers.get("first-published-ms"));
    let next = next as i64;
    mended.store(true, Ordering::SeqCst);
    assert_eq!(again(next).await, Outcome::Replayed);
    eventually("it succeeds", async || (stage.seen.count() == 3).then_some(())).await;
    worker.stop().await.unwrap();
    let (letters, _) = letters(&world).await;
    assert_eq!((letters.settled(id(0)), letters.settled(id(next))), (Some(Settled::Replayed), Some(Settled::Replayed)));
    let failed = world.events().await.into_iter().filter_map(|event| match event.happened {
        Some(Happened::UnitFailed(failed)) => Some((event.id, failed.letter)),
        _ => None,
    });
    let (ids, of): (Vec<_>, Vec<_>) = failed.unzip();
    assert_eq!(of, ["", "fetch/0/0"]);
    assert_ne!(ids[0], ids[1], "each is logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replayed_is_said_and_what_is_done_is_settled() {
    let (world, folder) = (World::new(1).await, tempfile::tempdir().unwrap());
    let stage = Scripted::new(async |_, _| Err(Failure::reject(Code::Damaged, anyhow!("half a file"))));
    let video = world.submit(Lane::Express).await;
    let worker = world.start(stage, quick());
    world.read_when(Topic::DeadLetter(StageName::Fetch), 1).await;
    worker.stop().await.unwrap();
    let (_, found) = letters(&world).await;
    let replayed = async |store: &SharedStore| replay(&world.producer, store, &found[0]).await.unwrap();
    let refused = |outcome: Outcome, why: &str| match outcome {
        Outcome::Refused(text) => assert!(text.contains(why), "{text}"),
        other => panic!("not refused: {other:?}"),
    };
    refused(replayed(&store_with(&folder, VideoId::random(), State::Failed).await).await, "deleted");
    let store = store_with(&folder, video, State::Processing).await;
    let tenant = TenantId::default_tenant();
    assert!(store.cancel_video(&tenant, video, Timestamp::UNIX_EPOCH).await.unwrap());
    refused(replayed(&store).await, "cancelled");
    assert_eq!(letters(&world).await.0.settled(id(0)), None);
    let other = tempfile::tempdir().unwrap();
    let done = replayed(&store_with(&other, video, State::Done).await).await;
    assert_eq!(done, Outcome::Unneeded("its video is done"));
    assert_eq!(letters(&world).await.0.settled(id(0)), Some(Settled::Unneeded));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_letters_are_settled_one_after_another() {
    let (world, folder) = (World::new(1).await, tempfile::tempdir().unwrap());
    let stage = Scripted::new(async |_, _| Err(Failure::reject(Code::Damaged, anyhow!("half a file"))));
    world.submit_many(Lane::Express, 3).await;
    let worker = world.start(stage, quick());
    world.read_when(Topic::DeadLetter(StageName::Fetch), 3).await;
    worker.stop().await.unwrap();
    let (_, found) = letters(&world).await;
    let (_, video) = found[1].video().unwrap();
    let store = store_with(&folder, video, State::Done).await;

    let all = Selection::Fitting { stages: vec![StageName::Fetch, StageName::Cut], filter: Filter::default() };
    let mut told = Vec::new();
    let tell = |letter: &Letter, outcome: &Outcome| told.push((letter.id, outcome.clone()));
    can_be_spawned(replay_all(&world.brokers, &world.producer, &store, &all, 100.0, tell)).await.unwrap();
    let gone = Outcome::Refused("its video was deleted".to_owned());
    let done = Outcome::Unneeded("its video is done");
    assert_eq!(told, [(id(0), gone.clone()), (id(1), done), (id(2), gone)]);

    let mut told = Vec::new();
    let two = Selection::Named(vec![id(2), id(0)]);
    can_be_spawned(discard_all(&world.brokers, &world.producer, &two, |letter| told.push(letter.id))).await.unwrap();
    assert_eq!(told, [id(2), id(0)]);
    let again = discard_all(&world.brokers, &world.producer, &two, |_| panic!("nothing is open")).await;
    assert_eq!(again.unwrap_err().to_string(), "the dead letter fetch/0/2 is settled: discarded");
    discard_all(&world.brokers, &world.producer, &all, |_| panic!("nothing is open")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_letters_are_replayed_at_the_pace_that_was_asked_for() {
    let (world, folder) = (World::new(1).await, tempfile::tempdir().unwrap());
    let stage = Scripted::new(async |_, _| Err(Failure::reject(Code::Damaged, anyhow!("half a file"))));
    world.submit_many(Lane::Express, 5).await;
    let worker = world.start(stage, quick());
    world.read_when(Topic::DeadLetter(StageName::Fetch), 5).await;
    worker.stop().await.unwrap();
    let store = store_with(&folder, VideoId::random(), State::Processing).await;

    let all = Selection::Fitting { stages: vec![StageName::Fetch], filter: Filter::default() };
    let begun = Instant::now();
    let mut told = Vec::new();
    let tell = |_: &Letter, _: &Outcome| told.push(begun.elapsed());
    replay_all(&world.brokers, &world.producer, &store, &all, 5.0, tell).await.unwrap();
    assert_eq!(told.len(), 5);
    for (index, after) in told.iter().enumerate() {
        assert!(*after >= Duration::from_millis(200) * index as u32, "letter {index} after {after:?}");
    }
}

/// Whoever answers requests does it in tasks.
fn can_be_spawned<F: Future + Send>(future: F) -> F {
    future
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_read_to_where_they_ended_when_it_began() {
    let world = World::new(3).await;
    let videos = world.submit_many(Lane::Express, 10).await;
    let spans = reader::spans(&world.brokers, Topic::VideoSubmitted).await.unwrap();
    assert_eq!(spans.iter().map(reader::Span::records).sum::<u64>(), 10);
    world.submit_many(Lane::Express, 5).await;
    let seen = std::sync::Mutex::new(Vec::new());
    let keep = async |record: reader::Stored| {
        seen.lock().unwrap().push((record.partition, record.offset));
        Ok(())
    };
    reader::for_each(&world.brokers, spans, 2, keep).await.unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), videos.len());
    for partition in 0..3 {
        let offsets = seen.iter().filter(|place| place.0 == partition).map(|place| place.1);
        assert!(offsets.is_sorted());
    }
}
