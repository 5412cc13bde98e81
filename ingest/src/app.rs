//! What every handler shares, and what an operator sets.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipeline::blob::Blobs;
use pipeline::id::TenantId;
use pipeline::lane::Lane;
use pipeline::outbox::Sink;
use pipeline::store::SharedStore;
use tokio_util::sync::CancellationToken;

use crate::forecast::Forecasts;
use crate::ledger::Ledger;
use crate::load::{Load, OverloadArgs, Workers};
use crate::removals::Removals;
use crate::tenants::Tenants;
use crate::unfinished::Queues;

/// How the HTTP API runs.
#[derive(clap::Args, Clone, Debug)]
pub struct IngestArgs {
    /// Address and port of the HTTP API.
    #[arg(long, env = "SPILLWAY_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// How long uploads and event streams may go on after the signal to stop, e.g. `20s`.
    #[arg(long, env = "SPILLWAY_INGEST_GRACE", default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub ingest_grace: Duration,
    /// What one upload and one tenant may take.
    #[command(flatten)]
    pub limits: Limits,
    /// When what is not needed any more goes.
    #[command(flatten)]
    pub keep: Keep,
    /// Who may come in, and how they share.
    #[command(flatten)]
    pub sharing: Sharing,
    /// When work is saved, and when it is refused.
    #[command(flatten)]
    pub overload: OverloadArgs,
}

/// Who may come in, and how they share.
#[derive(clap::Args, Clone, Debug)]
pub struct Sharing {
    /// File with the tenants, their keys' hashes and their quotas, see docs/overload.md; it is read again when it
    /// changes. Without one everybody is the tenant `default` and needs no key.
    #[arg(long, env = "SPILLWAY_TENANTS", value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// So many unfinished videos of a tenant (times its weight) keep the lane of their length, the others go lower; for
    /// installations with a file of tenants. 0 lets length alone count.
    #[arg(long, env = "SPILLWAY_FAIR_SHARE", default_value_t = 1, value_name = "VIDEOS")]
    pub fair_share: usize,
}

/// What one upload and one tenant may take.
#[derive(clap::Args, Clone, Debug)]
pub struct Limits {
    /// The largest upload, in bytes.
    #[arg(long, env = "SPILLWAY_MAX_UPLOAD_BYTES", default_value_t = 20 << 30, value_name = "BYTES")]
    pub max_upload_bytes: u64,
    /// The longest silence within an upload, e.g. `60s`.
    #[arg(long, env = "SPILLWAY_UPLOAD_IDLE", default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub upload_idle: Duration,
    /// The longest an upload may take, e.g. `12h`.
    #[arg(long, env = "SPILLWAY_UPLOAD_TOTAL", default_value = "12h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub upload_total: Duration,
    /// How long an answer waits for the broker; after that the sweep publishes, e.g. `2s`.
    #[arg(long, env = "SPILLWAY_PUBLISH_WAIT", default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub publish_wait: Duration,
    /// The bit rate by which an upload's length is guessed from its bytes until it is measured, in kbit/s.
    #[arg(long, env = "SPILLWAY_GUESSED_BITRATE", default_value_t = 4000, value_name = "KBPS")]
    pub guessed_bitrate_kbps: u32,
    /// Tenants with a right to the priority lane, separated by commas, where no file of tenants says who has it.
    #[arg(
        long,
        env = "SPILLWAY_PRIORITY_TENANTS",
        default_value = "default",
        value_delimiter = ',',
        value_name = "TENANT,..."
    )]
    pub priority_tenants: Vec<TenantId>,
}

/// When what is not needed any more goes.
#[derive(clap::Args, Clone, Debug)]
pub struct Keep {
    /// How often videos that did not reach the broker are published, e.g. `5s`.
    #[arg(long, env = "SPILLWAY_PUBLISH_EVERY", default_value = "5s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub publish_every: Duration,
    /// How often the blob store is walked for what can go, e.g. `5m`.
    #[arg(long, env = "SPILLWAY_SWEEP_EVERY", default_value = "5m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub sweep_every: Duration,
    /// How long segments and intermediate results stay after a video's end, e.g. `6h`.
    #[arg(long, env = "SPILLWAY_KEEP_SEGMENTS", default_value = "6h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub keep_segments: Duration,
    /// How long the source stays after a video's end, so that a dead letter can be replayed, e.g. `14d`.
    #[arg(long, env = "SPILLWAY_KEEP_SOURCES", default_value = "14d", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub keep_sources: Duration,
    /// How long an upload that was never finished stays, e.g. `24h`.
    #[arg(long, env = "SPILLWAY_KEEP_UNFINISHED", default_value = "24h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub keep_unfinished: Duration,
}

impl Limits {
    /// Guesses the lane of a video by its length; `fetch` sets it for good from the measured duration.
    pub fn guess_lane(&self, bytes: Option<u64>) -> Lane {
        match bytes {
            Some(bytes) => {
                Lane::for_duration(Duration::from_millis(bytes * 8 / u64::from(self.guessed_bitrate_kbps.max(1))))
            }
            None => Lane::Standard, // nothing is known of what a URL holds
        }
    }
}

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Videos, their logs and clips.
    pub store: SharedStore,
    /// Their bytes.
    pub blobs: Blobs,
    /// Where what happens is published; its `publish` must return only when the broker has acknowledged.
    pub events: Arc<dyn Sink>,
    /// What one upload and one tenant may take.
    pub limits: Arc<Limits>,
    /// Who may come in.
    pub tenants: Arc<Tenants>,
    /// How the service is.
    pub load: Arc<Load>,
    /// What workers say of themselves.
    pub workers: Arc<Workers>,
    /// Ends event streams when the process is to end.
    pub stop: CancellationToken,
    pub(crate) fair_share: usize,
    pub(crate) removals: Arc<Removals>,
    pub(crate) forecasts: Arc<Forecasts>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) ledger: Arc<Ledger>,
}

impl App {
    /// Puts together what handlers share.
    ///
    /// # Errors
    /// When the file of tenants cannot be read, or with one line for each mistake in it.
    pub fn new(
        store: SharedStore,
        blobs: Blobs,
        events: Arc<dyn Sink>,
        args: &IngestArgs,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let tenants = match &args.sharing.tenants {
            Some(path) => Tenants::read(path)?,
            None => Tenants::anybody(args.limits.priority_tenants.contains(&TenantId::default_tenant())),
        };
        Ok(Self {
            store,
            blobs,
            events,
            limits: Arc::new(args.limits.clone()),
            tenants: Arc::new(tenants),
            load: Arc::new(Load::new(args.overload.clone())),
            workers: Arc::default(),
            stop,
            fair_share: args.sharing.fair_share,
            removals: Arc::default(),
            forecasts: Arc::default(),
            queues: Arc::default(),
            ledger: Arc::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Args {
        #[command(flatten)]
        ingest: IngestArgs,
    }

    #[test]
    fn lanes_are_guessed_from_bytes() {
        let limits = Args::parse_from(["x"]).ingest.limits;
        assert_eq!(limits.guess_lane(Some(149_000_000)), Lane::Express);
        assert_eq!(limits.guess_lane(Some(151_000_000)), Lane::Standard);
        assert_eq!(limits.guess_lane(Some(10 << 30)), Lane::Batch);
        assert_eq!(limits.guess_lane(None), Lane::Standard);
    }
}
