//! The loop: observe, decide, act.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::future::join_all;
use jiff::Timestamp;
use pipeline::event::{SystemState, WorkerReport};
use pipeline::kafka::lag::{Lags, Read};
use pipeline::kafka::reader::Stored;
use pipeline::kafka::tail::{Since, follow};
use pipeline::kafka::{Batch, BrokerArgs, Headers, Post, Producer};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use pipeline::workers::SILENCE;
use planning::decide::decide;
use planning::decision::StageDecision;
use planning::memory::Memory;
use planning::observation::{Observation, Stage};
use planning::pin::{Pin, Pins};
use planning::policy::Policy;
use planning::record::Recorded;
use planning::stages::STAGES;
use prost::Message;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::act::{Act, Scale};
use crate::args::{Bounds, PolicyArgs, RecordArgs};
use crate::clock::Clock;
use crate::metrics::{self, What};
use crate::observe::Observer;
use crate::recall::{Recalled, recall};
use crate::record::Recorder;

/// The least time for which a worker counts that says nothing, however fast the clock goes: a busy machine may be silent for a
/// while.
const LEAST_SILENCE: Duration = Duration::from_secs(3);
/// How long ago heartbeats may have been published that are heard at the start.
const HEAR_BACK: Duration = Duration::from_secs(10);
/// How often the brokers are asked anew which partitions there are, in the world's time.
const RECONNECT_EVERY: Duration = Duration::from_secs(60);

/// What an autoscaler goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policy.
    pub policy: PolicyArgs,
    /// Its bounds.
    pub bounds: Bounds,
    /// How many times faster than the world its clock goes; 1 unless work is emulated.
    pub time_scale: f64,
    /// What is written down.
    pub record: RecordArgs,
}

/// Whether the last tick saw what it should. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<Result<(), String>>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Err("nothing was seen yet".to_owned()))))
    }
}

impl Health {
    /// Says whether the autoscaler sees what it must.
    ///
    /// # Errors
    /// Why not.
    pub fn get(&self) -> Result<(), String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, health: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}

/// Learns from what was seen before, then observes, decides and acts each tick until `stop`. While it does not lead it does all but act and tell, so that
/// nothing is new to it when it takes over.
///
/// # Errors
/// When the brokers cannot be reached at the start, a client can never go on, or the record cannot be begun.
pub async fn run(
    brokers: &BrokerArgs,
    settings: Settings,
    act: &dyn Act,
    leads: watch::Receiver<bool>,
    health: Health,
    stop: CancellationToken,
) -> Result<()> {
    let recalled = recall(brokers, &settings.policy.policy()).await;
    let since = Timestamp::now().saturating_sub(HEAR_BACK).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut reports = follow(brokers, Topic::WorkerReport, Since::Time(since)).await?;
    let mut states = follow(brokers, Topic::SystemState, Since::Time(since)).await?;
    let mut said = follow(brokers, Topic::AutoscalerPin, Since::Beginning).await?;
    let mut pins = Pins::new(settings.bounds.pins());
    let clock = Clock::new(settings.time_scale).not_before(recalled.last.as_ref().map_or(0.0, |last| last.at));
    let mut ticks = tokio::time::interval(clock.in_world(settings.policy.tick));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is due at once; by the second all who work have been heard.
    ticks.tick().await;
    let mut autoscaler = Autoscaler::start(brokers, settings, act, clock, recalled).await?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            report = reports.recv() => autoscaler.hear(&ended(report)?),
            state = states.recv() => autoscaler.hear_ingest(&ended(state)?),
            record = said.recv() => hear_pin(&mut pins, &ended(record)?),
            _ = ticks.tick() => {
                let begun = Instant::now();
                autoscaler.leads = *leads.borrow();
                metrics::leads(autoscaler.leads);
                let seen = autoscaler.tick(&pins.all()).await;
                health.set(seen.map_err(|error| format!("{error:#}")));
                metrics::ticked(begun.elapsed());
            }
        }
    }
}

/// Hears what a person says of a stage's scale; what cannot be read changes nothing.
fn hear_pin(pins: &mut Pins, record: &Stored) {
    match pins.hear(record.key.as_deref().unwrap_or_default(), &record.body) {
        Ok((stage, Some(pin))) => info!(%stage, %pin, "pinned"),
        Ok((stage, None)) => info!(%stage, "released"),
        Err(error) => warn!(error, "a pin that cannot be read"),
    }
}

