//! The stage `moments`: reads what `join` gathered of a window, chooses its clips and solves the camera's path over
//! each. `timeline` puts what was heard and seen in order (`shots`, `tracks`), `sentences` and `candidates`
//! say where a clip may begin and end, `profile` and `score` how good it is, `choose` which ones it shall be,
//! `camera` how they are cropped; `plan` is all of that as one function.

mod analysis;
mod camera;
mod candidates;
mod choose;
mod gathered;
mod plan;
mod profile;
mod score;
mod sentences;
pub mod shots;
mod timeline;
pub mod tracks;

use anyhow::Context;
use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{
    Clip, ClipPlanned, ClipReport, ClipReportKind, ClipTotal, Envelope, Happened, Outgoing, StageTotal, VideoEvent,
    WindowGathered, video_failed,
};
use pipeline::failure::{Code, Failure};
use pipeline::media_time::MediaRange;
use pipeline::outbox::{Outbox, Pulse};
use pipeline::stage::{Stage, StageName};

use crate::services::Services;
use gathered::Gathered;
use plan::Window;
use timeline::{Timeline, span};

/// Settings of the stage.
#[derive(Clone, Debug, clap::Args)]
pub struct MomentsArgs {
    /// Segments' results read from the store at once; each may be as large as a record.
    #[arg(long, env = "SPILLWAY_MOMENTS_PAGE", value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub page_results: u32,
}

/// Chooses moments and solves the camera path.
pub struct Moments {
    services: Services,
    page_results: usize,
}

impl Moments {
    /// Makes the stage.
    ///
    /// # Errors
    /// None today; stages are all made alike.
    pub fn new(services: Services, args: MomentsArgs) -> anyhow::Result<Self> {
        Ok(Self { services, page_results: args.page_results as usize })
    }
}

/// What the stage says.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// A clip was chosen and framed.
    Planned(ClipPlanned),
    /// The window is done, or the video failed.
    Report(ClipReport),
    /// For the video's log.
    Happened(VideoEvent),
}

impl Outgoing for Out {
    fn envelope(&self) -> Envelope {
        match self {
            Self::Planned(planned) => planned.envelope(),
            Self::Report(report) => report.envelope(),
            Self::Happened(event) => event.envelope(),
        }
    }
}

impl Stage for Moments {
    type In = WindowGathered;
    type Out = Out;
    const NAME: StageName = StageName::Moments;

    fn failed(input: &WindowGathered, code: Code, detail: &str) -> Vec<Out> {
        let report = if is_whole_video(input) {
            video_failed(&input.job, Self::NAME, code, detail)
        } else {
            // The other windows' clips are worth having; that this one is missing shows in the completeness.
            let total = ClipTotal { completeness: 0.0, given_up: true, ..total(input, Vec::new()) };
            ClipReport { job: input.job.clone(), kind: Some(ClipReportKind::Total(total)) }
        };
        vec![Out::Report(report)]
    }

    async fn process(&self, input: WindowGathered, out: &Outbox<Out>) -> Result<(), Failure> {
        let gathered = gathered::read(&self.services, &input, self.page_results, &out.pulse()).await?;
        if gathered.analyses.is_empty() && is_whole_video(&input) {
            return Err(Failure::reject(Code::NothingLeft, anyhow::anyhow!("no segment of the picture was analysed")));
        }
        let (clips, analysis) = think(input.clone(), gathered, out.pulse()).await?;

        let (tenant, video) = (input.job.tenant(), input.job.video());
        let key = blob::key(&tenant, video, Kind::Analysis, &format!("window-{}.json", input.window));
        out.confirm().await?;
        let analyzed = self.services.carrier.blobs().put(&key, Bytes::from(analysis)).await?;
        let happened = |what| Out::Happened(VideoEvent::new(&input.job, jiff::Timestamp::now(), what));
        out.send(happened(Happened::Analyzed(analyzed))).await?;
        let ids: Vec<String> = clips.iter().map(|clip| clip.id.clone()).collect();
        let cut = StageTotal {
            stage: StageName::Cut as i32,
            total: ids.len() as u32,
            window: input.window,
            clips: ids.clone(),
            round: input.round(),
        };
        out.send(happened(Happened::Total(cut))).await?;
        for clip in clips {
            let (source, media) = (input.total.source.clone(), input.total.media.clone());
            out.send(Out::Planned(ClipPlanned { job: input.job.clone(), source, media, clip })).await?;
        }
        let kind = Some(ClipReportKind::Total(total(&input, ids)));
        out.send(Out::Report(ClipReport { job: input.job, kind })).await
    }
}

/// Plans the window on a thread that may be busy for long; returns the clips and the analysis as JSON.
async fn think(input: WindowGathered, gathered: Gathered, pulse: Pulse) -> Result<(Vec<Clip>, Vec<u8>), Failure> {
    let work = move || {
        let range: MediaRange = span(input.total.start_us, input.total.end_us);
        let timeline = Timeline::new(range, gathered.transcripts, gathered.analyses, gathered.lost_sound);
        pulse.beat()?;
        let window = Window { video: input.job.video(), index: input.window, range };
        let clips = plan::plan(&timeline, window, &input.total.media, &input.job.options);
        pulse.beat()?;
        let analysis =
            analysis::json(&timeline, input.window).context("write the analysis as JSON").map_err(Failure::Retry)?;
        Ok((clips, analysis))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A bug: it goes on as one, so that the process ends and the unit is tried alone.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(Failure::Retry(error.into())),
    }
}

fn is_whole_video(input: &WindowGathered) -> bool {
    input.window == 0 && input.total.last
}

fn total(input: &WindowGathered, planned: Vec<String>) -> ClipTotal {
    ClipTotal {
        window: input.window,
        last: input.total.last,
        clips: planned.len() as u32,
        completeness: input.completeness,
        length_us: input.total.end_us - input.total.start_us,
        planned,
        round: input.round(),
        given_up: false,
    }
}
