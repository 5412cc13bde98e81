//! Processes are told to stop: with many units in hand, and one after another under load while messages of older and
//! newer versions are in the topics.

use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use pipeline::blob::{self, Blobs, Location};
use pipeline::event::{Envelope, Event, Job, Options, VideoSource, VideoSubmitted};
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::{Batch, BrokerArgs, Headers, Post, Producer};
use pipeline::lane::Lane;
use pipeline::store::{self, NewVideo};
use testing::until::until;
use testing::web::Web;

use crate::ledger::Ledger;
use crate::samples::{Sample, learn};
use crate::system::{Plan, SHORT, System};

/// Units in hand when the signal comes.
const UNITS: usize = 50;
/// A field that no version has yet, number 99, the text `x`: a newer process is there before the older ones are gone.
const NEWER_FIELD: [u8; 4] = [0x9a, 0x06, 0x01, b'x'];
/// How soon a worker must have ended.
const END_LIMIT: Duration = Duration::from_secs(30);
/// How long all work may take.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::test]
async fn a_worker_told_to_stop_with_fifty_units_hands_them_back() {
    drain(&SHORT, 3).await;
}

#[tokio::test]
#[ignore = "takes two minutes: `make faults`"]
async fn a_worker_told_to_stop_with_fifty_units_hands_them_back_in_full() {
    drain(&[], UNITS).await;
}

#[tokio::test]
async fn restarts_of_every_role_with_old_messages_fail_nothing() {
    roll(&SHORT, &[Sample::Tiny(0), Sample::Tiny(1)], 1).await;
}

#[tokio::test]
#[ignore = "takes three minutes: `make faults`"]
async fn restarts_of_every_role_with_old_messages_fail_nothing_in_full() {
    roll(&[], &[Sample::Tiny(0), Sample::Tiny(1), Sample::Talk], 4).await;
}

/// The units are downloads that wait, so that none is finished within the grace.
async fn drain(settings: &[(&str, &str)], kept: usize) {
    let mut system = System::start(Plan::host(settings)).await;
    let sample = Sample::Tiny(0);
    learn(&system.api, &[sample]).await;
    system.take("fetch").end(END_LIMIT).await;
    let many = system.join("fetch", UNITS as u32).await;
    let web = Web::start(sample.file()).await;
    let url = web.url("held.mp4");
    let videos = join_all((0..UNITS).map(|_| system.api.submit_url(&url, sample.options()))).await;
    until("all are in hand", LIMIT, async || (web.asked("held.mp4") == UNITS).then_some(())).await;
    let told = Instant::now();
    let ended = many.end(END_LIMIT).await;
    println!("ended with {ended} {:?} after the signal", told.elapsed());
    assert_eq!(ended.code(), Some(0));
    web.release();
    let next = system.join("fetch", 4).await;
    let mut ledger = Ledger::default();
    for (number, video) in videos.into_iter().enumerate() {
        system.api.past(&video, "fetch").await;
        if number < kept {
            ledger.note(video, sample);
        } else {
            // To work on all of them would take minutes, and show no more.
            assert_eq!(system.api.delete(&format!("/v1/videos/{video}")).await, 204);
        }
    }
    ledger.balance(&system, LIMIT).await;
    assert_eq!(system.dead_letters(), 0);
    no_attempt_was_spent(&system, &ledger).await;
    assert_eq!(next.end(END_LIMIT).await.code(), Some(0));
}

/// Restarts every process, one after another, `rounds` times, while videos come in.
async fn roll(settings: &[(&str, &str)], samples: &[Sample], rounds: usize) {
    let system = System::start(Plan::host(settings)).await;
    learn(&system.api, samples).await;
    let mut ledger = Ledger::default();
    for _ in 0..rounds {
        for member in &system.members {
            let sample = samples[ledger.len() % samples.len()];
            ledger.submit(&system.api, sample).await;
            if member.role() == "fetch" {
                for more in [&[][..], &NEWER_FIELD[..]] {
                    ledger.note(submit_in_version(&system, samples[0], more).await, samples[0]);
                }
            }
            assert_eq!(member.restart(LIMIT).await.code(), Some(0), "{}", member.role());
        }
    }
    let balance = ledger.balance(&system, LIMIT).await;
    // What was handed back is begun again; nothing else is lost.
    assert!(balance.redone <= system.members.len() * rounds, "{balance:?}");
    assert_eq!(system.dead_letters(), 0);
    no_attempt_was_spent(&system, &ledger).await;
}

async fn no_attempt_was_spent(system: &System, ledger: &Ledger) {
    for event in join_all(ledger.ids().map(|id| system.api.events(id))).await.iter().flatten() {
        assert_ne!(event["type"], "unit_retried", "an attempt was spent: {event}");
    }
}

/// Submits a video as another version would: its message has the fields of the first version, no headers, and `more`.
async fn submit_in_version(system: &System, sample: Sample, more: &[u8]) -> String {
    let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
    let key = blob::key(&tenant, video, blob::Kind::Source, "before");
    let blobs = Blobs::open(&Location::Folder(system.servers.blobs().to_owned())).expect("the blobs");
    let source = VideoSource::Upload(blobs.put(&key, sample.bytes().into()).await.expect("store the source"));
    let options = options_of(sample);
    let job = Job::new(&tenant, video, Lane::Express, options);
    let store = store::open_file(&system.servers.database_file()).expect("the store");
    let (name, request_hash, created_at) = ("before.mp4".to_owned(), String::new(), Timestamp::now());
    let new = NewVideo { job: job.clone(), source: source.clone(), name, created_at, request_hash };
    store.create_video(&new).await.expect("make the row");
    let brokers = BrokerArgs::new(system.servers.broker.proxy().address().to_string());
    let producer = Producer::connect(&brokers).await.expect("a producer");
    let mut body = Envelope::of(&VideoSubmitted { job, source: Some(source) }).body;
    body.extend_from_slice(more);
    let (topic, lane, headers) = (VideoSubmitted::TOPIC, Lane::Express, Headers::default());
    let batch = Batch::default();
    let post = Post { topic, lane, key: None, video: None, headers: &headers, body: &body };
    producer.post(post, &batch).await.expect("post");
    batch.acknowledged().await.expect("acknowledged");
    video.to_string()
}

fn options_of(sample: Sample) -> Options {
    let pairs = sample.options().split('&').filter_map(|pair| pair.split_once('='));
    let mut options = Options::default();
    for (name, value) in pairs {
        let value: u32 = value.parse().expect("a number");
        match name {
            "clips" => options.clips = value,
            "min_clip_s" => options.min_clip_ms = value * 1000,
            "max_clip_s" => options.max_clip_ms = value * 1000,
            "height" => options.height = value,
            other => panic!("{other} is not known"),
        }
    }
    options
}
