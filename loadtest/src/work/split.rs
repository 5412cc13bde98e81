//! The emulated `split`: as many pieces as the length asks for, at once. The old system had no such step, so it takes no
//! time of its own.

use pipeline::event::{
    AudioSegment, Happened, SegmentReport, SegmentReportKind, SegmentTotal, StageTotal, VideoReady, VideoSegment,
    video_failed,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Stage, StageName};

use super::{Piece, Said};
use planning::plan::emulated::pieces;

/// The emulated stage.
pub struct Split;

impl Stage for Split {
    type In = VideoReady;
    type Out = Said;
    const NAME: StageName = StageName::Split;

    fn failed(input: &VideoReady, code: Code, detail: &str) -> Vec<Said> {
        vec![Said::event(&video_failed(&input.job, Self::NAME, code, detail))]
    }

    async fn process(&self, input: VideoReady, out: &Outbox<Said>) -> Result<(), Failure> {
        let VideoReady { job, source, media } = input;
        let (video, audio) = pieces(media.duration().as_seconds());
        let stages = [
            (StageName::Join, 1),
            (StageName::Moments, 1),
            (StageName::Transcribe, audio),
            (StageName::Analyze, video),
        ];
        for (stage, total) in stages {
            let total = StageTotal { stage: stage as i32, total, ..StageTotal::default() };
            out.send(Said::happened(&job, Happened::Total(total))).await?;
        }
        let span = |index: u32, count: u32| {
            let at = |index: u32| media.duration_us * i64::from(index) / i64::from(count);
            (at(index), at(index + 1), Piece { share: 1.0 / f64::from(count) }.payload())
        };
        for index in 0..audio {
            let (start_us, end_us, samples) = span(index, audio);
            let segment = AudioSegment { job: job.clone(), index, window: 0, start_us, end_us, samples };
            out.send(Said::event(&segment)).await?;
        }
        for index in 0..video {
            let (start_us, end_us, file) = span(index, video);
            let (media, demuxer) = (media.clone(), "mp4".to_owned());
            let segment = VideoSegment { job: job.clone(), index, window: 0, start_us, end_us, media, file, demuxer };
            out.send(Said::event(&segment)).await?;
        }
        let end_us = media.duration_us;
        let total =
            SegmentTotal { audio, video, last: true, start_us: 0, end_us, media, source, reopened_by: Vec::new() };
        out.send(Said::event(&SegmentReport { job, window: 0, kind: Some(SegmentReportKind::Total(total)) })).await
    }
}
