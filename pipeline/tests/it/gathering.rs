//! A gathering stage: each partition's records strictly one after another, and ticks in between.

use std::time::Duration;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use anyhow::anyhow;
use pipeline::event::{Envelope, Job, Options, SegmentKind, SegmentReport};
use pipeline::failure::{Code, Failure};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Outbox, Sink};
use pipeline::runner::RunnerArgs;
use pipeline::stage::{Kind, Stage, StageName};
use pipeline::topic::Topic;

use crate::world::{Said, World, eventually, quick};

/// What the stage below heard.
#[derive(Default)]
struct Heard {
    /// By partition, the offsets of attempts in their order.
    attempts: BTreeMap<i32, Vec<i64>>,
    /// Partitions that are at work now.
    working: BTreeSet<i32>,
    /// Whether a partition was ever at work twice at once.
    overlapped: bool,
    ticked: BTreeSet<i32>,
}

/// Fails each third record of a partition once, and each fifth for ever.
#[derive(Clone, Default)]
struct Gatherer(Arc<Mutex<Heard>>);

impl Stage for Gatherer {
    type In = SegmentReport;
    type Out = Said;
    const NAME: StageName = StageName::Join;
    const KIND: Kind = Kind::Gather;

    fn failed(_: &SegmentReport, _: Code, _: &str) -> Vec<Said> {
        Vec::new()
    }

    async fn process(&self, _: SegmentReport, out: &Outbox<Said>) -> Result<(), Failure> {
        let source = out.source();
        let before = {
            let mut heard = self.0.lock().unwrap();
            heard.overlapped |= !heard.working.insert(source.partition);
            let attempts = heard.attempts.entry(source.partition).or_default();
            attempts.push(source.offset);
            attempts.iter().filter(|offset| **offset == source.offset).count() - 1
        };
        tokio::task::yield_now().await;
        self.0.lock().unwrap().working.remove(&source.partition);
        match source.offset {
            offset if offset % 5 == 4 => Err(Failure::Retry(anyhow!("always"))),
            offset if offset % 3 == 2 && before == 0 => Err(Failure::Retry(anyhow!("once"))),
            _ => Ok(()),
        }
    }

    async fn tick(&self, partition: i32, _: Duration, _: &Outbox<Said>) -> Result<(), Failure> {
        let mut heard = self.0.lock().unwrap();
        heard.overlapped |= heard.working.contains(&partition);
        heard.ticked.insert(partition);
        Ok(())
    }
}

/// Crashes at the second record.
#[derive(Clone)]
struct Crashing;

impl Stage for Crashing {
    type In = SegmentReport;
    type Out = Said;
    const NAME: StageName = StageName::Join;
    const KIND: Kind = Kind::Gather;

    fn failed(_: &SegmentReport, _: Code, _: &str) -> Vec<Said> {
        Vec::new()
    }

    async fn process(&self, _: SegmentReport, out: &Outbox<Said>) -> Result<(), Failure> {
        assert_ne!(out.source().offset, 1, "a crash as it is meant to be");
        Ok(())
    }
}

async fn publish_reports(world: &World, count: u32) {
    for index in 0..count {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
        let report = SegmentReport::failed(&job, 0, SegmentKind::Audio, index, (0, 1), Code::Damaged);
        world.producer.publish(Envelope::of(&report)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_crashes_its_worker_each_time_is_given_up() {
    let world = World::new(1).await;
    publish_reports(&world, 3).await;
    let args = RunnerArgs { attempts: 3, ..quick() };
    for _ in 1..3 {
        let crashed = world.start(Crashing, args.clone()).ended().await;
        assert!(crashed.is_err_and(|error| format!("{error:#}").contains("work crashed")));
    }
    let worker = world.start(Crashing, args);
    world.all_acknowledged(StageName::Join, Topic::SegmentDone, Lane::Standard, 3).await;
    worker.stop().await.unwrap();
    let letters = world.read(Topic::DeadLetter(StageName::Join)).await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].headers["code"].as_str(), letters[0].headers["attempts"].as_str()), ("crashed", "3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_is_handled_in_order_whatever_fails() {
    let world = World::new(3).await;
    let records = 60;
    publish_reports(&world, records).await;
    let stage = Gatherer::default();
    let args = RunnerArgs { slots: 3, attempts: 3, ..quick() };
    let worker = world.start(stage.clone(), args);
    world.all_acknowledged(StageName::Join, Topic::SegmentDone, Lane::Standard, records as usize).await;
    eventually("every partition ticks", async || (stage.0.lock().unwrap().ticked.len() == 3).then_some(())).await;
    worker.stop().await.unwrap();
    let (overlapped, attempts) = {
        let heard = stage.0.lock().unwrap();
        (heard.overlapped, heard.attempts.clone())
    };
    assert!(!overlapped);
    let mut given_up = 0;
    for (partition, attempts) in attempts {
        let mut expected = Vec::new();
        for offset in 0..=*attempts.last().unwrap() {
            let times = if offset % 5 == 4 { 3 } else { 1 + usize::from(offset % 3 == 2) };
            expected.extend(std::iter::repeat_n(offset, times));
            given_up += usize::from(offset % 5 == 4);
        }
        assert_eq!(attempts, expected, "partition {partition}");
    }
    assert_eq!(world.read(Topic::DeadLetter(StageName::Join)).await.len(), given_up);
}
