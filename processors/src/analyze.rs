//! The stage `analyze`: one decode of a piece of picture finds change, brightness and faces.

pub mod change;
mod mouth;
mod piece;

use std::io::Cursor;
use std::sync::Arc;

use anyhow::Context;
use pipeline::blob::{Kind, key};
use pipeline::event::{Job, Place, SegmentAnalysis, SegmentKind, SegmentReport, VideoSegment};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::{Outbox, Pulse};
use pipeline::payload::Carrier;
use pipeline::stage::{Stage, StageName};
use prost::Message;

use crate::media::frames::{Error, Frames};
use crate::models::centerface::Detector;
use crate::services::Services;

/// How faces are looked for.
#[derive(clap::Args, Clone, Debug)]
pub struct AnalyzeArgs {
    /// How often faces are looked for, in looks a second of video.
    #[arg(long, env = "SPILLWAY_FACES_PER_SECOND", default_value_t = 5.0, value_parser = positive, value_name = "LOOKS")]
    pub faces_per_second: f64,
    /// Longer side of the picture in which faces are looked for, in pixels; smaller is faster and misses small
    /// faces.
    #[arg(long, env = "SPILLWAY_DETECTION_PX", default_value_t = 320, value_parser = clap::value_parser!(u32).range(64..=4096), value_name = "PIXELS")]
    pub detection_px: u32,
    /// Longer side of the picture that is looked at too where the first shows no face, in pixels; with no more than
    /// `--detection-px` none is.
    #[arg(long, env = "SPILLWAY_SECOND_LOOK_PX", default_value_t = 640, value_parser = clap::value_parser!(u32).range(0..=4096), value_name = "PIXELS")]
    pub second_look_px: u32,
    /// How sure the detector must be of a face, 0 to 1; faces it sees once only are dropped later.
    #[arg(long, env = "SPILLWAY_FACE_THRESHOLD", default_value_t = 0.5, value_parser = share, value_name = "SHARE")]
    pub face_threshold: f32,
}

impl AnalyzeArgs {
    /// Returns how faces are looked for in `job`'s video: without the second look if it is to be made with less work.
    fn for_job(&self, job: &Job) -> Self {
        if job.degraded { Self { second_look_px: 0, ..self.clone() } } else { self.clone() }
    }
}

impl Default for AnalyzeArgs {
    fn default() -> Self {
        Self { faces_per_second: 5.0, detection_px: 320, second_look_px: 640, face_threshold: 0.5 }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if value > 0.0 && value <= 120.0 { Ok(value) } else { Err("must be above 0, at most 120".to_owned()) }
}

fn share(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.05..=1.0).contains(&value) { Ok(value) } else { Err("must be between 0.05 and 1".to_owned()) }
}

/// Finds change, brightness and faces in pieces of picture.
pub struct Analyze {
    services: Services,
    args: AnalyzeArgs,
    detector: Arc<Detector>,
}

impl Analyze {
    /// Loads the face detector.
    ///
    /// # Errors
    /// When a run-time file is missing or cannot be loaded.
    pub fn new(services: Services, args: AnalyzeArgs) -> anyhow::Result<Self> {
        let detector = Arc::new(Detector::new(&services.runtime)?);
        Ok(Self { services, args, detector })
    }
}

impl Stage for Analyze {
    type In = VideoSegment;
    type Out = SegmentReport;
    const NAME: StageName = StageName::Analyze;

    fn failed(input: &VideoSegment, code: Code, _detail: &str) -> Vec<SegmentReport> {
        let span_us = (input.start_us, input.end_us);
        vec![SegmentReport::failed(&input.job, input.window, SegmentKind::Video, input.index, span_us, code)]
    }

    async fn process(&self, input: VideoSegment, out: &Outbox<SegmentReport>) -> Result<(), Failure> {
        let segment = Arc::new(input);
        // A blob that is gone or cannot be reached says so here, in its own words, and not as a damaged file.
        if let Some(Place::Blob(blob)) = &segment.file.place {
            self.services.carrier.blobs().size(&blob.key).await?;
        }
        let analysis = {
            let (segment, carrier, pulse) = (segment.clone(), self.services.carrier.clone(), out.pulse());
            let (detector, args) = (self.detector.clone(), self.args.for_job(&segment.job));
            // The reader of a large piece fetches through the runtime it is made in.
            let runtime = tokio::runtime::Handle::current();
            let work = tokio::task::spawn_blocking(move || {
                let _entered = runtime.enter();
                analyze(&segment, &carrier, &detector, &args, &pulse)
            });
            work.await.expect("a panic in the analysis ends the process")?
        };
        let name = format!("video-{}", segment.index);
        let key = key(&segment.job.tenant(), segment.job.video(), Kind::Result, &name);
        let result = self.services.carrier.pack(&key, analysis.encode_to_vec().into()).await?;
        out.send(SegmentReport::done(&segment.job, segment.window, SegmentKind::Video, segment.index, result)).await
    }
}

/// Opens the piece wherever it travels and analyses it.
fn analyze(
    segment: &VideoSegment,
    carrier: &Carrier,
    detector: &Detector,
    args: &AnalyzeArgs,
    pulse: &Pulse,
) -> Result<SegmentAnalysis, Failure> {
    let (demuxer, media) = (segment.demuxer.as_str(), &segment.media);
    let frames = match &segment.file.place {
        Some(Place::Inline(bytes)) => Frames::open(Cursor::new(bytes.clone()), demuxer, media, pulse),
        Some(Place::Blob(blob)) => Frames::open(carrier.blobs().reader(blob), demuxer, media, pulse),
        None => return Err(Failure::reject(Code::MessageUnreadable, anyhow::anyhow!("the segment has no file"))),
    };
    let look = |picture: &_| detector.detect(picture, args.face_threshold).context("look for faces");
    let analysis = piece::analyze(segment, frames?, args, look)?;
    if analysis.frames.is_empty() {
        return Err(Failure::reject(Code::Undecodable, anyhow::anyhow!("no frame of the segment could be decoded")));
    }
    Ok(analysis)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Stopped(_) => Self::Retry(error.into()),
            Error::Read(_) => Self::Unavailable(error.into()),
            Error::Undecodable(_) => Self::reject(Code::Undecodable, error),
        }
    }
}