fn ended(record: Option<Result<Stored>>) -> Result<Stored> {
    record.unwrap_or_else(|| Err(anyhow!("a topic is followed no longer")))
}

/// Everything that lasts from tick to tick.
struct Autoscaler<'a> {
    brokers: &'a BrokerArgs,
    act: &'a dyn Act,
    bounds: Bounds,
    policy: Policy,
    memory: Memory,
    observer: Observer,
    lags: Lags,
    connected: Instant,
    /// Whether the ages of what was there before are known.
    aged: bool,
    producer: Producer,
    batch: Batch,
    recorder: Option<Recorder>,
    /// What was last decided, where nobody else keeps count.
    wanted: BTreeMap<StageName, u32>,
    /// Whether this is the one that acts.
    leads: bool,
}

impl<'a> Autoscaler<'a> {
    async fn start(
        brokers: &'a BrokerArgs,
        settings: Settings,
        act: &'a dyn Act,
        clock: Clock,
        recalled: Recalled,
    ) -> Result<Self> {
        let Settings { policy, bounds, record, .. } = settings;
        let silence = clock.in_world(SILENCE).max(LEAST_SILENCE);
        let startup_s = policy.startup.as_secs_f64();
        let most_bytes = record.record_mib.saturating_mul(1 << 20);
        let recorder = record.record.map(|path| Recorder::begin(&path, most_bytes)).transpose()?;
        let mut observer = Observer::new(clock, bounds.clone(), act.unit(), silence, startup_s);
        if let Some(last) = &recalled.last {
            observer.recall(last);
        }
        Ok(Self {
            brokers,
            act,
            observer,
            bounds,
            policy: policy.policy(),
            memory: recalled.memory,
            lags: Lags::connect(brokers, &STAGES).await?,
            connected: Instant::now(),
            aged: false,
            producer: Producer::connect(brokers).await?,
            batch: Batch::default(),
            recorder,
            wanted: BTreeMap::new(),
            leads: false,
        })
    }

    fn hear(&mut self, record: &Stored) {
        match WorkerReport::decode(&*record.body) {
            Ok(report) => self.observer.hear(report, Instant::now()),
            Err(error) => debug!(%error, "a heartbeat that cannot be read"),
        }
    }

    fn hear_ingest(&mut self, record: &Stored) {
        match SystemState::decode(&*record.body) {
            Ok(state) => self.observer.hear_ingest(state, Instant::now()),
            Err(error) => debug!(%error, "a state of the service that cannot be read"),
        }
    }

    /// Observes, decides and acts once.
    ///
    /// # Errors
    /// What could not be seen or changed; the other stages are seen to all the same.
    async fn tick(&mut self, pins: &BTreeMap<StageName, Pin>) -> Result<()> {
        let mut trouble = Trouble::default();
        let lags = self.read_lags(&mut trouble).await;
        let scales = self.read_scales(&mut trouble).await;
        let seen = self.observer.observe(Instant::now(), &lags, &scales, pins);
        note_silence(&lags, &seen, &mut trouble);
        let decision = decide(&self.policy, &mut self.memory, &seen);
        let mut recorded = Recorded { seen, decided: decision.stages, policy: Some(self.policy.clone()) };
        self.bring_about(&mut recorded, &scales, pins, &mut trouble).await;
        if self.leads {
            self.tell(&recorded, &mut trouble).await;
        }
        trouble.end()
    }

    /// Reads what waits for each stage, or why that is not known.
    async fn read_lags(&mut self, trouble: &mut Trouble) -> Read {
        match self.ask_lags().await {
            Ok(lags) => {
                for (stage, lanes) in &lags {
                    if let Err(error) = lanes {
                        trouble.note(What::Lag, "not seen: a stage is as it was", anyhow!("{stage}: {error:#}"));
                    }
                }
                lags
            }
            Err(error) => {
                let words = format!("{error:#}");
                trouble.note(What::Lag, "nothing seen: all stages are as they were", error);
                STAGES.map(|stage| (stage, Err(anyhow!(words.clone())))).into()
            }
        }
    }

    async fn ask_lags(&mut self) -> Result<Read> {
        if self.connected.elapsed() > RECONNECT_EVERY {
            self.lags = Lags::connect(self.brokers, &STAGES).await?;
            self.connected = Instant::now();
        }
        if self.aged {
            return self.lags.read().await;
        }
        let lags = self.lags.read_with_ages().await?;
        self.aged = lags.values().all(Result::is_ok);
        Ok(lags)
    }

