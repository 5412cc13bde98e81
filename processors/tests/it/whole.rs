//! All stages on one file, one call after another in this process: what the pipeline makes of it, without Kafka.

use std::path::{Path, PathBuf};

use clap::Parser;
use pipeline::event::{
    AudioSegment, Clip, ClipPlanned, Envelope, Event, Happened, MediaInfo, Options, SegmentAnalysis, SegmentKind,
    SegmentReport, SegmentReportKind, SegmentTranscript, VideoEvent, VideoReady, VideoSegment, VideoSource,
    VideoSubmitted, WindowGathered,
};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use processors::analyze::{Analyze, AnalyzeArgs};
use processors::cut::{Cut, CutArgs};
use processors::fetch::{Fetch, FetchArgs};
use processors::join::{Join, JoinArgs};
use processors::moments::{Moments, MomentsArgs};
use processors::services::Services;
use processors::split::{Split, SplitArgs};
use processors::transcribe::{Transcribe, TranscribeArgs};
use prost::Message;

use crate::material::{Workshop, job, upload};

/// The stages' own flags.
#[derive(Parser)]
struct Settings {
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
pub struct Whole {
    pub services: Services,
    fetch: Fetch,
    split: Split,
    analyze: Analyze,
    transcribe: Transcribe,
    join: Join,
    moments: Moments,
    cut: Cut,
    pub shop: Workshop,
}

/// What the stages before `cut` made of a file.
pub struct Planned {
    pub media: MediaInfo,
    pub pieces: Vec<VideoSegment>,
    pub analyses: Vec<SegmentAnalysis>,
    pub transcripts: Vec<SegmentTranscript>,
    pub clips: Vec<ClipPlanned>,
    /// What `analyze` took, in seconds of this process's CPU.
    pub analyze_cpu_s: f64,
    pub windows: Vec<WindowGathered>,
}

/// A finished clip.
pub struct Finished {
    pub clip: Clip,
    pub file: PathBuf,
}

impl Whole {
    /// Opens the stages as they are when nothing is set, with the transcriber that is there on every machine.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// Opens the stages with these flags.
    pub fn with(flags: &[&str]) -> Self {
        let shop = Workshop::new();
        let services = shop.services();
        let line = ["whole", "--transcriber", "pocketsphinx"].into_iter().chain(flags.iter().copied());
        let set = Settings::try_parse_from(line).expect("flags of the stages");
        Self {
            fetch: Fetch::new(services.clone(), set.fetch).expect("fetch"),
            split: Split::new(services.clone(), set.split).expect("split"),
            analyze: Analyze::new(services.clone(), set.analyze).expect("analyze"),
            transcribe: Transcribe::new(services.clone(), &set.transcribe).expect("transcribe"),
            join: Join::new(services.clone(), set.join).expect("join"),
            moments: Moments::new(services.clone(), set.moments).expect("moments"),
            cut: Cut::new(services.clone(), set.cut).expect("cut"),
            services,
            shop,
        }
    }

    /// Runs every stage up to `moments` on `file`.
    pub async fn plan(&self, file: &Path, options: Options) -> Planned {
        let job = job(options);
        let source = upload(&self.services, &job, file).await;
        let submitted = VideoSubmitted { job, source: Some(VideoSource::Upload(source)) };
        let ready: VideoReady = one(&said(&self.fetch, submitted).await);
        let (media, job) = (ready.media.clone(), ready.job.clone());
        let pieces = said(&self.split, ready).await;
        let mut reports: Vec<SegmentReport> = all(&pieces);
        for piece in all::<AudioSegment>(&pieces) {
            reports.extend(all(&said(&self.transcribe, piece).await));
        }
        let pieces: Vec<VideoSegment> = all(&pieces);
        let before_s = cpu_s();
        for piece in pieces.clone() {
            reports.extend(all(&said(&self.analyze, piece).await));
        }
        let analyze_cpu_s = cpu_s() - before_s;
        let (analyses, transcripts) = self.results(&reports).await;
        let mut windows: Vec<WindowGathered> = Vec::new();
        for report in reports {
            windows.extend(all(&said(&self.join, report).await));
        }
        assert!(windows.iter().all(|w| w.job == job && w.completeness == 1.0), "every piece was worked on");
        let clips = self.choose(&windows).await;
        Planned { media, pieces, analyses, transcripts, clips, analyze_cpu_s, windows }
    }

