//! The stage `split`: one pass over the source, pieces of picture and sound sent on as soon as they exist.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{
    self, AudioSegment, ClipReport, Envelope, Happened, Job, MediaInfo, Outgoing, Payload, Place, SegmentReport,
    SegmentReportKind, SegmentTotal, StageTotal, VideoEvent, VideoReady, VideoSegment,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::{Outbox, Stopped};
use pipeline::stage::{Stage, StageName};
use tempfile::SpooledTempFile;
use tokio::sync::{mpsc, watch};

use crate::media::piece::Keep;
use crate::media::segment::{self, Piece, Plan};
use crate::services::Services;
use backlog::Backlog;
use windows::{Closed, Windows};

mod backlog;
mod windows;

/// How `split` cuts.
#[derive(clap::Args, Clone, Debug)]
pub struct SplitArgs {
    /// Least length of a piece of picture; it ends at the first keyframe after that, e.g. `6s`.
    #[arg(long, env = "SPILLWAY_SEGMENT_TARGET", default_value = "6s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub segment_target: Duration,
    /// A piece of picture of this size ends at the next keyframe even if it is shorter, in bytes.
    #[arg(long, env = "SPILLWAY_SEGMENT_ENOUGH_BYTES", default_value_t = 3 << 20, value_name = "BYTES")]
    pub segment_enough_bytes: u64,
    /// The most of a piece of picture, in bytes; a video with more between two keyframes is refused.
    #[arg(long, env = "SPILLWAY_SEGMENT_MAX_BYTES", default_value_t = 4 << 30, value_name = "BYTES")]
    pub segment_max_bytes: u64,
    /// The most frames of a piece of picture; a video with more between two keyframes is refused.
    #[arg(long, env = "SPILLWAY_SEGMENT_MAX_FRAMES", default_value_t = 432_000, value_name = "COUNT")]
    pub segment_max_frames: u64,
    /// A piece of picture is kept in memory up to this size, then in a temporary file, in bytes.
    #[arg(long, env = "SPILLWAY_SEGMENT_MEMORY_BYTES", default_value_t = 16 << 20, value_name = "BYTES")]
    pub segment_memory_bytes: usize,
    /// Folder for these files, each of `--segment-max-bytes` at the most: one keyframe in all of a video makes one piece of
    /// it [default: the system's temporary folder].
    #[arg(long, env = "SPILLWAY_SEGMENT_SCRATCH", value_name = "DIR")]
    pub segment_scratch: Option<PathBuf>,
    /// While this much waits for `transcribe` and `analyze`, no more is made, in bytes; from half of it on, pieces go to the blob
    /// store. 0 makes as much as there is.
    #[arg(long, env = "SPILLWAY_BACKLOG_BYTES", default_value_t = 16 << 30, value_name = "BYTES")]
    pub backlog_bytes: u64,
}

/// What `split` says.
#[derive(Clone, Debug)]
pub enum Output {
    /// A piece of sound.
    Audio(AudioSegment),
    /// A piece of picture.
    Video(VideoSegment),
    /// How many pieces a window has.
    Report(SegmentReport),
    /// How many units the stages after have.
    Happened(VideoEvent),
    /// The video cannot be split.
    Failed(ClipReport),
}

impl Outgoing for Output {
    fn envelope(&self) -> Envelope {
        match self {
            Self::Audio(event) => Envelope::of(event),
            Self::Video(event) => Envelope::of(event),
            Self::Report(event) => Envelope::of(event),
            Self::Happened(event) => Envelope::of(event),
            Self::Failed(event) => Envelope::of(event),
        }
    }
}

/// The stage.
pub struct Split {
    services: Services,
    plan: Plan,
    backlog: Backlog,
}

impl Split {
    /// Makes the stage.
    ///
    /// # Errors
    /// When the target length is zero, or the most of a piece less than enough.
    pub fn new(services: Services, args: SplitArgs) -> anyhow::Result<Self> {
        Self::ahead_of(services, args, watch::channel(0).1)
    }

