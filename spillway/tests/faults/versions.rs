//! Messages of other versions of the program, older and newer: they are in the topics while processes are restarted one
//! after another.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pipeline::blob;
use pipeline::event::{
    AudioSegment, ClipPlanned, ClipReport, Envelope, Event, Job, Options, SegmentReport, VideoReady, VideoSegment,
    VideoSource, VideoSubmitted, WindowGathered,
};
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::reader::{self, Span};
use pipeline::kafka::{Batch, BrokerArgs, Headers, Post, Producer};
use pipeline::lane::Lane;
use pipeline::store::NewVideo;
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::first;
use crate::samples::Sample;
use crate::system::System;

/// A field that no version has yet, number 99, the text `x`: a newer process is there before the older ones are gone.
pub const NEWER_FIELD: [u8; 4] = [0x9a, 0x06, 0x01, b'x'];
/// How often is looked for what is new.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was said again.
#[derive(Default, Debug)]
pub struct Said {
    /// How many messages of each topic.
    pub messages: BTreeMap<&'static str, usize>,
    /// How many of them lack a field that this version sets.
    pub lacking: usize,
}

/// Says all that stages say to each other once more, as other versions would: without headers and without what came
/// later, as the first did, and with a field that this one does not know. A unit is worked on by whichever a worker meets
/// first; the other changes nothing. Returns what that was, once it is `over`.
pub async fn echo_all(brokers: BrokerArgs, over: CancellationToken) -> Said {
    let producer = Producer::connect(&brokers).await.expect("a producer");
    let mut echo = Echo { brokers, producer, read: BTreeMap::new(), said: Said::default() };
    while !over.is_cancelled() {
        echo.all::<VideoReady, first::VideoReady>().await;
        echo.all::<AudioSegment, first::AudioSegment>().await;
        echo.all::<VideoSegment, first::VideoSegment>().await;
        echo.all::<SegmentReport, first::SegmentReport>().await;
        echo.all::<WindowGathered, first::WindowGathered>().await;
        echo.all::<ClipPlanned, first::ClipPlanned>().await;
        echo.all::<ClipReport, first::ClipReport>().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    echo.said
}

struct Echo {
    brokers: BrokerArgs,
    producer: Producer,
    /// What was read of each topic.
    read: BTreeMap<&'static str, Vec<Span>>,
    said: Said,
}

impl Echo {
    /// Says again what is new in the topics of `E`, which the first version knew as `F`.
    async fn all<E: Event, F: Message + Default>(&mut self) {
        let topic = E::TOPIC.base();
        let there = reader::spans(&self.brokers, E::TOPIC).await.expect("the topic is there");
        let before = self.read.insert(topic, there.clone()).unwrap_or_default();
        for (index, span) in there.into_iter().enumerate() {
            let new = before.get(index).map_or(span.clone(), |before| span.after(before));
            if new.records() == 0 {
                continue;
            }
            let mut records = reader::read(&self.brokers, new).expect("the topic can be read");
            while let Some(record) = records.recv().await {
                let body = record.expect("a record").body;
                if body.ends_with(&NEWER_FIELD) {
                    continue;
                }
                let said = Envelope::of(&E::read(&body).expect("a message"));
                let older = first::passed_on::<F>(&body);
                self.said.lacking += usize::from(older.len() < body.len());
                say(&self.producer, &Envelope { body: older, ..said }, &NEWER_FIELD).await;
                *self.said.messages.entry(topic).or_default() += 1;
            }
        }
    }
}

/// Publishes a message without headers, and with `more` behind its fields.
async fn say(producer: &Producer, said: &Envelope, more: &[u8]) {
    let (batch, headers) = (Batch::default(), Headers::default());
    let body = [&said.body, more].concat();
    let Envelope { topic, lane, key: video, .. } = *said;
    let key = video.as_ref().map(|video| video.as_bytes().as_slice());
    let post = Post { topic, lane, key, video, headers: &headers, body: &body };
    producer.post(post, &batch).await.expect("post");
    batch.acknowledged().await.expect("acknowledged");
}

/// Submits a video as another version would: its message has what the first one knew, no headers, and `more`.
pub async fn submit_in_version(system: &System, sample: Sample, more: &[u8]) -> String {
    let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
    let key = blob::key(&tenant, video, blob::Kind::Source, "before");
    let stored = system.servers.blobs().put(&key, sample.bytes().into()).await;
    let source = VideoSource::Upload(stored.expect("store the source"));
    let options = options_of(sample);
    let job = Job::new(&tenant, video, Lane::Express, options);
    let store = system.servers.store().await.expect("the store");
    let (name, request_hash, created_at) = ("before.mp4".to_owned(), String::new(), Timestamp::now());
    let new = NewVideo { job: job.clone(), source: source.clone(), name, created_at, request_hash };
    store.create_video(&new).await.expect("make the row");
    let producer = Producer::connect(&system.servers.brokers()).await.expect("a producer");
    let said = Envelope::of(&VideoSubmitted { job, source: Some(source) });
    let body = first::passed_on::<first::VideoSubmitted>(&said.body);
    say(&producer, &Envelope { body, ..said }, more).await;
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