    /// Chooses other clips from what was seen and heard already.
    pub async fn plan_again(&self, planned: &Planned, options: Options) -> Vec<ClipPlanned> {
        let mut windows = planned.windows.clone();
        windows.iter_mut().for_each(|window| window.job.options = options.clone());
        self.choose(&windows).await
    }

    async fn choose(&self, windows: &[WindowGathered]) -> Vec<ClipPlanned> {
        let mut clips = Vec::new();
        for window in windows {
            clips.extend(all(&said(&self.moments, window.clone()).await));
        }
        clips
    }

    /// Cuts one clip.
    pub async fn cut(&self, planned: ClipPlanned) -> Finished {
        let events: Vec<VideoEvent> = all(&said(&self.cut, planned).await);
        let ready = events.into_iter().find_map(|event| match event.happened {
            Some(Happened::ClipReady(clip)) => Some(clip),
            _ => None,
        });
        let clip = ready.expect("the clip is told of");
        let key = &clip.video.as_ref().expect("the clip has a file").key;
        let bytes = self.services.carrier.blobs().get(key).await.expect("the file is stored");
        let file = self.shop.write(&format!("{}.mp4", clip.id), &bytes);
        Finished { clip, file }
    }

    /// Runs every stage on `file`.
    pub async fn make(&self, file: &Path, options: Options) -> (Planned, Vec<Finished>) {
        let planned = self.plan(file, options).await;
        let finished = self.cut_all(&planned.clips).await;
        (planned, finished)
    }

    /// Cuts every clip.
    pub async fn cut_all(&self, clips: &[ClipPlanned]) -> Vec<Finished> {
        let mut finished = Vec::new();
        for clip in clips {
            finished.push(self.cut(clip.clone()).await);
        }
        finished
    }

    /// Returns what was seen and heard, in order.
    async fn results(&self, reports: &[SegmentReport]) -> (Vec<SegmentAnalysis>, Vec<SegmentTranscript>) {
        let (mut analyses, mut transcripts) = (Vec::new(), Vec::new());
        for report in reports {
            let Some(SegmentReportKind::Done(done)) = &report.kind else { continue };
            let bytes = self.services.carrier.open(&done.result).await.expect("a result");
            match done.segment() {
                SegmentKind::Video => analyses.push(SegmentAnalysis::decode(bytes).expect("an analysis")),
                SegmentKind::Audio => transcripts.push(SegmentTranscript::decode(bytes).expect("a transcript")),
            }
        }
        (analyses, transcripts)
    }
}

/// Returns the seconds of CPU that this process has used.
pub fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells of processes");
    let after_name = &stat[stat.rfind(')').expect("a name") + 2..];
    let ticks = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// Lets `stage` work on `input` and returns what it said.
pub async fn said<S: Stage>(stage: &S, input: S::In) -> Vec<Envelope> {
    let (outbox, collected) = Collected::outbox();
    if let Err(failure) = stage.process(input, &outbox).await {
        panic!("{}: {:#}", S::NAME, anyhow::Error::from(failure));
    }
    collected.take()
}

/// Returns every `E` that was said.
pub fn all<E: Event>(said: &[Envelope]) -> Vec<E> {
    said.iter().filter(|e| e.topic == E::TOPIC).map(|e| E::read(&e.body).expect("a message")).collect()
}

fn one<E: Event>(said: &[Envelope]) -> E {
    all(said).into_iter().next().expect("one message at least")
}