    /// Makes the stage; `waiting` says how many of its pieces the stages after it have not finished.
    ///
    /// # Errors
    /// When the target length is zero, or the most of a piece less than enough.
    pub fn ahead_of(services: Services, args: SplitArgs, waiting: watch::Receiver<u64>) -> anyhow::Result<Self> {
        anyhow::ensure!(!args.segment_target.is_zero(), "--segment-target must be longer than nothing");
        let is_room = args.segment_max_bytes > args.segment_enough_bytes && args.segment_max_frames > 0;
        anyhow::ensure!(
            is_room,
            "--segment-max-bytes must be above --segment-enough-bytes, --segment-max-frames above 0"
        );
        let plan = Plan {
            target_us: i64::try_from(args.segment_target.as_micros()).context("--segment-target is too long")?,
            enough_bytes: args.segment_enough_bytes,
            most_bytes: args.segment_max_bytes,
            most_frames: args.segment_max_frames,
            keep: Keep {
                memory_bytes: args.segment_memory_bytes,
                scratch: args.segment_scratch.unwrap_or_else(std::env::temp_dir),
            },
        };
        let limit_bytes = if args.backlog_bytes == 0 { u64::MAX } else { args.backlog_bytes };
        Ok(Self { services, plan, backlog: Backlog::new(waiting, limit_bytes) })
    }
}

/// Pieces that wait between the thread that reads and the task that sends.
const PIECES_WAITING: usize = 2;

impl Stage for Split {
    type In = VideoReady;
    type Out = Output;
    const NAME: StageName = StageName::Split;

    fn failed(input: &VideoReady, code: Code, detail: &str) -> Vec<Output> {
        vec![Output::Failed(event::video_failed(&input.job, Self::NAME, code, detail))]
    }

    async fn process(&self, input: VideoReady, out: &Outbox<Output>) -> Result<(), Failure> {
        let (give, mut pieces) = mpsc::channel(PIECES_WAITING);
        let reader = self.services.carrier.blobs().reader(&input.source);
        let (media, plan, pulse) = (input.media.clone(), self.plan.clone(), out.pulse());
        let reading = tokio::task::spawn_blocking(move || {
            segment::segment(reader, &media, plan, &pulse, |piece| give.blocking_send(piece).map_err(|_| Stopped))
        });
        let mut sender = Sender { stage: self, input: &input, out, windows: Windows::of(&input) };
        sender.announce().await?;
        while let Some(piece) = pieces.recv().await {
            self.backlog.room(&out.pulse()).await?;
            sender.send(piece).await?;
        }
        reading.await.context("read source").map_err(Failure::Retry)??;
        sender.finish().await
    }
}

/// Sends what the reading thread finds.
struct Sender<'a> {
    stage: &'a Split,
    input: &'a VideoReady,
    out: &'a Outbox<Output>,
    windows: Windows,
}

