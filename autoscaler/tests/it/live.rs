//! The loop on a real broker: work waits, workers report, somebody keeps count of replicas.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use autoscaler::act::Unit;
use autoscaler::act::{Act, Scale};
use autoscaler::{Bounds, Health, PolicyArgs, RecordArgs, Settings, replay};
use clap::Parser;
use futures::future::join;
use pipeline::event::{Envelope, Job, Options, SystemState, VideoSource, VideoSubmitted, WorkerReport, WorkerState};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::topics::Shape;
use pipeline::kafka::{Batch, BrokerArgs, Headers, Post, Producer, reader, topics};
use pipeline::lane::Lane;
use pipeline::outbox::Sink;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::decision::{Decision, StageDecision};
use planning::pin;
use planning::record::Recorded;
use prost::Message;
use serde_json::Deserializer;
use testing::kafka::Alone;
use testing::proxy::Trouble;
use testing::until::until;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// Counts the replicas that are wanted, unless it is told to fail.
#[derive(Default)]
struct Counted {
    replicas: Mutex<BTreeMap<StageName, u32>>,
    fails_for: Mutex<Option<StageName>>,
}

impl Counted {
    fn of(&self, stage: StageName) -> u32 {
        self.replicas.lock().unwrap().get(&stage).copied().unwrap_or(1)
    }
}

#[async_trait]
impl Act for Counted {
    fn unit(&self) -> Unit {
        Unit::Worker
    }

    async fn current(&self, stage: StageName) -> Result<Scale> {
        if *self.fails_for.lock().unwrap() == Some(stage) {
            bail!("the scale of {stage} is not told");
        }
        Ok(Scale { replicas: Some(self.of(stage)) })
    }

    async fn scale(&self, stage: StageName, replicas: u32) -> Result<()> {
        self.replicas.lock().unwrap().insert(stage, replicas);
        Ok(())
    }
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    bounds: Bounds,
    #[command(flatten)]
    record: RecordArgs,
}

/// An autoscaler's settings, twenty times faster than the world.
fn settings(flags: &[&str]) -> Settings {
    let Flags { policy, bounds, record } = Flags::parse_from([&["autoscale"], flags].concat());
    Settings { policy, bounds, record, time_scale: 20.0 }
}

async fn brokers() -> BrokerArgs {
    brokers_at(testing::kafka::broker()).await
}

async fn brokers_at(address: String) -> BrokerArgs {
    let prefix = format!("a{}.", VideoId::random().to_string().split('-').next().unwrap());
    let brokers = BrokerArgs { topic_prefix: prefix, ..BrokerArgs::new(address) };
    topics::ensure(&brokers, Shape::with_partitions(4)).await.unwrap();
    brokers
}

async fn submit(producer: &Producer, count: usize) {
    for _ in 0..count {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Standard, Options::default());
        let source = Some(VideoSource::Url("http://example.org/".to_owned()));
        producer.publish(Envelope::of(&VideoSubmitted { job, source })).await.unwrap();
    }
}

/// Says that a worker has begun, and that it has done ten units since.
async fn report(producer: &Producer) {
    for done_total in [0, 10] {
        report_done(producer, done_total, 3.0).await.unwrap();
    }
}

/// Says again and again that a worker lives and what it has done; what cannot be said is not.
async fn go_on_reporting(producer: &Producer, done_total: &AtomicU64, each_s: f64) -> Infallible {
    let mut ticks = tokio::time::interval(Duration::from_millis(300));
    loop {
        ticks.tick().await;
        let _ = report_done(producer, done_total.load(Ordering::SeqCst), each_s).await;
    }
}

/// Lets an autoscaler run and somebody watch it until both have ended, while a worker goes on reporting.
async fn beside(
    reporting: impl Future<Output = Infallible>,
    running: impl Future<Output = Result<()>>,
    watching: impl Future<Output = ()>,
) {
    let ran = tokio::select! {
        (ran, ()) = join(running, watching) => ran,
        never = reporting => match never {},
    };
    ran.unwrap();
}

/// Says how many units a worker has done, each in `each_s`.
async fn report_done(producer: &Producer, done_total: u64, each_s: f64) -> Result<(), Failure> {
    let report = WorkerReport {
        worker: "fetch-1".to_owned(),
        stage: StageName::Fetch as i32,
        state: WorkerState::Ready as i32,
        slots: 1,
        busy: 1,
        done_total,
        busy_seconds_total: each_s * done_total as f64,
        ..WorkerReport::default()
    };
    let (body, headers, batch) = (report.encode_to_vec(), Headers::default(), Batch::default());
    let (topic, lane) = (Topic::WorkerReport, Lane::Standard);
    let post = Post { topic, lane, key: Some(b"fetch-1"), video: None, headers: &headers, body: &body };
    producer.post(post, &batch).await?;
    batch.acknowledged().await
}

