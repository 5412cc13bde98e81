//! The emulated `transcribe` and `analyze`: each piece takes its share of the video's time and finds nothing.

use pipeline::event::{
    AudioSegment, Edge, Event, Job, Loudness, Payload, Place, SegmentAnalysis, SegmentKind, SegmentReport,
    SegmentTranscript, VideoSegment,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Outbox;
use pipeline::stage::{Stage, StageName};

use super::{Ground, Said};
use planning::plan::emulated::Step;

/// The emulated `transcribe`.
pub struct Transcribe(pub Ground);

/// The emulated `analyze`.
pub struct Analyze(pub Ground);

/// Where a result belongs.
struct Of<'a> {
    job: &'a Job,
    window: u32,
    kind: SegmentKind,
    index: u32,
}

async fn answer(
    ground: &Ground,
    of: Of<'_>,
    (step, piece): (Step, &Payload),
    result: Vec<u8>,
    out: &Outbox<Said>,
) -> Result<(), Failure> {
    let share = ground.piece(piece).await?.share;
    ground.work(share * ground.spec.work_s(step, of.job.video()), &out.pulse()).await?;
    let result = Payload { place: Some(Place::Inline(result.into())) };
    out.send(Said::event(&SegmentReport::done(of.job, of.window, of.kind, of.index, result))).await
}

impl Stage for Transcribe {
    type In = AudioSegment;
    type Out = Said;
    const NAME: StageName = StageName::Transcribe;

    fn failed(input: &AudioSegment, code: Code, _detail: &str) -> Vec<Said> {
        let (kind, span_us) = (SegmentKind::Audio, (input.start_us, input.end_us));
        vec![Said::event(&SegmentReport::failed(input.job(), input.window, kind, input.index, span_us, code))]
    }

    async fn process(&self, input: AudioSegment, out: &Outbox<Said>) -> Result<(), Failure> {
        let of = Of { job: &input.job, window: input.window, kind: SegmentKind::Audio, index: input.index };
        let transcript = SegmentTranscript {
            start_us: input.start_us,
            end_us: input.end_us,
            words: Vec::new(),
            loudness: Loudness { step_us: 100_000, dbfs: Vec::new() },
            speech_us: Vec::new(),
            transcriber: "emulated".to_owned(),
        };
        let result = prost::Message::encode_to_vec(&transcript);
        answer(&self.0, of, (Step::Transcription, &input.samples), result, out).await
    }
}

impl Stage for Analyze {
    type In = VideoSegment;
    type Out = Said;
    const NAME: StageName = StageName::Analyze;

    fn failed(input: &VideoSegment, code: Code, _detail: &str) -> Vec<Said> {
        let (kind, span_us) = (SegmentKind::Video, (input.start_us, input.end_us));
        vec![Said::event(&SegmentReport::failed(input.job(), input.window, kind, input.index, span_us, code))]
    }

    async fn process(&self, input: VideoSegment, out: &Outbox<Said>) -> Result<(), Failure> {
        let of = Of { job: &input.job, window: input.window, kind: SegmentKind::Video, index: input.index };
        let edge = || Edge { thumbnails: Vec::new() };
        let analysis = SegmentAnalysis {
            start_us: input.start_us,
            end_us: input.end_us,
            frames: Vec::new(),
            faces: Vec::new(),
            looked_us: Vec::new(),
            head: edge(),
            tail: edge(),
        };
        let result = prost::Message::encode_to_vec(&analysis);
        answer(&self.0, of, (Step::Faces, &input.file), result, out).await
    }
}