impl Sender<'_> {
    fn job(&self) -> &Job {
        &self.input.job
    }

    /// Says how many windows there will be: units of `join` and `moments`.
    async fn announce(&self) -> Result<(), Failure> {
        for window in 0..self.windows.count() {
            for stage in [StageName::Join, StageName::Moments] {
                self.total(stage, 1, window).await?;
            }
        }
        Ok(())
    }

    async fn total(&self, stage: StageName, total: u32, window: u32) -> Result<(), Failure> {
        let total = StageTotal { stage: stage as i32, total, window, ..StageTotal::default() };
        let event = VideoEvent::new(self.job(), jiff::Timestamp::now(), Happened::Total(total));
        self.out.send(Output::Happened(event)).await
    }

    async fn send(&mut self, piece: Piece) -> Result<(), Failure> {
        match piece {
            Piece::Video { start_us, end_us, file, demuxer, origin_us } => {
                let placed = self.windows.add_video(start_us, end_us);
                self.close(placed.closed).await?;
                let file = self.pack(&format!("video-{:06}", placed.index), file).await?;
                let media = MediaInfo { origin_us, ..self.input.media.clone() };
                self.out
                    .send(Output::Video(VideoSegment {
                        job: self.job().clone(),
                        index: placed.index,
                        window: placed.window,
                        start_us,
                        end_us,
                        media,
                        file,
                        demuxer: demuxer.to_owned(),
                    }))
                    .await?;
                self.grow(StageName::Analyze, placed.in_window, placed.window).await
            }
            Piece::Audio { start_us, end_us, samples } => {
                let placed = self.windows.add_audio(start_us, end_us);
                self.close(placed.closed).await?;
                let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                let key = self.key(&format!("audio-{:06}", placed.index));
                let samples = self.place(&key, bytes.into()).await?;
                self.out
                    .send(Output::Audio(AudioSegment {
                        job: self.job().clone(),
                        index: placed.index,
                        window: placed.window,
                        start_us,
                        end_us,
                        samples,
                    }))
                    .await?;
                self.grow(StageName::Transcribe, placed.in_window, placed.window).await
            }
            Piece::NoSound => {
                self.windows.expect_no_sound();
                Ok(())
            }
        }
    }

    /// Tells of a growing total, now and then; the exact one comes when the window closes.
    async fn grow(&self, stage: StageName, total: u32, window: u32) -> Result<(), Failure> {
        if total % 10 == 1 { self.total(stage, total, window).await } else { Ok(()) }
    }

    async fn finish(mut self) -> Result<(), Failure> {
        let closed = self.windows.finish();
        self.close(closed).await
    }

    async fn close(&self, closed: Vec<Closed>) -> Result<(), Failure> {
        for window in closed {
            for (stage, total) in [(StageName::Transcribe, window.audio), (StageName::Analyze, window.video)] {
                self.total(stage, total, window.index).await?;
            }
            let total = SegmentTotal {
                audio: window.audio,
                video: window.video,
                last: window.last,
                start_us: window.start_us,
                end_us: window.end_us,
                media: self.input.media.clone(),
                source: self.input.source.clone(),
                reopened_by: Vec::new(),
            };
            let kind = Some(SegmentReportKind::Total(total));
            self.out
                .send(Output::Report(SegmentReport { job: self.job().clone(), window: window.index, kind }))
                .await?;
        }
        Ok(())
    }

    fn key(&self, id: &str) -> String {
        blob::key(&self.job().tenant(), self.job().video(), Kind::Segment, id)
    }

    /// Packs bytes of a piece, into the message unless much waits already.
    async fn place(&self, key: &str, bytes: Bytes) -> Result<Payload, Failure> {
        let Split { services, backlog, .. } = self.stage;
        backlog.made(bytes.len() as u64);
        let packed = match backlog.is_much() {
            true => services.carrier.pack_apart(key, bytes).await,
            false => services.carrier.pack(key, bytes).await,
        };
        Ok(packed?)
    }

    /// Packs a piece of picture; one that is in a temporary file goes to the blob store part by part.
    async fn pack(&self, id: &str, file: SpooledTempFile) -> Result<Payload, Failure> {
        const PART_BYTES: u64 = 8 << 20;
        let key = self.key(id);
        if !file.is_rolled() {
            let (bytes, _) = read_part(file, u64::MAX).await?;
            return self.place(&key, bytes).await;
        }
        let mut upload = self.stage.services.carrier.blobs().upload(&key).await?;
        let mut rest = file;
        loop {
            self.out.pulse().beat()?;
            let (part, file) = read_part(rest, PART_BYTES).await?;
            rest = file;
            if part.is_empty() {
                let blob = upload.finish().await?;
                self.stage.backlog.made(blob.bytes);
                return Ok(Payload { place: Some(Place::Blob(blob)) });
            }
            upload.write(part).await?;
        }
    }
}

/// Reads at most `most` bytes on from where `file` is.
async fn read_part(mut file: SpooledTempFile, most: u64) -> Result<(Bytes, SpooledTempFile), Failure> {
    let read = move || {
        let mut part = Vec::new();
        (&mut file).take(most).read_to_end(&mut part).map(|_| (Bytes::from(part), file))
    };
    let read = tokio::task::spawn_blocking(read).await.context("read piece").map_err(Failure::Retry)?;
    read.map_err(|e| Failure::Unavailable(anyhow::Error::new(e).context("read temporary file")))
}
