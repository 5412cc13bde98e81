//! The emulated `fetch`: a URL is really fetched and stored, then the download takes its time. The length of a video is
//! what its first bytes say, see [`Token`].

use anyhow::{Context, anyhow};
use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{BlobRef, Happened, Job, StageTotal, VideoReady, VideoSource, VideoSubmitted, video_failed};
use pipeline::failure::{Code, Failure};
use pipeline::lane::Lane;
use pipeline::outbox::Outbox;
use pipeline::stage::{Stage, StageName};

use super::{Ground, Said, media};
use crate::token::{TOKEN_BYTES, Token};
use planning::plan::emulated::Step;

/// The emulated stage.
pub struct Fetch {
    ground: Ground,
    client: reqwest::Client,
}

impl Fetch {
    /// Makes the stage.
    ///
    /// # Errors
    /// When no HTTP client can be set up.
    pub fn new(ground: Ground) -> anyhow::Result<Self> {
        // The one server that is asked is the load test's own.
        let client = reqwest::Client::builder().no_proxy().build().context("set up the HTTP client")?;
        Ok(Self { ground, client })
    }

    async fn obtain(&self, input: &VideoSubmitted) -> Result<BlobRef, Failure> {
        let url = match &input.source {
            Some(VideoSource::Upload(blob)) => return Ok(blob.clone()),
            Some(VideoSource::Url(url)) => url,
            None => return Err(Failure::reject(Code::MessageUnreadable, anyhow!("no source is named"))),
        };
        let answer = self.client.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let bytes = async { answer?.bytes().await }.await.map_err(|error| Failure::Retry(error.into()))?;
        let (tenant, video) = (input.job.tenant(), input.job.video());
        Ok(self.ground.carrier.blobs().put(&blob::key(&tenant, video, Kind::Source, "fetched"), bytes).await?)
    }

    async fn length_s(&self, source: &BlobRef) -> Result<f64, Failure> {
        let range = 0..source.bytes.min(TOKEN_BYTES as u64);
        let head: Bytes = self.ground.carrier.blobs().get_range(&source.key, range).await?;
        let token = Token::read(&head);
        let token = token.ok_or_else(|| Failure::reject(Code::NotAVideo, anyhow!("not sent by a load test")))?;
        Ok(token.length_s)
    }
}

impl Stage for Fetch {
    type In = VideoSubmitted;
    type Out = Said;
    const NAME: StageName = StageName::Fetch;

    fn failed(input: &VideoSubmitted, code: Code, detail: &str) -> Vec<Said> {
        vec![Said::event(&video_failed(&input.job, Self::NAME, code, detail))]
    }

    async fn process(&self, input: VideoSubmitted, out: &Outbox<Said>) -> Result<(), Failure> {
        let source = self.obtain(&input).await?;
        let length_s = self.length_s(&source).await?;
        let spec = &self.ground.spec;
        self.ground.work(spec.work_s(Step::Download, input.job.video()), &out.pulse()).await?;
        let media = media(length_s, source.bytes);
        let job = final_lane(&input.job, length_s);
        out.send(Said::happened(&job, Happened::Ready(media.clone()))).await?;
        let total = StageTotal { stage: StageName::Split as i32, total: 1, ..StageTotal::default() };
        out.send(Said::happened(&job, Happened::Total(total))).await?;
        out.send(Said::event(&VideoReady { job, source, media })).await
    }
}

/// Chooses the lane as the real stage does: a right to `priority` stays, else the length decides.
fn final_lane(job: &Job, length_s: f64) -> Job {
    match job.lane() {
        Lane::Priority => job.clone(),
        _ => job.in_lane(Lane::for_duration(std::time::Duration::from_secs_f64(length_s))),
    }
}
