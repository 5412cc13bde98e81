//! The emulated `moments`: takes its time, then plans clips at even distances.

use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{
    Clip, ClipPlanned, ClipReport, ClipReportKind, ClipTotal, Framing, FramingMode, Happened, Keyframe, MediaInfo,
    Reason, StageTotal, WindowGathered, video_failed,
};
use pipeline::failure::{Code, Failure};
use pipeline::id::{ClipId, VideoId};
use pipeline::outbox::Outbox;
use pipeline::stage::{Stage, StageName};

use super::{Ground, Said};
use crate::spec::clips;
use planning::plan::emulated::Step;

/// The emulated stage.
pub struct Moments(pub Ground);

impl Stage for Moments {
    type In = WindowGathered;
    type Out = Said;
    const NAME: StageName = StageName::Moments;

    fn failed(input: &WindowGathered, code: Code, detail: &str) -> Vec<Said> {
        vec![Said::event(&video_failed(&input.job, Self::NAME, code, detail))]
    }

    async fn process(&self, input: WindowGathered, out: &Outbox<Said>) -> Result<(), Failure> {
        let (tenant, video) = (input.job.tenant(), input.job.video());
        self.0.work(self.0.spec.work_s(Step::Moments, video), &out.pulse()).await?;
        let key = blob::key(&tenant, video, Kind::Analysis, &format!("window-{}.json", input.window));
        out.confirm().await?;
        let analyzed = self.0.carrier.blobs().put(&key, Bytes::from_static(br#"{"emulated":true}"#)).await?;
        out.send(Said::happened(&input.job, Happened::Analyzed(analyzed))).await?;

        let media = &input.total.media;
        let spans = clips(media.duration().as_seconds(), &input.job.options);
        let planned: Vec<Clip> =
            spans.into_iter().enumerate().map(|(index, span)| clip(video, index as u32, span, media)).collect();
        let ids: Vec<String> = planned.iter().map(|clip| clip.id.clone()).collect();
        let cut = StageTotal {
            stage: StageName::Cut as i32,
            total: ids.len() as u32,
            window: input.window,
            clips: ids.clone(),
            round: input.round(),
        };
        out.send(Said::happened(&input.job, Happened::Total(cut))).await?;
        for clip in planned {
            let (source, media) = (input.total.source.clone(), media.clone());
            out.send(Said::event(&ClipPlanned { job: input.job.clone(), source, media, clip })).await?;
        }
        let total = ClipTotal {
            window: input.window,
            last: input.total.last,
            clips: ids.len() as u32,
            completeness: input.completeness,
            length_us: input.total.end_us - input.total.start_us,
            planned: ids,
            round: input.round(),
            given_up: false,
        };
        out.send(Said::event(&ClipReport { job: input.job, kind: Some(ClipReportKind::Total(total)) })).await
    }
}

fn clip(video: VideoId, index: u32, (start_s, end_s): (f64, f64), media: &MediaInfo) -> Clip {
    let [start_us, end_us] = [start_s, end_s].map(|seconds| (seconds * 1e6) as i64);
    let (width, height) = (f64::from(media.height) * 9.0 / 16.0, f64::from(media.height));
    let framing = Framing {
        start_us,
        end_us,
        mode: FramingMode::Still as i32,
        width,
        height,
        keyframes: vec![Keyframe { at_us: start_us, x: (f64::from(media.width) - width) / 2.0, y: 0.0 }],
        reason: "emulated".to_owned(),
    };
    let text = "planned by a load test, at even distances".to_owned();
    Clip {
        id: ClipId::derive(video, start_us, end_us).to_string(),
        index,
        start_us,
        end_us,
        score: 0.5,
        reasons: vec![Reason { name: "emulated".to_owned(), value: 0.0, contribution: 0.5, text }],
        framings: vec![framing],
        ..Clip::default()
    }
}
