//! One machine has as many slots as its work needs, and as a person wants; a worker that is to go is replaced.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pipeline::event::{Happened, VideoEvent, WorkerReport, WorkerState};
use pipeline::id::VideoId;
use pipeline::kafka::{BrokerArgs, reader};
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use pipeline::workers;
use planning::record::Recorded;
use prost::Message;
use testing::api::{Api, OPTIONS, VIDEO_LIMIT};
use testing::media::talk;
use testing::until::until;

use crate::dev::{Dev, Home, command};

/// How long a change of scale may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever said nothing for so long is gone: idle workers report each five seconds.
const SILENT: Duration = Duration::from_secs(12);

/// Returns all records of a topic.
async fn read(brokers: &BrokerArgs, topic: Topic) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for span in reader::spans(brokers, topic).await.expect("the topic is there") {
        let mut records = reader::read(brokers, span).expect("the topic can be read");
        while let Some(record) = records.recv().await {
            bodies.push(record.expect("a record").body);
        }
    }
    bodies
}

/// Returns the slots of each process of `stage`, as they said last, fewest first.
async fn slots(brokers: &BrokerArgs, stage: StageName) -> Vec<u32> {
    let mut last = BTreeMap::new();
    for body in read(brokers, Topic::WorkerReport).await {
        let report = WorkerReport::decode(&*body).expect("a report");
        last.insert(report.worker.clone(), report);
    }
    let now_ms = Timestamp::now().as_millisecond();
    let takes_work = |report: &&WorkerReport| {
        let is_heard = now_ms - report.at_ms < SILENT.as_millis() as i64;
        report.stage() == stage && report.state() == WorkerState::Ready && is_heard
    };
    let mut slots: Vec<u32> = last.values().filter(takes_work).map(|report| report.slots).collect();
    slots.sort_unstable();
    slots
}

/// Calls the program as a person would, and returns what it prints; what it says on standard error if it fails.
async fn call(brokers: &BrokerArgs, words: &[&str]) -> Result<String, String> {
    let mut command = command();
    command.args(words);
    command.args(["--brokers", &brokers.brokers, "--topic-prefix", &brokers.topic_prefix]);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ran").expect("it started");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

async fn say(brokers: &BrokerArgs, words: &[&str]) -> String {
    call(brokers, &[&["autoscale"], words].concat()).await.expect("it is said")
}

/// Returns the workers of `stage` that were heard lately.
async fn workers_of(brokers: &BrokerArgs, stage: StageName) -> Vec<WorkerReport> {
    let heard = workers::heard(brokers).await.expect("reports are read");
    heard.into_iter().filter(|report| report.stage() == stage).collect()
}

/// Drains the one worker of `stage` while it has work in hand, and returns it.
async fn drain(brokers: &BrokerArgs, stage: StageName) -> WorkerReport {
    let has_work = async || workers_of(brokers, stage).await.into_iter().find(|report| report.busy > 0);
    let busy = until("it has work in hand", VIDEO_LIMIT, has_work).await;
    let listed = call(brokers, &["workers", "list"]).await.expect("workers are listed");
    assert!(listed.contains(&format!("{} ", busy.worker)), "{listed}");
    let error = call(brokers, &["workers", "drain", "nobody"]).await.expect_err("there is none");
    assert!(error.contains("no worker is called nobody; there are: ") && error.contains(&busy.worker), "{error}");

    let told = call(brokers, &["workers", "drain", &busy.worker]).await.expect("it is told");
    assert!(told.starts_with(&format!("{} was told to end", busy.worker)), "{told}");
    let has_taken_over = async || {
        let of_stage = workers_of(brokers, stage).await;
        of_stage.iter().any(|other| other.pid != busy.pid && other.state() == WorkerState::Ready).then_some(())
    };
    until("another takes its place", PATIENCE, has_taken_over).await;
    busy
}

/// Checks that every unit was done at the first try, and that `worker` finished what it had in hand when it was drained.
async fn check_done_once(brokers: &BrokerArgs, worker: &WorkerReport) {
    let (mut of_worker, mut of_others) = (Vec::new(), 0);
    for body in read(brokers, Topic::VideoEvent).await {
        let event = VideoEvent::decode(&*body).expect("an event");
        let Some(Happened::UnitDone(done)) = event.happened else { continue };
        assert!(done.attempt <= 1, "{done:?}");
        match done.worker == worker.worker {
            true => of_worker.push((event.job.video().to_string(), done.unit)),
            false => of_others += u32::from(done.stage() == worker.stage()),
        }
    }
    let mut in_hand = worker.units.iter().map(|unit| (unit.video.clone(), unit.unit.clone()));
    assert!(in_hand.all(|unit| of_worker.contains(&unit)), "{of_worker:?} of {:?}", worker.units);
    assert!(of_others > 0, "another goes on with its work");
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_follow_the_work_and_the_person() {
    let prefix = format!("s{}.", VideoId::random().to_string().split('-').next().expect("a part"));
    let brokers = BrokerArgs { topic_prefix: prefix.clone(), ..BrokerArgs::new(testing::kafka::broker()) };
    let home = Home::new();
    let settings = [
        ("SPILLWAY_BROKERS", brokers.brokers.as_str()),
        ("SPILLWAY_TOPIC_PREFIX", &prefix),
        ("SPILLWAY_PARTITIONS", "4"),
        ("SPILLWAY_DEV_AUTOSCALE", "true"),
        ("SPILLWAY_TICK", "300ms"),
        ("SPILLWAY_MAX_WORKERS", "6"),
        ("SPILLWAY_SLOTS_PER_PROCESS", "2"),
        ("SPILLWAY_WAIT_TARGET", "1s"),
        ("SPILLWAY_PINS", "split=max:1;transcribe=fixed:2"),
    ];
    let dev = Dev::start(&home, &settings);
    let shown = |expected: &'static [u32], stage| {
        let brokers = &brokers;
        until("as many slots as are wanted", PATIENCE, async move || {
            (slots(brokers, stage).await == expected).then_some(())
        })
    };
    shown(&[1], StageName::Moments).await;

    assert_eq!(say(&brokers, &["pin", "moments=fixed:3"]).await, "moments is pinned to fixed:3\n");
    shown(&[1, 2], StageName::Moments).await;
    let status = say(&brokers, &["status"]).await;
    assert!(status.contains("moments is pinned to fixed:3\n"), "{status}");
    say(&brokers, &["pin", "moments=fixed:1"]).await;
    shown(&[1], StageName::Moments).await;

    let api = Api::at(dev.address());
    let mut videos = Vec::new();
    for _ in 0..3 {
        videos.push(api.upload(talk(), OPTIONS).await);
    }
    let drained = drain(&brokers, StageName::Transcribe).await;
    for video in &videos {
        let ended = until("the video ends", VIDEO_LIMIT, async || {
            api.video(video).await.filter(|video| video["state"] == "done")
        });
        ended.await;
    }
    check_done_once(&brokers, &drained).await;
    let decisions = read(&brokers, Topic::AutoscalerDecision).await;
    let decisions: Vec<Recorded> =
        decisions.iter().map(|body| serde_json::from_slice(body).expect("a decision")).collect();
    let most = |stage: &str| {
        let of_stage = decisions.iter().flat_map(|tick| &tick.decided).filter(|decided| decided.stage == stage);
        of_stage.map(|decided| decided.replicas).max().expect("it was decided on")
    };
    assert!(most("analyze") > 1 || most("cut") > 1, "{:?}", decisions.last());
    assert_eq!(most("split"), 1, "it is pinned");
}
