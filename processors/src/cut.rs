//! The stage `cut`: makes one clip from the source with its captions and a still picture, checks and releases it.

mod captions;

use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use pipeline::blob::{self, Blobs, Reader, Upload};
use pipeline::event::{
    Captions, Clip, ClipPlanned, ClipReport, ClipReportKind, Envelope, Happened, Job, Outgoing, VideoEvent, clip_failed,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::{Outbox, Pulse};
use pipeline::stage::{Stage, StageName};
use sha2::{Digest, Sha256};

use crate::media::render::{self, Encoding, Plan, Rendered};
use crate::services::Services;

/// How clips are encoded.
#[derive(clap::Args, Clone, Debug)]
pub struct CutArgs {
    /// x264's preset: a faster one costs less CPU and more bytes.
    #[arg(long, env = "SPILLWAY_X264_PRESET", value_name = "PRESET", default_value = "superfast", value_parser = clap::builder::PossibleValuesParser::new(PRESETS))]
    pub x264_preset: String,
    /// x264's preset for videos that were accepted while the service was degraded.
    #[arg(long, env = "SPILLWAY_DEGRADED_X264_PRESET", value_name = "PRESET", default_value = "ultrafast", value_parser = clap::builder::PossibleValuesParser::new(PRESETS))]
    pub degraded_x264_preset: String,
    /// x264's constant rate factor, 1-51: lower is better and larger.
    #[arg(long, env = "SPILLWAY_CRF", value_name = "FACTOR", default_value_t = 26.0, value_parser = parse_crf)]
    pub crf: f64,
    /// Threads of one encoder; a worker runs as many encoders as it has slots.
    #[arg(long, env = "SPILLWAY_ENCODE_THREADS", value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub encode_threads: u32,
    /// Threads of one decoder.
    #[arg(long, env = "SPILLWAY_DECODE_THREADS", value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub decode_threads: u32,
    /// Family name of the font that captions are drawn with.
    #[arg(long, env = "SPILLWAY_CAPTION_FONT", default_value = "DejaVu Sans", value_name = "NAME")]
    pub caption_font: String,
    /// Folder for unfinished clips, a few hundred MB a slot at the most [default: the system's temporary folder].
    #[arg(long, env = "SPILLWAY_SCRATCH", value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

const PRESETS: [&str; 9] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];

fn parse_crf(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (1.0..=51.0).contains(&value) { Ok(value) } else { Err("must be from 1 to 51".to_owned()) }
}

/// The stage.
pub struct Cut {
    blobs: Blobs,
    args: CutArgs,
    scratch: PathBuf,
}

impl Cut {
    /// Makes the stage.
    ///
    /// # Errors
    /// When the folder for unfinished clips cannot be made.
    pub fn new(services: Services, args: CutArgs) -> anyhow::Result<Self> {
        let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("make the folder for unfinished clips {}", scratch.display()))?;
        Ok(Self { blobs: services.carrier.blobs().clone(), args, scratch })
    }

    fn encoding(&self, job: &Job) -> Encoding {
        let preset = if job.degraded { &self.args.degraded_x264_preset } else { &self.args.x264_preset };
        Encoding {
            preset: preset.clone(),
            crf: self.args.crf,
            encode_threads: self.args.encode_threads,
            decode_threads: self.args.decode_threads,
        }
    }

    /// Sends the finished file in parts; returns what makes it visible, and its hash.
    async fn upload(&self, file: &Scratch, key: &str, pulse: &Pulse) -> Result<(Upload, String), Failure> {
        let mut upload = self.blobs.upload(key).await?;
        let mut reader = PartReader::open(&file.path(), self.blobs.part_bytes()).map_err(Failure::Unavailable)?;
        loop {
            pulse.beat()?;
            let (back, part) = blocking(move || {
                let part = reader.next()?;
                Ok((reader, part))
            })
            .await?;
            reader = back;
            if part.is_empty() {
                break;
            }
            upload.write(part).await?;
        }
        Ok((upload, reader.sha256()))
    }

    /// Stores the clip's files and returns the clip with them.
    async fn release(&self, input: &ClipPlanned, made: Made, out: &Outbox<Output>) -> Result<Clip, Failure> {
        let (tenant, video) = (input.job.tenant(), input.job.video());
        let key = |kind| blob::key(&tenant, video, blob::Kind::Clip, &format!("{}.{kind}", input.clip.id));
        let [mp4, jpg, frame, vtt] = ["mp4", "jpg", "frame.jpg", "vtt"].map(key);
        let (upload, sha256) = self.upload(&made.file, &mp4, &out.pulse()).await?;
        let captions = async {
            match made.web_vtt {
                Some(text) => self.blobs.put(&vtt, text.into()).await.map(Some),
                None => Ok(None),
            }
        };
        // All files at once, because one answer stands for them all.
        out.confirm().await?;
        let (video, poster, frame, captions) = tokio::try_join!(
            upload.finish(),
            self.blobs.put(&jpg, made.rendered.poster.into()),
            self.blobs.put(&frame, made.rendered.source.into()),
            captions,
        )?;
        Ok(Clip {
            video: Some(video),
            poster: Some(poster),
            frame: Some(frame),
            captions,
            sha256,
            degraded: input.job.degraded,
            ..input.clip.clone()
        })
    }
}

/// What `cut` says.
pub enum Output {
    /// The clip is there.
    Happened(Box<VideoEvent>),
    /// What became of it.
    Report(Box<ClipReport>),
}

impl Outgoing for Output {
    fn envelope(&self) -> Envelope {
        match self {
            Self::Happened(event) => Envelope::of(event.as_ref()),
            Self::Report(report) => Envelope::of(report.as_ref()),
        }
    }
}