/// Says that three uploads are under way in a process of ingest.
async fn tell_uploads(producer: &Producer) {
    let state = SystemState {
        process: "ingest-1".to_owned(),
        at_ms: 1,
        uploads_begun_total: 63,
        uploads_ended_total: 60,
        ..SystemState::default()
    };
    let (topic, lane, unit_key) = (Topic::SystemState, Lane::Standard, state.process.clone());
    producer.publish(Envelope { topic, lane, key: None, unit_key, body: state.encode_to_vec() }).await.unwrap();
}

async fn decisions(brokers: &BrokerArgs) -> Vec<Recorded> {
    let mut decisions = Vec::new();
    for span in reader::spans(brokers, Topic::AutoscalerDecision).await.unwrap() {
        let mut records = reader::read(brokers, span).unwrap();
        while let Some(record) = records.recv().await {
            decisions.push(serde_json::from_slice(&record.unwrap().body).unwrap());
        }
    }
    decisions
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_work_is_seen_decided_on_and_told() {
    let brokers = brokers().await;
    let producer = Producer::connect(&brokers).await.unwrap();
    submit(&producer, 60).await;
    report(&producer).await;
    tell_uploads(&producer).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.jsonl");
    let flags = ["--max-workers", "30", "--service-time", "60s", "--pin", "cut=fixed:4"];
    let settings = settings(&[&flags[..], &["--record", path.to_str().unwrap()]].concat());
    let (act, health, stop) = (Counted::default(), Health::default(), CancellationToken::new());
    let (lead, leads) = watch::channel(false);

    let running = autoscaler::run(&brokers, settings.clone(), &act, leads, health.clone(), stop.clone());
    let watching = async {
        until("it sees all stages", PATIENCE, async || health.get().ok()).await;
        assert!(act.replicas.lock().unwrap().is_empty() && decisions(&brokers).await.is_empty(), "it does not lead");
        lead.send_replace(true);
        until("fetch is scaled up", PATIENCE, async || (act.of(StageName::Fetch) > 2).then_some(())).await;
        until("cut is pinned", PATIENCE, async || (act.of(StageName::Cut) == 4).then_some(())).await;
        let wanted = "min:6,max:8".parse().unwrap();
        producer.say(Topic::AutoscalerPin, "cut", &pin::body(Some(&wanted))).await.unwrap();
        until("cut is pinned anew", PATIENCE, async || (act.of(StageName::Cut) == 6).then_some(())).await;
        producer.say(Topic::AutoscalerPin, "cut", &pin::body(None)).await.unwrap();
        until("cut is released", PATIENCE, async || (act.of(StageName::Cut) == 4).then_some(())).await;
        *act.fails_for.lock().unwrap() = Some(StageName::Moments);
        let told = until("one stage is not seen", PATIENCE, async || health.get().err()).await;
        assert_eq!(told, "the scale of moments is not told");
        stop.cancel();
    };
    let done = AtomicU64::new(10);
    beside(go_on_reporting(&producer, &done, 3.0), running, watching).await;

    let told = decisions(&brokers).await;
    let first = &told[0];
    let fetch = &first.seen.stages[0];
    assert_eq!(fetch.stage, "fetch");
    let standard = &fetch.lanes[2];
    assert_eq!((standard.partitions, standard.lag_records(), standard.arrived_total), (4, 60.0, 0.0));
    assert!(standard.head_age_s > 0.0, "what was there before has an age");
    assert_eq!((fetch.workers.ready, fetch.workers.busy, fetch.slots_busy), (1, 1, 1.0));
    assert!((fetch.busy_seconds_total - 600.0).abs() < 1e-6, "in the autoscaler's time: {}", fetch.busy_seconds_total);
    assert_eq!(first.seen.uploads_started_total, Some(3.0), "what was there before did not arrive");
    assert!(told.iter().any(|tick| tick.decided.iter().any(|d| d.stage == "fetch" && d.replicas > 2)));
    assert!(told.iter().all(|tick| tick.decided.iter().all(|decided| !decided.reason.is_empty())));
    assert!(told.windows(2).all(|two| two[0].seen.at < two[1].seen.at));
    assert!(told.last().unwrap().seen.stages.len() >= 5, "{:?}", told.last());

    let recorded = std::fs::read(&path).unwrap();
    let mut replayed = Vec::new();
    replay::replay(&settings.policy.policy(), &settings.bounds, &*recorded, &mut replayed).unwrap();
    let recorded: Vec<Recorded> = Deserializer::from_slice(&recorded).into_iter().map(Result::unwrap).collect();
    let replayed: Vec<Decision> = Deserializer::from_slice(&replayed).into_iter().map(Result::unwrap).collect();
    assert!(recorded.len() >= told.len(), "what is published is written down");
    assert_eq!(replayed.len(), recorded.len());
    for (recorded, replayed) in recorded.iter().zip(&replayed) {
        let names = |decided: &[StageDecision]| decided.iter().map(|stage| stage.stage.clone()).collect::<Vec<_>>();
        assert_eq!((replayed.at, names(&replayed.stages)), (recorded.seen.at, names(&recorded.decided)));
        // The flag that is given again wins over what was said of the stage later.
        let pinned = replayed.stages.iter().find(|stage| stage.stage == "cut").expect("it is always seen");
        assert_eq!(pinned.replicas, 4, "{pinned:?}");
    }
}

/// What a record costs is learned before the restart: by what is said of it, all there may be would be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_knows_what_was_learned_and_keeps_the_scale_that_is_there() {
    let brokers = brokers().await;
    let producer = Producer::connect(&brokers).await.unwrap();
    let settings = settings(&["--max-workers", "30", "--service-time", "60s"]);
    let (act, last) = (Counted::default(), async || decisions(&brokers).await.pop());
    let service_s = |tick: &Recorded| tick.decided.first()?.inputs.as_ref().map(|inputs| inputs.service_s);
    let done = AtomicU64::new(0);
    let reporting = go_on_reporting(&producer, &done, 0.05);
    tokio::pin!(reporting);

    let (stop, leads) = (CancellationToken::new(), watch::channel(true).1);
    let running = autoscaler::run(&brokers, settings.clone(), &act, leads, Health::default(), stop.clone());
    let watching = async {
        until("it has looked", PATIENCE, async || last().await).await;
        done.store(200, Ordering::SeqCst);
        let is_learned = async || last().await.filter(|tick| service_s(tick).is_some_and(|service_s| service_s < 2.0));
        until("it knows that a record takes a second", PATIENCE, is_learned).await;
        stop.cancel();
    };
    beside(&mut reporting, running, watching).await;
    assert!(act.replicas.lock().unwrap().is_empty(), "nothing waited");

    // Somebody has scaled it meanwhile.
    act.scale(StageName::Fetch, 6).await.unwrap();
    submit(&producer, 100).await;
    let before = decisions(&brokers).await;
    let (stop, leads) = (CancellationToken::new(), watch::channel(true).1);
    let running = autoscaler::run(&brokers, settings, &act, leads, Health::default(), stop.clone());
    let watching = async {
        until("it has decided", PATIENCE, async || (decisions(&brokers).await.len() > before.len() + 2).then_some(()))
            .await;
        stop.cancel();
    };
    beside(reporting, running, watching).await;
    let after = decisions(&brokers).await.split_off(before.len());
    assert!(after[0].seen.at > before.last().unwrap().seen.at);
    for tick in &after {
        let fetch = &tick.decided[0];
        assert!((fetch.stage.as_str(), fetch.replicas) == ("fetch", 6), "{fetch:?}");
        assert!(service_s(tick).is_none_or(|service_s| service_s < 2.0), "{fetch:?}");
    }
    assert!(after.iter().any(|tick| service_s(tick).is_some()), "it was not only held");
}

