//! The stage `fetch`: obtains the bytes, looks at them, and chooses the lane for good.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use pipeline::blob::{self, Kind};
use pipeline::event::{
    self, BlobRef, ClipReport, Envelope, Happened, Job, MediaInfo, Outgoing, StageTotal, VideoEvent, VideoReady,
    VideoSource, VideoSubmitted,
};
use pipeline::failure::{Code, Failure};
use pipeline::lane::Lane;
use pipeline::outbox::{Outbox, Pulse};
use pipeline::stage::{Stage, StageName};
use uuid::Uuid;

use crate::download::{self, Gate, Policy};
use crate::media::probe::{self, Limits};
use crate::services::Services;

/// What is admitted, and how URLs are fetched.
#[derive(clap::Args, Clone, Debug)]
pub struct FetchArgs {
    /// The longest video that is admitted, e.g. `12h`.
    #[arg(long, env = "SPILLWAY_MAX_DURATION", default_value = "12h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub max_duration: Duration,
    /// The largest file that is admitted, in bytes.
    #[arg(long, env = "SPILLWAY_MAX_BYTES", default_value_t = 20 << 30, value_name = "BYTES")]
    pub max_bytes: u64,
    /// The most frames a second that are admitted, on average.
    #[arg(long, env = "SPILLWAY_MAX_FRAME_RATE", default_value_t = 120.0, value_name = "FPS")]
    pub max_frame_rate: f64,
    /// The longest time a look at a file may take, e.g. `20s`.
    #[arg(long, env = "SPILLWAY_PROBE_TIMEOUT", default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub probe_timeout: Duration,
    /// Fetches URLs from private, loopback and reserved addresses too; only for trying things out.
    #[arg(long, env = "SPILLWAY_ALLOW_PRIVATE_URLS", value_parser = clap::builder::FalseyValueParser::new())]
    pub allow_private_urls: bool,
    /// The longest time a URL may take in all, e.g. `1h`.
    #[arg(long, env = "SPILLWAY_URL_TIMEOUT", default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub url_timeout: Duration,
    /// The longest time a URL may give no bytes, e.g. `30s`.
    #[arg(long, env = "SPILLWAY_URL_IDLE_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub url_idle_timeout: Duration,
}

/// What `fetch` says.
#[derive(Clone, Debug)]
pub enum Output {
    /// The video can be split.
    Ready(VideoReady),
    /// What was measured, and that `split` has one unit.
    Happened(VideoEvent),
    /// The video cannot be used.
    Failed(ClipReport),
}

impl Outgoing for Output {
    fn envelope(&self) -> Envelope {
        match self {
            Self::Ready(event) => Envelope::of(event),
            Self::Happened(event) => Envelope::of(event),
            Self::Failed(event) => Envelope::of(event),
        }
    }
}

/// The stage.
pub struct Fetch {
    services: Services,
    gate: Gate,
    args: Arc<FetchArgs>,
}

impl Fetch {
    /// Makes the stage.
    ///
    /// # Errors
    /// When a limit admits nothing.
    pub fn new(services: Services, args: FetchArgs) -> anyhow::Result<Self> {
        anyhow::ensure!(!args.max_duration.is_zero(), "--max-duration must be longer than nothing");
        anyhow::ensure!(args.max_bytes > 0, "--max-bytes must be more than nothing");
        anyhow::ensure!(args.max_frame_rate > 0.0, "--max-frame-rate must be more than nothing");
        let gate = if args.allow_private_urls { Gate::open() } else { Gate::public() };
        Ok(Self { services, gate, args: Arc::new(args) })
    }

    /// Has URLs fetched through `gate`.
    pub fn through(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }
}

impl Stage for Fetch {
    type In = VideoSubmitted;
    type Out = Output;
    const NAME: StageName = StageName::Fetch;

    fn failed(input: &VideoSubmitted, code: Code, detail: &str) -> Vec<Output> {
        vec![Output::Failed(event::video_failed(&input.job, Self::NAME, code, detail))]
    }

    async fn process(&self, input: VideoSubmitted, out: &Outbox<Output>) -> Result<(), Failure> {
        let (source, media) = self.obtain_and_probe(&input, &out.pulse()).await?;
        let job = final_lane(&input.job, &media);
        let happened = |what| Output::Happened(VideoEvent::new(&job, jiff::Timestamp::now(), what));
        out.send(happened(Happened::Ready(media.clone()))).await?;
        let total = StageTotal { stage: StageName::Split as i32, total: 1, ..StageTotal::default() };
        out.send(happened(Happened::Total(total))).await?;
        out.send(Output::Ready(VideoReady { job, source, media })).await
    }

    /// Removes a source that nothing can be made of. Not earlier: another attempt would find it gone, and say so.
    async fn given_up(&self, input: &VideoSubmitted, code: Code) {
        if !code.blames_input() {
            return;
        }
        let (tenant, video) = (input.job.tenant(), input.job.video());
        if let Err(error) = self.services.carrier.blobs().remove_kind(&tenant, video, Kind::Source).await {
            let error = anyhow::Error::from(error);
            tracing::warn!(%video, error = format!("{error:#}"), "rejected source not removed: the sweep will");
        }
    }
}

/// Keeps a right to `priority`; else the measured duration decides, and how much its tenant has unfinished.
fn final_lane(job: &Job, media: &MediaInfo) -> Job {
    match job.lane() {
        Lane::Priority => job.clone(),
        _ => job.in_lane(Lane::for_duration(media.duration().as_duration()).lower(job.lanes_lower)),
    }
}

