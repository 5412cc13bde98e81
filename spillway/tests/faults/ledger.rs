//! What was accepted, and whether it came out: every video ends, every clip is there once with the right bytes, the
//! log has no gap and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testing::api::Api;
use testing::log::BEGUN;
use testing::until::until;
use tokio::time::Instant;

use crate::samples::{self, Sample, expected, sha256};
use crate::servers::Servers;
use crate::system::System;

/// The stages whose units are claimed: repeating one is work done again.
const CLAIMED: [&str; 6] = ["fetch", "split", "transcribe", "analyze", "moments", "cut"];
/// How long a video is tried to be submitted while the API comes and goes.
const SUBMIT_LIMIT: Duration = Duration::from_secs(60);

/// A video with a 2xx.
struct Accepted {
    id: String,
    sample: Sample,
}

/// What was accepted.
#[derive(Default)]
pub struct Ledger {
    accepted: Vec<Accepted>,
}

/// What it came to.
#[derive(Debug)]
pub struct Balance {
    pub videos: usize,
    pub units: usize,
    /// Units that were begun again, each time counted.
    pub redone: usize,
    /// From the call until the last video had ended.
    pub took: Duration,
}

impl Balance {
    /// Returns the share of work that was done again, in percent.
    pub fn redone_percent(&self) -> f64 {
        100.0 * self.redone as f64 / self.units.max(1) as f64
    }
}

impl Ledger {
    /// Submits a video once; nothing if it was not accepted, as far as its sender can know.
    pub async fn try_submit(&mut self, api: &Api, sample: Sample) -> Result<String, Option<StatusCode>> {
        let request = api.post(&format!("/v1/videos?{}", sample.options())).body(sample.bytes());
        let answer = request.send().await.map_err(|_| None)?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(Some(answer.status()));
        }
        let body: Value = answer.json().await.map_err(|_| None)?;
        let id = body["id"].as_str().expect("an id").to_owned();
        self.note(id.clone(), sample);
        Ok(id)
    }

    /// Submits a video until it is accepted.
    pub async fn submit(&mut self, api: &Api, sample: Sample) -> String {
        let begun = Instant::now();
        loop {
            match self.try_submit(api, sample).await {
                Ok(id) => return id,
                Err(refusal) => assert!(begun.elapsed() < SUBMIT_LIMIT, "not accepted: {refusal:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Notes a video that was accepted.
    pub fn note(&mut self, id: String, sample: Sample) {
        self.accepted.push(Accepted { id, sample });
    }

    /// Takes over what another has noted.
    pub fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
    }

    /// Returns how many videos were accepted.
    pub fn len(&self) -> usize {
        self.accepted.len()
    }

    /// Returns the ids of the videos that were accepted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.accepted.iter().map(|accepted| accepted.id.as_str())
    }

    /// Waits until all have ended, at most `limit`, and checks what came out.
    pub async fn balance(&self, system: &System, limit: Duration) -> Balance {
        let begun = Instant::now();
        for accepted in &self.accepted {
            let what = format!("{} of {:?} ends", accepted.id, accepted.sample);
            until(&what, limit.saturating_sub(begun.elapsed()), async || {
                let video = system.api.video(&accepted.id).await?;
                (!matches!(video["state"].as_str(), Some("queued" | "processing"))).then_some(())
            })
            .await;
        }
        let took = begun.elapsed();
        let mut clips = 0;
        for accepted in &self.accepted {
            clips += check(system, accepted).await;
            check_source(&system.servers, accepted).await;
        }
        let (units, redone) = self.work(system);
        let balance = Balance { videos: self.accepted.len(), units, redone, took };
        println!(
            "{} videos, {clips} clips, {units} units, {redone} begun again, {} dead letters; the last ended after {took:?}",
            balance.videos,
            system.dead_letters()
        );
        balance
    }

    /// Counts units of accepted videos, and how often one was begun again.
    fn work(&self, system: &System) -> (usize, usize) {
        let mut begun: BTreeMap<[String; 3], usize> = BTreeMap::new();
        for unit in system.log().units(BEGUN) {
            if CLAIMED.contains(&unit[0].as_str()) && self.accepted.iter().any(|accepted| accepted.id == unit[1]) {
                *begun.entry(unit).or_default() += 1;
            }
        }
        (begun.len(), begun.values().map(|times| times - 1).sum())
    }
}

/// Checks one video that has ended; returns how many clips it has.
async fn check(system: &System, accepted: &Accepted) -> usize {
    let id = &accepted.id;
    let video = system.api.video(id).await.expect("the video");
    assert_eq!((&video["state"], &video["error"]), (&json!("done"), &Value::Null), "{video}");
    assert_eq!(video["completeness"], 1.0, "{video}");
    let made = samples::prints(&system.api, id).await;
    assert!(made == expected(accepted.sample), "{id} of {:?} has other clips: {made:?}", accepted.sample);
    check_log(&video, &system.api.events(id).await, made.len());
    made.len()
}

/// The log tells of each thing once, of nothing else, and leaves nothing out.
#[track_caller]
fn check_log(video: &Value, events: &[Value], clips: usize) {
    let mut told = BTreeSet::new();
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ready = 0;
    for event in events {
        let name = match event["type"].as_str() {
            Some("unit_done") => {
                *units.entry(event["stage"].as_str().expect("a stage")).or_default() += 1;
                format!("{} {}", event["stage"], event["unit"])
            }
            Some("clip_ready") => {
                ready += 1;
                format!("clip {}", event["clip"]["id"])
            }
            Some(once @ ("created" | "ended")) => once.to_owned(),
            Some("unit_failed") => panic!("a unit failed: {event}"),
            _ => continue,
        };
        assert!(told.insert(name.clone()), "told twice: {name}");
    }
    assert!(told.contains("created") && told.contains("ended"), "{told:?}");
    assert_eq!(ready, clips, "{events:?}");
    for stage in video["stages"].as_array().expect("stages") {
        let (name, done) = (stage["stage"].as_str().expect("a name"), stage["done"].as_u64().expect("a number"));
        assert!(stage["done"] == stage["total"] && stage["failed"] == 0, "{stage}");
        if CLAIMED.contains(&name) {
            assert_eq!(units.get(name).copied().unwrap_or(0), done, "{name}: {events:?}");
        }
    }
}

/// The bytes that were accepted are there as they were sent, once.
async fn check_source(servers: &Servers, accepted: &Accepted) {
    let kept: Vec<String> = servers.sources(&accepted.id).await.iter().map(|bytes| sha256(bytes)).collect();
    assert_eq!(kept, [sha256(&accepted.sample.bytes())], "{} is not kept as it was sent", accepted.id);
}