/// The broker is the test's own: nobody else is to miss it.
#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_do_not_answer_hold_the_scale_which_then_only_goes_up() {
    let broker = Alone::start().await.unwrap();
    let brokers = brokers_at(broker.proxy().address().to_string()).await;
    let producer = Producer::connect(&brokers).await.unwrap();
    submit(&producer, 60).await;
    report(&producer).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ticks.jsonl");
    let flags = ["--max-workers", "30", "--service-time", "60s", "--record", path.to_str().unwrap()];
    let settings = settings(&flags);
    let (act, health, stop) = (Counted::default(), Health::default(), CancellationToken::new());
    let (_lead, leads) = watch::channel(true);
    let recorded = || -> Vec<Recorded> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let last_of_fetch = || recorded().pop().and_then(|tick| tick.decided.into_iter().find(|d| d.stage == "fetch"));

    let running = autoscaler::run(&brokers, settings, &act, leads, health.clone(), stop.clone());
    let watching = async {
        until("fetch is scaled up", PATIENCE, async || (act.of(StageName::Fetch) > 2).then_some(())).await;
        broker.proxy().make(Trouble::Cut);
        let begins = |words: &str| last_of_fetch().filter(|decided| decided.reason.starts_with(words));
        until("it holds what is there", PATIENCE, async || begins("held at ")).await;
        assert!(health.get().is_err());
        until("it is only scaled up", PATIENCE, async || begins("only up, ")).await;
        broker.proxy().make(Trouble::Nothing);
        until("it sees again", PATIENCE, async || health.get().ok()).await;
        stop.cancel();
    };
    let done = AtomicU64::new(10);
    beside(go_on_reporting(&producer, &done, 3.0), running, watching).await;

    let words = |tick: &Recorded| tick.seen.stages.first().and_then(|stage| stage.stale.clone()).unwrap_or_default();
    let is_missed = |tick: &Recorded| words(tick).starts_with("it was not seen: ");
    let missed: Vec<Recorded> = recorded().into_iter().filter(is_missed).collect();
    assert!(missed.iter().all(|tick| tick.decided.iter().all(|decided| decided.reason.contains("it was not seen: "))));
    let fetch: Vec<u32> = missed.iter().map(|tick| tick.decided[0].replicas).collect();
    assert!(fetch.len() > 1 && fetch.is_sorted(), "{fetch:?}");
}
