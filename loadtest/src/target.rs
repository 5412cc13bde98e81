//! Where the load goes: how it is reached, what is sent there, and the sending itself.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use jiff::Timestamp;
use pipeline::kafka::BrokerArgs;
use planning::plan::lengths::Lengths;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::args::LoadArgs;
use crate::client::{Client, Content, Request};
use crate::drive::{Drive, Ledger};
use crate::follow::{Follower, Stories};
use crate::live::Live;
use crate::material::Material;
use crate::mix::{Arrival, Sender};
use crate::observe::Observer;
use crate::report::About;
use crate::schedule::Schedule;
use crate::spec::Spec;
use crate::system::System;
use crate::web::Web;

/// Lengths of the videos that emulated workers are given.
const EMULATED_LENGTHS: [(u64, f64); 4] = [(60, 2.0), (180, 4.0), (600, 3.0), (2400, 1.0)];
/// Lengths of the videos that are made.
const MADE_LENGTHS: [(u64, f64); 2] = [(10, 1.0), (30, 1.0)];

/// Where the load goes and what is sent there.
pub(crate) struct Target {
    pub(crate) client: Client,
    pub(crate) senders: Vec<Sender>,
    pub(crate) material: Material,
    web: Web,
    server: Url,
    pub(crate) brokers: Option<BrokerArgs>,
    pub(crate) spec: Option<Spec>,
    pub(crate) max_workers: Option<u32>,
    /// Puts this run's videos apart from those of other runs.
    mark: String,
}

/// What a stretch of load came to.
pub(crate) struct Ran {
    pub(crate) begun_at: Timestamp,
    pub(crate) ledger: Ledger,
    pub(crate) stories: Stories,
}

impl Target {
    pub(crate) async fn new(
        args: &LoadArgs,
        seed: u64,
        senders: Vec<Sender>,
        system: Option<&(System, Spec)>,
        folder: &Path,
    ) -> Result<Self> {
        let spec = match (system, &args.target.emulated_by) {
            (Some((_, spec)), _) => Some(spec.clone()),
            (None, Some(file)) => Some(Spec::read(file)?),
            (None, None) => None,
        };
        let material = material(args, spec.is_some(), folder).await?;
        let web = Web::start(material.bodies.clone()).await?;
        let server = system.map_or_else(|| args.target.server.clone(), |(system, _)| system.server.clone());
        let brokers = match (system, &args.target.brokers) {
            (Some((system, _)), _) => Some(system.brokers()),
            (None, Some(list)) => Some(reached_at(list)?),
            (None, None) => None,
        };
        let client = Client::new(server.clone())?;
        client.check(senders[0].key.as_deref()).await?;
        let max_workers = system.map(|_| args.emulation.max_workers);
        // In a system of its own the same seed makes the same videos; elsewhere an earlier run's are not to be met again.
        let mark = match system {
            Some(_) => format!("loadtest-{seed}"),
            None => format!("loadtest-{seed}-{:08x}", rand::random::<u32>()),
        };
        Ok(Self { client, senders, material, web, server, brokers, spec, max_workers, mark })
    }

    /// Returns how many times faster than the schedule it goes.
    pub(crate) fn time_scale(&self) -> f64 {
        self.spec.as_ref().map_or(1.0, |spec| spec.time_scale)
    }

    /// Sends `arrivals` and follows what is accepted until all has ended or the patience is over.
    pub(crate) async fn send(
        &self,
        arrivals: &[Arrival],
        args: &LoadArgs,
        observer: Option<&Observer>,
        stop: &CancellationToken,
    ) -> Ran {
        let (ledger, stories) = (Ledger::default(), Stories::default());
        let time_scale = self.time_scale();
        let (all_sent, sent) = watch::channel(false);
        let follower = Follower {
            client: self.client.clone(),
            senders: self.senders.clone(),
            ledger: ledger.clone(),
            stories: stories.clone(),
        };
        let patience = Duration::from_secs_f64(args.target.patience.as_secs_f64() / time_scale);
        let connections = args.target.connections as usize;
        let drive = Drive { client: &self.client, time_scale, connections, ledger: &ledger, stop };
        let live = Live { planned: arrivals.len(), time_scale, ledger: &ledger, stories: &stories, observer };
        let driven = async {
            let begun_at = drive.send(arrivals, |arrival| self.request(arrival)).await;
            all_sent.send_replace(true);
            begun_at
        };
        let followed = async {
            tokio::select! {
                () = follower.run(sent, patience) => {}
                () = stop.cancelled() => {}
            }
        };
        let (begun_at, ()) = tokio::select! {
            ran = async { tokio::join!(driven, followed) } => ran,
            never = live.show() => match never {},
        };
        Ran { begun_at, ledger, stories }
    }

    fn request(&self, arrival: &Arrival) -> Request {
        Request {
            key: self.senders[arrival.sender].key.clone(),
            name: format!("{}-{}", self.mark, arrival.number),
            priority: arrival.priority,
            content: match arrival.by_url {
                true => Content::Url(self.web.url(arrival.kind, arrival.number)),
                false => Content::Upload(self.material.bodies[arrival.kind].clone()),
            },
        }
    }

    pub(crate) fn about(&self, args: &LoadArgs, seed: u64, begun_at: Timestamp) -> About {
        let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let build = if cfg!(debug_assertions) { ", a debug build: its numbers mean nothing," } else { "" };
        About {
            spillway: format!("spillway {}{build}", env!("CARGO_PKG_VERSION")),
            schedule: args.schedule.as_ref().map_or(String::new(), Schedule::to_string),
            seed,
            begun_at,
            server: match self.max_workers {
                Some(max) => format!("a system of its own with at most {max} slots a stage"),
                None => self.server.to_string(),
            },
            emulated: self.spec.clone(),
            max_workers: self.max_workers,
            time_scale: self.time_scale(),
            material: self.material.words.clone(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: processor.map_or("an unknown processor", |(_, name)| name.trim()).to_owned(),
        }
    }
}

async fn material(args: &LoadArgs, is_emulated: bool, folder: &Path) -> Result<Material> {
    let lengths = |usual: &[(u64, f64)]| {
        let usual = || Lengths(usual.iter().map(|(s, weight)| (Duration::from_secs(*s), *weight)).collect());
        args.mix.lengths.clone().unwrap_or_else(usual)
    };
    if is_emulated {
        return Ok(Material::tokens(&lengths(&EMULATED_LENGTHS), args.emulation.upload_kib as usize * 1024));
    }
    if args.video.is_empty() {
        return Material::made(&lengths(&MADE_LENGTHS), folder).await;
    }
    Material::files(&args.video)
}

/// Returns how brokers of an installation are reached: as its own processes would, from the same variables.
fn reached_at(list: &str) -> Result<BrokerArgs> {
    #[derive(Parser)]
    struct Shared {
        #[command(flatten)]
        brokers: BrokerArgs,
    }
    let shared = Shared::try_parse_from(["loadtest", "--brokers", list]).context("read settings")?;
    Ok(shared.brokers)
}