impl Fetch {
    async fn obtain_and_probe(&self, input: &VideoSubmitted, pulse: &Pulse) -> Result<(BlobRef, MediaInfo), Failure> {
        let source = match &input.source {
            Some(VideoSource::Upload(blob)) => blob.clone(),
            Some(VideoSource::Url(url)) => self.download(&input.job, url, pulse).await?,
            None => return Err(Failure::reject(Code::MessageUnreadable, anyhow::anyhow!("no source is named"))),
        };
        if source.bytes > self.args.max_bytes {
            return Err(Failure::reject(Code::TooLarge, anyhow::anyhow!("{} bytes", source.bytes)));
        }
        let media = self.probe(&source, pulse).await?;
        Ok((source, media))
    }

    async fn download(&self, job: &Job, url: &str, pulse: &Pulse) -> Result<BlobRef, Failure> {
        let policy = Policy {
            gate: self.gate.clone(),
            max_bytes: self.args.max_bytes,
            total: self.args.url_timeout,
            idle: self.args.url_idle_timeout,
        };
        // A name for each attempt: a worker that stood still and goes on must not write over what was looked at since,
        // and a URL need not give the same bytes twice.
        let name = format!("fetched-{}", Uuid::new_v4().simple());
        let key = blob::key(&job.tenant(), job.video(), Kind::Source, &name);
        let mut upload = self.services.carrier.blobs().upload(&key).await?;
        match download::download(url, &policy, &mut upload, pulse).await {
            Ok(()) => Ok(upload.finish().await?),
            Err(failure) => {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "parts of a given up download stay");
                }
                Err(failure)
            }
        }
    }

    async fn probe(&self, source: &BlobRef, pulse: &Pulse) -> Result<MediaInfo, Failure> {
        let limits = Limits { duration: self.args.max_duration, frame_rate: self.args.max_frame_rate };
        let reader = self.services.carrier.blobs().reader(source);
        let bytes = source.bytes;
        probe_within(self.args.probe_timeout, reader, bytes, limits, pulse).await
    }
}

/// Probes on a blocking thread, for no longer than `limit`.
async fn probe_within(
    limit: Duration,
    reader: impl Read + Seek + Send + 'static,
    bytes: u64,
    limits: Limits,
    pulse: &Pulse,
) -> Result<MediaInfo, Failure> {
    let stop = pulse.stop().child_token();
    let _stop_on_drop = stop.clone().drop_guard();
    let pulse = Pulse::new(stop);
    let (reader, waiting) = Watched::new(reader);
    let probing = tokio::task::spawn_blocking(move || probe::probe(reader, bytes, &limits, &pulse));
    match tokio::time::timeout(limit, probing).await {
        Ok(probed) => probed.context("probe").map_err(Failure::Retry)?,
        // One short read that takes this long is the blob store's doing, whatever the file is.
        Err(elapsed) if waiting.so_far() >= limit / 4 => {
            Err(Failure::Unavailable(anyhow::Error::new(elapsed).context("wait for the source's bytes")))
        }
        Err(elapsed) => Err(Failure::reject(Code::ProbeTimeout, elapsed)),
    }
}

/// Since when a reader has been waiting for bytes, if it is.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Option<Instant>>>);

impl Waiting {
    fn so_far(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// A reader that tells how long it has been waiting.
struct Watched<R> {
    inner: R,
    waiting: Waiting,
}

impl<R> Watched<R> {
    fn new(inner: R) -> (Self, Waiting) {
        let waiting = Waiting::default();
        (Self { inner, waiting: waiting.clone() }, waiting)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.waiting.set(Some(Instant::now()));
        let read = self.inner.read(buffer);
        self.waiting.set(None);
        read
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives no byte for a while.
    struct Stuck(Duration);

    impl Read for Stuck {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(self.0);
            Ok(0)
        }
    }

    impl Seek for Stuck {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    /// Gives a byte at a time, for ever.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(2));
            buffer[0] = 0;
            Ok(1)
        }
    }

    impl Seek for Endless {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn the_measured_duration_and_the_tenants_share_choose_the_lane() {
        let tenant = pipeline::id::TenantId::default_tenant();
        let lane = |guess, lanes_lower, seconds: i64| {
            let mut job = Job::new(&tenant, pipeline::id::VideoId::random(), guess, event::Options::default());
            job.lanes_lower = lanes_lower;
            final_lane(&job, &MediaInfo { duration_us: seconds * 1_000_000, ..MediaInfo::default() }).lane()
        };
        assert_eq!(lane(Lane::Batch, 0, 60), Lane::Express);
        assert_eq!(lane(Lane::Standard, 1, 60), Lane::Standard);
        assert_eq!(lane(Lane::Batch, 2, 60), Lane::Batch);
        assert_eq!(lane(Lane::Batch, 2, 7200), Lane::Batch);
        assert_eq!(lane(Lane::Priority, 0, 7200), Lane::Priority);
    }

    #[tokio::test]
    async fn a_file_that_is_not_understood_in_time_is_rejected() {
        let limits = Limits { duration: Duration::from_secs(60), frame_rate: 120.0 };
        let pulse = Pulse::new(tokio_util::sync::CancellationToken::new());
        let probed = probe_within(Duration::from_millis(400), Endless, 1 << 30, limits, &pulse).await;
        assert!(matches!(probed, Err(Failure::Reject { code: Code::ProbeTimeout, .. })), "{probed:?}");
    }

    #[tokio::test]
    async fn a_blob_store_that_does_not_answer_is_not_the_videos_fault() {
        let limits = Limits { duration: Duration::from_secs(60), frame_rate: 120.0 };
        let pulse = Pulse::new(tokio_util::sync::CancellationToken::new());
        let (limit, stuck) = (Duration::from_millis(100), Stuck(Duration::from_millis(500)));
        let probed = probe_within(limit, stuck, 1000, limits, &pulse).await;
        assert!(matches!(probed, Err(Failure::Unavailable(_))), "{probed:?}");
    }
}
