//! How `spillway dev --autoscale` has as many slots as the work needs, and how its workers only take time when work is
//! emulated.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use autoscaler::act::Act;
use autoscaler::act::local::Local;
use autoscaler::{Bounds, Health, PolicyArgs, RecordArgs, Settings};
use pipeline::kafka::BrokerArgs;
use planning::stages::STAGES;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Slots of a process that emulates: it only waits.
const EMULATED_SLOTS: u32 = 100;
/// What an emulated record is taken to need until some were done: the times of the system that is emulated are longer than
/// ours.
const EMULATED_SERVICE: Duration = Duration::from_secs(60);
/// Between heartbeats of a worker; an emulation has them as much more often as its clock goes faster.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The least of that.
const LEAST_REPORT_EVERY: Duration = Duration::from_millis(50);

/// What `spillway dev` needs to know about scaling.
#[derive(clap::Args, Clone, Debug)]
pub struct ScalingArgs {
    /// Scale the slots of the stages that work by what waits for them; processes are started and ended as they need.
    #[arg(long, env = "SPILLWAY_DEV_AUTOSCALE")]
    pub autoscale: bool,
    /// The most slots of one process [default: the number of cores; 100 when work is emulated].
    #[arg(long, env = "SPILLWAY_SLOTS_PER_PROCESS", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots_per_process: Option<u32>,
    /// Emulate the work of fetch, split, transcribe, analyze, moments and cut, as `spillway loadtest` wrote it down: they
    /// take time and do nothing. Everything else is real.
    #[arg(long, value_name = "SPEC.json")]
    pub emulate: Option<PathBuf>,
    /// How many times faster than the world's the autoscaler's clock goes, 1 to 1000, with work emulated as much faster.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = factor, requires = "emulate")]
    pub time_scale: f64,
    #[command(flatten)]
    pub policy: PolicyArgs,
    #[command(flatten)]
    pub bounds: Bounds,
    #[command(flatten)]
    pub record: RecordArgs,
}

impl ScalingArgs {
    /// Returns the most slots of one process, on a machine of so many cores.
    pub fn slots_per_process(&self, cores: u32) -> u32 {
        self.slots_per_process.unwrap_or(if self.emulate.is_some() { EMULATED_SLOTS } else { cores })
    }

    /// Returns how often workers report.
    pub fn report_every(&self) -> Duration {
        REPORT_EVERY.div_f64(self.time_scale).max(LEAST_REPORT_EVERY)
    }
}

/// Gives each stage its fewest slots, then scales until `stop`, telling `health` whether that goes well; ends when all
/// processes have.
///
/// # Errors
/// When a process cannot be started, or the brokers cannot be reached at the start.
pub async fn run(
    brokers: BrokerArgs,
    args: ScalingArgs,
    local: Local,
    health: Health,
    stop: CancellationToken,
) -> Result<()> {
    let pins = args.bounds.pins();
    for stage in STAGES {
        local.scale(stage, args.bounds.clamp(0, pins.get(&stage))).await?;
    }
    let ScalingArgs { mut policy, bounds, time_scale, record, emulate, .. } = args;
    if emulate.is_some() && policy.service_time.is_empty() {
        policy.service_time.push((None, EMULATED_SERVICE));
    }
    let settings = Settings { policy, bounds, time_scale, record };
    let scaling = async {
        let outcome = autoscaler::run(&brokers, settings, &local, watch::channel(true).1, health, stop.clone());
        let outcome = outcome.await;
        stop.cancel();
        outcome
    };
    let (scaled, ended) = tokio::join!(scaling, async {
        let ended = local.run().await;
        stop.cancel();
        ended
    });
    scaled.and(ended)
}

fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (1.0..=1000.0).contains(&factor) { Ok(factor) } else { Err("give 1 to 1000".to_owned()) }
}
