//! The floor: the stages' own work on a video, one call after another in this process, without Kafka, claims or HTTP.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pipeline::blob::{self, BlobArgs, Blobs, Kind};
use pipeline::event::{
    AudioSegment, ClipPlanned, Envelope, Event, Job, Options, SegmentReport, VideoReady, VideoSegment, VideoSource,
    VideoSubmitted, WindowGathered,
};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::payload::Carrier;
use pipeline::runtime::Runtime;
use pipeline::stage::Stage;
use pipeline::store;
use pipeline::topic::Topic;
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::cut::{Cut, CutArgs};
use processors::fetch::{Fetch, FetchArgs};
use processors::join::{Join, JoinArgs};
use processors::moments::{Moments, MomentsArgs};
use processors::services::Services;
use processors::split::{Split, SplitArgs};
use processors::transcribe::{Transcribe, TranscribeArgs};
use serde::Serialize;
use tokio::io::AsyncReadExt;

use super::spent::{Meter, Spent, mean};

/// How much of a file is read at once, in bytes.
const PART_BYTES: usize = 8 << 20;

/// Looks for faces in a second that come to one in a segment.
const SELDOM: f64 = 0.001;

/// The stages' own flags, from the environment: the same that the workers of `spillway dev` see.
#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    blobs: BlobArgs,
    #[command(flatten)]
    fetch: FetchArgs,
    #[command(flatten)]
    split: SplitArgs,
    #[command(flatten)]
    analyze: AnalyzeArgs,
    #[command(flatten)]
    transcribe: TranscribeArgs,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    moments: MomentsArgs,
    #[command(flatten)]
    cut: CutArgs,
}

/// The stages, with their models loaded, on a store and a blob folder of their own.
pub struct Bare {
    services: Services,
    fetch: Fetch,
    split: Split,
    analyze: Analyze,
    /// Looks for faces as good as never.
    decode: Analyze,
    transcribe: Transcribe,
    join: Join,
    moments: Moments,
    cut: Cut,
    /// How the stages are set.
    pub setup: Setup,
}

/// How the stages are set, as far as it decides what the work costs.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// What turns speech into words.
    pub transcriber: String,
    /// x264's preset.
    pub x264_preset: String,
    /// x264's constant rate factor.
    pub crf: f64,
    /// How often faces are looked for, in looks a second.
    pub faces_per_second: f64,
    /// Longer side of the picture in which faces are looked for, in pixels.
    pub detection_px: u32,
    /// What loading the models cost; workers have done it before a video comes.
    pub load: Spent,
}

/// What the bare work on a video cost.
#[derive(Clone, Debug, Serialize)]
pub struct Floor {
    /// The video.
    pub video: PathBuf,
    /// Its length, in seconds.
    pub duration_s: f64,
    /// Width as a person sees it, in pixels.
    pub width: u32,
    /// Height as a person sees it, in pixels.
    pub height: u32,
    /// Start and end of its clips in the source, in seconds.
    pub clips: Vec<(f64, f64)>,
    /// Decoding, change and faces: `analyze`.
    pub picture: Spent,
    /// The same without faces, measured in a second run and not part of the floor.
    pub decode: Spent,
    /// Speech to words: `transcribe`.
    pub speech: Spent,
    /// Decoding, cropping and encoding of the clips: `cut`.
    pub encode: Spent,
    /// Looking at the file, cutting it into segments, gathering and planning: needed, and not in the floor.
    pub apart: Spent,
}

impl Floor {
    /// Returns what decoding, inference, speech and encoding cost together.
    pub fn total(&self) -> Spent {
        self.picture + self.speech + self.encode
    }

    /// Returns what looking for faces adds to decoding.
    pub fn faces(&self) -> Spent {
        self.picture - self.decode
    }

    /// Returns the mean of each video's costs over `rounds`, in each of which the same videos were measured.
    pub fn means(rounds: &[Vec<Self>]) -> Vec<Self> {
        let of = |video: usize, cost: fn(&Self) -> Spent| mean(rounds.iter().map(|round| cost(&round[video])));
        let averaged = |(video, first): (usize, &Self)| Self {
            picture: of(video, |floor| floor.picture),
            decode: of(video, |floor| floor.decode),
            speech: of(video, |floor| floor.speech),
            encode: of(video, |floor| floor.encode),
            apart: of(video, |floor| floor.apart),
            ..first.clone()
        };
        rounds.first().into_iter().flatten().enumerate().map(averaged).collect()
    }

    /// Returns the length of all clips together, in seconds.
    pub fn clips_s(&self) -> f64 {
        self.clips.iter().map(|(start, end)| end - start).sum()
    }
}