impl Stage for Cut {
    type In = ClipPlanned;
    type Out = Output;
    const NAME: StageName = StageName::Cut;

    fn failed(input: &ClipPlanned, code: Code, detail: &str) -> Vec<Output> {
        vec![Output::Report(Box::new(clip_failed(&input.job, &input.clip.id, Self::NAME, code, detail)))]
    }

    async fn process(&self, input: ClipPlanned, out: &Outbox<Output>) -> Result<(), Failure> {
        let work = Work {
            reader: self.blobs.reader(&input.source),
            input: input.clone(),
            encoding: self.encoding(&input.job),
            font: self.args.caption_font.clone(),
            scratch: self.scratch.clone(),
            pulse: out.pulse(),
        };
        let made = tokio::task::spawn_blocking(move || work.run()).await.map_err(|e| Failure::Retry(e.into()))??;
        tracing::debug!(
            clip = input.clip.id,
            frames = made.rendered.frames,
            duration_s = made.rendered.duration_us as f64 / 1e6,
            "clip rendered"
        );
        let clip = self.release(&input, made, out).await?;
        let report = ClipReport { job: input.job.clone(), kind: Some(ClipReportKind::Done(clip.id.clone())) };
        let event = VideoEvent::new(&input.job, jiff::Timestamp::now(), Happened::ClipReady(clip));
        out.send(Output::Happened(Box::new(event))).await?;
        out.send(Output::Report(Box::new(report))).await
    }
}

/// What a blocking thread needs to make a clip.
struct Work {
    reader: Reader,
    input: ClipPlanned,
    encoding: Encoding,
    font: String,
    scratch: PathBuf,
    pulse: Pulse,
}

/// A clip in a file that goes when this does.
struct Made {
    file: Scratch,
    rendered: Rendered,
    web_vtt: Option<String>,
}

impl Work {
    fn run(self) -> Result<Made, Failure> {
        let file = Scratch::new(&self.scratch)?;
        let (options, clip) = (&self.input.job.options, &self.input.clip);
        let (width, height) = options.frame_size();
        let layout = captions::Layout::new(width, height);
        let subtitles = self.subtitles(&layout)?;
        let plan = Plan {
            media: self.input.media.clone(),
            start_us: clip.start_us,
            end_us: clip.end_us,
            framings: clip.framings.clone(),
            width,
            height,
            subtitles: subtitles.as_ref().map(Scratch::path),
            encoding: self.encoding.clone(),
        };
        let rendered = render::render(self.reader, &plan, &file.path(), &self.pulse).map_err(failure)?;
        let web_vtt = (options.captions() != Captions::None).then(|| {
            // Counted from the frame that the clip really begins with.
            captions::web_vtt(&captions::cues(&clip.words, rendered.first_us, clip.end_us, &layout))
        });
        Ok(Made { file, rendered, web_vtt })
    }

    /// Writes the captions to be burned in, if any, and returns the file.
    fn subtitles(&self, layout: &captions::Layout) -> Result<Option<Scratch>, Failure> {
        let clip = &self.input.clip;
        if self.input.job.options.captions() != Captions::Burn {
            return Ok(None);
        }
        let cues = captions::cues(&clip.words, clip.start_us, clip.end_us, layout);
        if cues.is_empty() {
            return Ok(None);
        }
        captions::find_font(std::env::home_dir().as_deref()).map_err(|e| Failure::Retry(e.into()))?;
        let mut file = Scratch::new(&self.scratch)?;
        let written = file.0.write_all(captions::ass(&cues, layout, &self.font).as_bytes());
        written.context("write captions").map_err(Failure::Unavailable)?;
        Ok(Some(file))
    }
}

/// A file without a name: whatever ends the process, `kill -9` too, the system frees what it held.
struct Scratch(File);

impl Scratch {
    fn new(folder: &Path) -> Result<Self, Failure> {
        let file = tempfile::tempfile_in(folder);
        Ok(Self(file.context("make a file for the unfinished clip").map_err(Failure::Unavailable)?))
    }

    /// Returns what opens it, from its beginning, as long as this lives.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

/// Says which kind of failure an error of the renderer is.
fn failure(error: render::Error) -> Failure {
    match error {
        render::Error::Stopped(stopped) => stopped.into(),
        render::Error::Unreadable(failure) => *failure,
        render::Error::NoPicture { .. } => Failure::reject(Code::Undecodable, error),
        render::Error::Invalid(_) => Failure::reject(Code::ClipInvalid, error),
        render::Error::Step { .. } | render::Error::Scale(_) => Failure::Retry(error.into()),
    }
}

/// Reads a file part by part and hashes it on the way.
struct PartReader {
    file: File,
    part_bytes: usize,
    hash: Sha256,
}

impl PartReader {
    fn open(path: &Path, part_bytes: usize) -> anyhow::Result<Self> {
        let file = File::open(path).context("open the finished clip")?;
        Ok(Self { file, part_bytes, hash: Sha256::new() })
    }

    /// Returns the next part, an empty one at the end.
    fn next(&mut self) -> anyhow::Result<Bytes> {
        let mut part = BytesMut::zeroed(self.part_bytes);
        let mut filled = 0;
        while filled < self.part_bytes {
            match self.file.read(&mut part[filled..]).context("read the finished clip")? {
                0 => break,
                count => filled += count,
            }
        }
        part.truncate(filled);
        self.hash.update(&part);
        Ok(part.freeze())
    }

    fn sha256(self) -> String {
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Failure::Retry(e.into()))?;
    done.map_err(Failure::Unavailable)
}
