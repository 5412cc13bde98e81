//! The emulated `cut`: each clip takes its share of the time for cropping and cutting; its files are a few bytes.

use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{ClipPlanned, ClipReport, ClipReportKind, Happened, clip_failed};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Stage, StageName};
use sha2::{Digest, Sha256};

use super::{Ground, Said};
use crate::spec::clips;
use planning::plan::emulated::Step;

/// What a clip's video is here.
const FILE: &[u8] = b"a clip of a load test";

/// The emulated stage.
pub struct Cut(pub Ground);

impl Stage for Cut {
    type In = ClipPlanned;
    type Out = Said;
    const NAME: StageName = StageName::Cut;

    fn failed(input: &ClipPlanned, code: Code, detail: &str) -> Vec<Said> {
        vec![Said::event(&clip_failed(&input.job, &input.clip.id, Self::NAME, code, detail))]
    }

    async fn process(&self, input: ClipPlanned, out: &Outbox<Said>) -> Result<(), Failure> {
        let (tenant, video) = (input.job.tenant(), input.job.video());
        let spec = &self.0.spec;
        let whole_s = spec.work_s(Step::Cropping, video) + spec.work_s(Step::Cutting, video);
        let count = clips(input.media.duration().as_seconds(), &input.job.options).len();
        self.0.work(whole_s / count as f64, &out.pulse()).await?;
        let mut clip = input.clip;
        let key = blob::key(&tenant, video, Kind::Clip, &format!("{}.mp4", clip.id));
        out.confirm().await?;
        clip.video = Some(self.0.carrier.blobs().put(&key, Bytes::from_static(FILE)).await?);
        clip.sha256 = Sha256::digest(FILE).iter().map(|byte| format!("{byte:02x}")).collect();
        let report = ClipReport { job: input.job.clone(), kind: Some(ClipReportKind::Done(clip.id.clone())) };
        out.send(Said::happened(&input.job, Happened::ClipReady(clip))).await?;
        out.send(Said::event(&report)).await
    }
}