impl Bare {
    /// Loads the models; data go below `folder`.
    ///
    /// # Errors
    /// When a run-time file is missing, or a setting in the environment is not admitted.
    pub fn new(folder: &Path, runtime: Runtime) -> Result<Self> {
        std::fs::create_dir_all(folder).context("make a folder for the floor")?;
        let line = ["bench", "--blobs", &folder.join("blobs").display().to_string()];
        let set = Settings::try_parse_from(line).context("read the stages' settings")?;
        let store = store::open_file(&folder.join("floor.db"))?;
        let carrier = Carrier::new(Blobs::open(&set.blobs.blobs)?, set.blobs.inline_max);
        let services = Services { store, carrier, runtime };

        let meter = Meter::start()?;
        let transcribe = Transcribe::new(services.clone(), &set.transcribe)?;
        let analyze = Analyze::new(services.clone(), set.analyze.clone())?;
        let seldom = AnalyzeArgs { faces_per_second: SELDOM, ..set.analyze.clone() };
        let setup = Setup {
            transcriber: transcribe.transcriber().to_owned(),
            x264_preset: set.cut.x264_preset.clone(),
            crf: set.cut.crf,
            faces_per_second: set.analyze.faces_per_second,
            detection_px: set.analyze.detection_px,
            load: meter.read()?,
        };
        Ok(Self {
            fetch: Fetch::new(services.clone(), set.fetch)?,
            split: Split::new(services.clone(), set.split)?,
            analyze,
            decode: Analyze::new(services.clone(), seldom)?,
            transcribe,
            join: Join::new(services.clone(), set.join)?,
            moments: Moments::new(services.clone(), set.moments)?,
            cut: Cut::new(services.clone(), set.cut)?,
            services,
            setup,
        })
    }

    /// Makes the clips of `video`, one unit of work after another, and measures each kind of work.
    ///
    /// # Errors
    /// When a stage refuses or fails.
    pub async fn measure(&self, video: &Path, options: &Options) -> Result<Floor> {
        let mut apart = Spent::default();
        let ready: VideoReady = {
            let submitted = self.submit(video, options).await?;
            let said = run(&self.fetch, submitted, &mut apart).await?;
            said.into_iter().find_map(|e| of(&e)).context("the video was not admitted")?
        };
        let media = ready.media.clone();
        let pieces = run(&self.split, ready, &mut apart).await?;
        let mut reports: Vec<SegmentReport> = pieces.iter().filter_map(of).collect();

        let (mut picture, mut decode) = (Spent::default(), Spent::default());
        for piece in pieces.iter().filter_map(of::<VideoSegment>) {
            run(&self.decode, piece.clone(), &mut decode).await?;
            reports.extend(run(&self.analyze, piece, &mut picture).await?.iter().filter_map(of::<SegmentReport>));
        }
        let mut speech = Spent::default();
        for piece in pieces.iter().filter_map(of::<AudioSegment>) {
            reports.extend(run(&self.transcribe, piece, &mut speech).await?.iter().filter_map(of::<SegmentReport>));
        }
        drop(pieces);

        let mut windows: Vec<WindowGathered> = Vec::new();
        for report in reports {
            windows.extend(run(&self.join, report, &mut apart).await?.iter().filter_map(of::<WindowGathered>));
        }
        let mut planned: Vec<ClipPlanned> = Vec::new();
        for window in windows {
            planned.extend(run(&self.moments, window, &mut apart).await?.iter().filter_map(of::<ClipPlanned>));
        }
        ensure!(!planned.is_empty(), "{} gives no clip", video.display());
        let clips = planned.iter().map(|p| (p.clip.start_us as f64 / 1e6, p.clip.end_us as f64 / 1e6)).collect();
        let mut encode = Spent::default();
        for clip in planned {
            run(&self.cut, clip, &mut encode).await?;
        }
        let (width, height, duration_s) = (media.width, media.height, media.duration().as_seconds());
        Ok(Floor { video: video.to_owned(), duration_s, width, height, clips, picture, decode, speech, encode, apart })
    }

    /// Puts the file into the blob store, as an upload does.
    async fn submit(&self, video: &Path, options: &Options) -> Result<VideoSubmitted> {
        let tenant = TenantId::default_tenant();
        let job = Job::new(&tenant, VideoId::random(), Lane::Express, options.clone());
        let key = blob::key(&tenant, job.video(), Kind::Source, "source");
        let mut upload = self.services.carrier.blobs().upload(&key).await?;
        let mut file = tokio::fs::File::open(video).await.with_context(|| format!("open {}", video.display()))?;
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            (&mut file).take(PART_BYTES as u64).read_to_end(&mut part).await.context("read the video")?;
            if part.is_empty() {
                break;
            }
            upload.write(part.into()).await?;
        }
        let source = Some(VideoSource::Upload(upload.finish().await?));
        Ok(VideoSubmitted { job, source })
    }
}

/// Lets `stage` work on `input`, adds what that cost to `spent` and returns what it said.
async fn run<S: Stage>(stage: &S, input: S::In, spent: &mut Spent) -> Result<Vec<Envelope>> {
    let (outbox, collected) = Collected::outbox();
    let meter = Meter::start()?;
    stage.process(input, &outbox).await.with_context(|| format!("run the bare stage {}", S::NAME))?;
    *spent += meter.read()?;
    Ok(collected.take())
}

/// Reads `envelope` if it is an `E`.
fn of<E: Event>(envelope: &Envelope) -> Option<E> {
    let topic: Topic = E::TOPIC;
    (envelope.topic == topic).then(|| E::read(&envelope.body).ok()).flatten()
}