    /// Reads the scale of each stage; one whose scale cannot be read is left out.
    async fn read_scales(&self, trouble: &mut Trouble) -> BTreeMap<StageName, Scale> {
        let read = join_all(STAGES.map(|stage| self.act.current(stage))).await;
        let mut scales = BTreeMap::new();
        for (stage, scale) in STAGES.into_iter().zip(read) {
            match scale {
                Ok(scale) => drop(scales.insert(stage, scale)),
                Err(error) => trouble.note(What::Scale, "scale not read: the stage stays as it is", error),
            }
        }
        scales
    }

    /// Brings each stage that was seen to the scale that was decided, within its bounds. What it came to is put in place
    /// of what was decided.
    async fn bring_about(
        &mut self,
        recorded: &mut Recorded,
        scales: &BTreeMap<StageName, Scale>,
        pins: &BTreeMap<StageName, Pin>,
        trouble: &mut Trouble,
    ) {
        let mut decided = Vec::with_capacity(recorded.seen.stages.len());
        for stage in STAGES {
            let Some(seen) = recorded.seen.stages.iter().find(|seen| seen.stage == stage.as_str()) else { continue };
            if seen.stale.is_none() {
                metrics::seen(seen);
            }
            let found = recorded.decided.iter().find(|decided| decided.stage == seen.stage);
            let (wanted, mut reason, inputs) = match found {
                Some(decided) => (decided.replicas, decided.reason.clone(), decided.inputs.clone()),
                None => (seen.replicas, "nothing was decided: it stays as it is".to_owned(), None),
            };
            let to = self.bounds.clamp(wanted, pins.get(&stage));
            if to != wanted {
                reason.push_str(&format!(" ({wanted} is out of bounds)"));
            }
            metrics::decided(stage, to);
            let counted = scales.get(&stage).and_then(|scale| scale.replicas);
            let from = counted.or_else(|| self.wanted.get(&stage).copied()).unwrap_or(seen.replicas);
            if from != to && self.leads {
                self.scale(stage, from, to, &reason, trouble).await;
            }
            decided.push(StageDecision { stage: seen.stage.clone(), replicas: to, reason, inputs });
        }
        recorded.decided = decided;
    }

    async fn scale(&mut self, stage: StageName, from: u32, to: u32, reason: &str, trouble: &mut Trouble) {
        if let Err(error) = self.act.scale(stage, to).await {
            trouble.note(What::Scale, "scale not changed", error);
            return;
        }
        info!(%stage, from, to, reason, "scaled");
        metrics::changed(stage, from, to);
        self.wanted.insert(stage, to);
        self.observer.call_off(stage, from.saturating_sub(to));
    }

    /// Publishes and writes down what was seen and decided.
    async fn tell(&mut self, recorded: &Recorded, trouble: &mut Trouble) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.write(recorded)
        {
            trouble.note(What::Record, "not recorded", error);
        }
        // While the brokers are away decisions do not pile up.
        if self.batch.outstanding() > 0 {
            return;
        }
        if let Err(error) = self.publish(recorded).await {
            trouble.note(What::Publish, "decision not published", error);
        }
    }

    async fn publish(&self, recorded: &Recorded) -> Result<()> {
        let body = serde_json::to_vec(recorded).context("write a decision as JSON")?;
        let (topic, lane, headers) = (Topic::AutoscalerDecision, Lane::Standard, Headers::default());
        let post = Post { topic, lane, key: None, video: None, headers: &headers, body: &body };
        Ok(self.producer.post(post, &self.batch).await?)
    }
}

/// Notes which stages are as they were although what waits for them was read: their workers say nothing.
fn note_silence(lags: &Read, seen: &Observation, trouble: &mut Trouble) {
    let is_read =
        |stage: &Stage| stage.stage.parse().is_ok_and(|name: StageName| matches!(lags.get(&name), Some(Ok(_))));
    for stage in seen.stages.iter().filter(|stage| is_read(stage)) {
        if let Some(why) = &stage.stale {
            trouble.note(What::Reports, "not heard: a stage is as it was", anyhow!("{}: {why}", stage.stage));
        }
    }
}

/// What went wrong in one tick.
#[derive(Default)]
struct Trouble {
    first: Option<anyhow::Error>,
}

impl Trouble {
    fn note(&mut self, what: What, means: &'static str, error: anyhow::Error) {
        metrics::failed(what);
        warn!(error = format!("{error:#}"), "{means}");
        self.first.get_or_insert(error);
    }

    fn end(self) -> Result<()> {
        self.first.map_or(Ok(()), Err)
    }
}
