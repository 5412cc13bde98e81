//! whisper.cpp, with a model the user pulled.

use std::ffi::c_void;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use pipeline::failure::Failure;
use pipeline::outbox::Pulse;
use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperSegment, WhisperState,
};

use super::transcriber::{HeardWord, Pool, SAMPLE_RATE, Speech, Transcriber};

/// The model hears 30 s at a time; a little less leaves room for its padding.
const LONGEST_SPAN: usize = 28 * SAMPLE_RATE;
/// Samples in 10 ms, the unit of its times.
const TICK: usize = SAMPLE_RATE / 100;
/// It refuses less than 100 ms of sound; with a second of silence behind it short speech is heard better too.
const SHORTEST_SOUND: usize = SAMPLE_RATE;

/// Recognises speech with whisper.cpp.
pub struct Whisper {
    name: String,
    model: Arc<Model>,
    states: Arc<Pool<WhisperState>>,
}

struct Model {
    multilingual: bool,
    threads: i32,
}

impl Whisper {
    /// Opens the model `name` in the file `path`; each piece of speech is worked on by `threads` threads.
    /// The weights are kept once; each piece in work at once has buffers of its own.
    ///
    /// # Errors
    /// When the file is not a model of whisper.cpp.
    pub fn open(name: &str, path: &Path, threads: u32) -> anyhow::Result<Self> {
        whisper_rs::install_logging_hooks();
        let context = WhisperContext::new_with_params(path, WhisperContextParameters::default())
            .with_context(|| format!("read the speech model {}", path.display()))?;
        let model = Arc::new(Model { multilingual: context.is_multilingual(), threads: threads.try_into()? });
        let states = Arc::new(Pool::new(move || Ok(context.create_state()?))?);
        Ok(Self { name: format!("whisper:{name}"), model, states })
    }
}

impl Transcriber for Whisper {
    fn name(&self) -> &str {
        &self.name
    }

    fn knows(&self, language: &str) -> bool {
        self.model.multilingual || matches!(language, "en" | "auto")
    }

    fn longest_span(&self) -> usize {
        LONGEST_SPAN
    }

    fn hear(&self, speech: Speech, pulse: Pulse) -> BoxFuture<'_, Result<Vec<HeardWord>, Failure>> {
        let (model, states) = (self.model.clone(), self.states.clone());
        let work = move || states.with(|state| model.hear(state, &speech, &pulse));
        let done = tokio::task::spawn_blocking(work);
        async { done.await.map_err(|panic| Failure::Retry(panic.into()))? }.boxed()
    }
}

impl Model {
    fn hear(&self, state: &mut WhisperState, speech: &Speech, pulse: &Pulse) -> Result<Vec<HeardWord>, Failure> {
        let mut words = Vec::new();
        for span in &speech.joined(LONGEST_SPAN) {
            pulse.beat()?;
            let mut sound: Vec<f32> = speech.samples[span.clone()].iter().map(|&s| f32::from(s) / 32_768.0).collect();
            sound.resize(sound.len().max(SHORTEST_SOUND), 0.0);
            let heard = state.full(self.parameters(&speech.language, pulse), &sound);
            pulse.beat()?;
            heard.context("recognise speech").map_err(Failure::Retry)?;
            for segment in state.as_iter() {
                words.extend(words_of(&segment, span).map_err(Failure::Retry)?);
            }
        }
        Ok(words)
    }

    fn parameters<'a>(&self, language: &'a str, pulse: &'a Pulse) -> FullParams<'a, 'a> {
        let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
        parameters.set_n_threads(self.threads);
        parameters.set_language(Some(if self.multilingual { language } else { "en" }));
        parameters.set_token_timestamps(true);
        parameters.set_no_context(true);
        parameters.set_suppress_blank(true);
        parameters.set_suppress_nst(true);
        // A second try with chance in it would make the words differ from one run to the next.
        parameters.set_temperature_inc(0.0);
        parameters.set_print_progress(false);
        parameters.set_print_realtime(false);
        parameters.set_print_special(false);
        parameters.set_print_timestamps(false);
        // SAFETY: the callback takes the pulse it is given here, which outlives the parameters ('a) and with them the
        // call they are made for. The safe setter of whisper-rs 0.16 hands its closure on with the wrong type.
        unsafe {
            parameters.set_abort_callback(Some(must_stop));
            parameters.set_abort_callback_user_data(std::ptr::from_ref(pulse).cast_mut().cast());
        }
        parameters
    }
}

/// Called by whisper.cpp between steps of its computation.
unsafe extern "C" fn must_stop(pulse: *mut c_void) -> bool {
    // SAFETY: `parameters` sets this callback together with a pulse that lives through the computation.
    let pulse = unsafe { &*pulse.cast::<Pulse>() };
    pulse.beat().is_err()
}

/// A token's own text begins with a space where a word does; special tokens are written `[_..]`.
fn words_of(segment: &WhisperSegment, span: &Range<usize>) -> anyhow::Result<Vec<HeardWord>> {
    let mut pieces: Vec<Piece> = Vec::new();
    for index in 0..segment.n_tokens() {
        let Some(token) = segment.get_token(index) else { continue };
        let bytes = token.to_bytes()?;
        if bytes.starts_with(b"[_") || bytes.starts_with(b"<|") {
            continue;
        }
        let data = token.token_data();
        match pieces.last_mut() {
            Some(piece) if !bytes.starts_with(b" ") => {
                piece.bytes.extend_from_slice(bytes);
                piece.end = data.t1;
                piece.probability = piece.probability.min(data.p);
            }
            _ => pieces.push(Piece { bytes: bytes.to_vec(), start: data.t0, end: data.t1, probability: data.p }),
        }
    }
    Ok(pieces.into_iter().filter_map(|piece| piece.word(span)).collect())
}

/// A word in the making; a letter outside ASCII may be spread over tokens.
struct Piece {
    bytes: Vec<u8>,
    start: i64,
    end: i64,
    probability: f32,
}

impl Piece {
    fn word(self, span: &Range<usize>) -> Option<HeardWord> {
        let text = String::from_utf8_lossy(&self.bytes).trim().to_owned();
        let noise = text.starts_with(['[', '(', '♪', '*']) || !text.contains(char::is_alphanumeric);
        if noise {
            return None;
        }
        let at = |tick: i64| (span.start + usize::try_from(tick).unwrap_or(0) * TICK).min(span.end);
        Some(HeardWord { samples: at(self.start)..at(self.end.max(self.start)), text, confidence: self.probability })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, start: i64, end: i64) -> Option<HeardWord> {
        Piece { bytes: text.as_bytes().to_vec(), start, end, probability: 0.5 }.word(&(16_000..32_000))
    }

    #[test]
    fn ticks_become_samples_within_the_span() {
        let word = piece(" day.", 50, 500).unwrap();
        assert_eq!((word.text.as_str(), word.samples), ("day.", 24_000..32_000));
    }

    #[test]
    fn descriptions_of_sound_are_no_words() {
        assert_eq!([piece(" [MUSIC]", 0, 9), piece(" (applause)", 0, 9), piece(" ...", 0, 9)], [None, None, None]);
    }
}
