//! The stage `transcribe`: from a piece of sound to words with times, and how loud it is.
//!
//! Voice activity first, then one transcriber on the spans where somebody speaks: silence and music cost next
//! to nothing. The result is a function of the samples alone.

mod args;
mod loudness;
mod spans;
mod words;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use pipeline::blob::{self, Kind};
use pipeline::event::{
    AudioSegment, Envelope, Event, Loudness, Outgoing, SegmentKind, SegmentReport, SegmentTranscript,
};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::{Outbox, Pulse};
use pipeline::outside::Quota;
use pipeline::payload::Carrier;
use pipeline::stage::{Stage, StageName};
use prost::Message;
use tracing::debug;

use crate::models::transcriber::{SAMPLE_RATE, Speech, Transcriber};
use crate::models::voice_activity::VoiceActivity;
use crate::services::Services;

pub use args::{Choice, TranscribeArgs};

/// Sound given to the transcriber on both sides of speech: it needs to hear where words begin and end.
const PADDING: usize = SAMPLE_RATE * 3 / 20;

/// What `transcribe` is called where nobody speaks, or in a language that the transcriber does not know.
const NOBODY: &str = "none";

/// What `transcribe` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A piece of sound was worked on, or given up.
    Report(SegmentReport),
}

impl Outgoing for Output {
    fn envelope(&self) -> Envelope {
        let Self::Report(report) = self;
        report.envelope()
    }
}

impl From<SegmentReport> for Output {
    fn from(report: SegmentReport) -> Self {
        Self::Report(report)
    }
}

/// Turns pieces of sound into words.
pub struct Transcribe {
    carrier: Carrier,
    voice_activity: Arc<VoiceActivity>,
    transcriber: Arc<dyn Transcriber>,
}

impl Transcribe {
    /// Opens the models that `args` choose.
    ///
    /// # Errors
    /// When one is missing or cannot be read, with the command or package that brings it.
    pub fn new(services: Services, args: &TranscribeArgs) -> anyhow::Result<Self> {
        let voice_activity = VoiceActivity::open(&services.runtime)?;
        let transcriber = args.open()?;
        Ok(Self::with(services.carrier, voice_activity, transcriber))
    }

    /// Makes the stage of models that are open.
    pub fn with(carrier: Carrier, voice_activity: VoiceActivity, transcriber: Arc<dyn Transcriber>) -> Self {
        Self { carrier, voice_activity: Arc::new(voice_activity), transcriber }
    }

    /// Returns what hears the words: `pocketsphinx`, `whisper:base.en`, `http:whisper-1`.
    pub fn transcriber(&self) -> &str {
        self.transcriber.name()
    }

    /// Finds the words in `samples`, which lie from `start_us` to `end_us` on the source's timeline.
    ///
    /// # Errors
    /// Those of the models and of the speech service.
    pub async fn transcribe(
        &self,
        samples: Arc<[i16]>,
        (start_us, end_us): (i64, i64),
        language: &str,
        pulse: Pulse,
    ) -> Result<SegmentTranscript, Failure> {
        let listened = self.listen(samples.clone(), pulse.clone()).await?;
        let knows = self.transcriber.knows(language);
        if !knows {
            debug!(language, transcriber = self.transcriber.name(), "language unknown to the transcriber");
        }
        let (words, transcriber) = if listened.utterances.is_empty() || !knows {
            (Vec::new(), NOBODY)
        } else {
            let speech = Speech { samples, spans: listened.utterances, language: language.to_owned() };
            let heard = self.transcriber.hear(speech, pulse).await?;
            (words::place(heard, start_us, end_us), self.transcriber.name())
        };
        Ok(SegmentTranscript {
            start_us,
            end_us,
            words,
            loudness: listened.loudness,
            speech_us: spoken(&listened.speaking, start_us, end_us),
            transcriber: transcriber.to_owned(),
        })
    }

    async fn listen(&self, samples: Arc<[i16]>, pulse: Pulse) -> Result<Listened, Failure> {
        let voice_activity = self.voice_activity.clone();
        let longest = self.transcriber.longest_span();
        let work = move || {
            let probabilities = voice_activity.probabilities(&samples, &pulse)?;
            let speaking = spans::speaking(&probabilities, samples.len());
            let wide = spans::widened(&speaking, PADDING, samples.len());
            let utterances = spans::split(&wide, &probabilities, longest);
            Ok(Listened { loudness: loudness::measure(&samples), speaking, utterances })
        };
        tokio::task::spawn_blocking(work).await.map_err(|panic| Failure::Retry(panic.into()))?
    }
}

/// What was found before any word.
struct Listened {
    loudness: Loudness,
    /// Where somebody speaks.
    speaking: Vec<Range<usize>>,
    /// What the transcriber is given: a little more, in pieces it can take.
    utterances: Vec<Range<usize>>,
}

impl Stage for Transcribe {
    type In = AudioSegment;
    type Out = Output;
    const NAME: StageName = StageName::Transcribe;

    fn failed(input: &AudioSegment, code: Code, _detail: &str) -> Vec<Output> {
        let span_us = (input.start_us, input.end_us);
        vec![SegmentReport::failed(&input.job, input.window, SegmentKind::Audio, input.index, span_us, code).into()]
    }

    fn outside_failures(&self) -> u32 {
        self.transcriber.failures_in_a_row()
    }

    fn outside_quota(&self) -> Quota {
        self.transcriber.quota()
    }

    async fn process(&self, input: AudioSegment, out: &Outbox<Output>) -> Result<(), Failure> {
        let samples = samples(&self.carrier.open(&input.samples).await?);
        let span_us = (input.start_us, input.end_us.max(input.start_us));
        let transcript = self.transcribe(samples, span_us, &input.job.options.language, out.pulse()).await?;
        debug!(words = transcript.words.len(), transcriber = transcript.transcriber, "sound transcribed");
        let key = blob::key(&input.job.tenant(), input.job.video(), Kind::Result, &input.unit_key().replace('/', "-"));
        let result = self.carrier.pack(&key, transcript.encode_to_vec().into()).await?;
        out.send(SegmentReport::done(&input.job, input.window, SegmentKind::Audio, input.index, result)).await
    }
}

/// Reads signed 16-bit little-endian samples; half a sample at the end is nothing.
fn samples(bytes: &Bytes) -> Arc<[i16]> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn spoken(speaking: &[Range<usize>], start_us: i64, end_us: i64) -> Vec<i64> {
    let at = |sample: usize| (start_us + words::sample_us(sample)).min(end_us);
    let spans = speaking.iter().map(|span| (at(span.start), at(span.end)));
    spans.filter(|(from, to)| from < to).flat_map(|(from, to)| [from, to]).collect()
}
