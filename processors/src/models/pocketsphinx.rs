//! PocketSphinx: an offline recogniser of English from the distribution, rough but at home anywhere.

mod background;
mod foreign;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use pipeline::failure::Failure;
use pipeline::outbox::Pulse;

use super::transcriber::{HeardWord, SAMPLE_RATE, Speech, Transcriber};
use foreign::Decoder;

/// Where Debian's package `pocketsphinx-en-us` puts the model.
pub const MODEL_FOLDER: &str = "/usr/share/pocketsphinx/model/en-us";

/// Samples in one of the recogniser's frames: 10 ms.
const FRAME: usize = SAMPLE_RATE / 100;

/// How the search is pruned: no second pass, fewer states at once, more weight on what the coming phonemes sound
/// like, fewer Gaussians. Chosen by measurement: `docs/speech.md` has the word error rate and the CPU time of each setting.
const SEARCH: &[(&str, &str)] = &[("-fwdflat", "no"), ("-maxhmmpf", "3000"), ("-pl_weight", "6"), ("-topn", "2")];

/// Recognises English with PocketSphinx.
pub struct PocketSphinx {
    decoders: Arc<Decoders>,
}

/// Makes decoders. Each hears one speech only: what it heard would tip the confidences of what it hears next in their
/// last digits, and with them the plan. To open one takes 0.3 s.
struct Decoders {
    arguments: Vec<(String, String)>,
    /// Opened to see that it can be.
    first: Mutex<Option<Decoder>>,
}

/// The files of a model.
struct Model {
    acoustic: PathBuf,
    language: PathBuf,
    dictionary: PathBuf,
}

impl PocketSphinx {
    /// Opens the model in `folder` (see [`MODEL_FOLDER`]). Each decoder in use at once takes about 105 MB.
    ///
    /// # Errors
    /// When the model is missing, with the package that has it, or cannot be read.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let arguments = Model::find(folder)?.arguments()?;
        let first = Mutex::new(Some(Decoder::open(&arguments)?));
        Ok(Self { decoders: Arc::new(Decoders { arguments, first }) })
    }
}

impl Transcriber for PocketSphinx {
    fn name(&self) -> &str {
        "pocketsphinx"
    }

    fn knows(&self, language: &str) -> bool {
        matches!(language, "en" | "auto")
    }

    fn longest_span(&self) -> usize {
        15 * SAMPLE_RATE
    }

    fn hear(&self, speech: Speech, pulse: Pulse) -> BoxFuture<'_, Result<Vec<HeardWord>, Failure>> {
        let decoders = self.decoders.clone();
        let work = move || hear(decoders.next()?, &speech, &pulse);
        let done = tokio::task::spawn_blocking(work);
        async { done.await.map_err(|panic| Failure::Retry(panic.into()))? }.boxed()
    }
}

impl Decoders {
    fn next(&self) -> Result<Decoder, Failure> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| Decoder::open(&self.arguments).map_err(Failure::Retry), Ok)
    }
}

/// Each span is one utterance, so that the recogniser's level and noise estimates depend on nothing before it.
fn hear(mut decoder: Decoder, speech: &Speech, pulse: &Pulse) -> Result<Vec<HeardWord>, Failure> {
    let mut words = Vec::new();
    for span in &speech.spans {
        pulse.beat()?;
        let utterance = background::filled(&speech.samples[span.clone()]);
        let recognised = decoder.recognise(&utterance).map_err(Failure::Retry)?;
        for word in recognised {
            let Some(text) = written(&word.text) else { continue };
            let samples = in_samples(&word.frames, span);
            words.push(HeardWord { samples, text, confidence: word.posterior.clamp(0.0, 1.0) as f32 });
        }
    }
    Ok(words)
}

fn in_samples(frames: &Range<usize>, span: &Range<usize>) -> Range<usize> {
    let at = |frame: usize| (span.start + frame * FRAME).min(span.end);
    at(frames.start)..at(frames.end)
}

/// Returns a dictionary entry as it is written: `read(2)` is `read`; `<sil>` and `[NOISE]` are nothing.
fn written(entry: &str) -> Option<String> {
    if entry.is_empty() || entry.starts_with(['<', '[', '+']) {
        return None;
    }
    let word = match entry.split_once('(') {
        Some((word, _)) => word,
        None => entry,
    };
    Some(if word == "i" || word.starts_with("i'") { word.replacen('i', "I", 1) } else { word.to_owned() })
}

impl Model {
    fn find(folder: &Path) -> anyhow::Result<Self> {
        let model = Self {
            acoustic: folder.join("en-us"),
            language: folder.join("en-us.lm.bin"),
            dictionary: folder.join("cmudict-en-us.dict"),
        };
        for path in [&model.acoustic.join("mdef"), &model.language, &model.dictionary] {
            anyhow::ensure!(
                path.exists(),
                "PocketSphinx's English model is missing ({}); install it with `apt-get install pocketsphinx-en-us`",
                path.display()
            );
        }
        Ok(model)
    }

    fn arguments(&self) -> anyhow::Result<Vec<(String, String)>> {
        let text = |path: &Path| {
            let path = path.to_str().map(str::to_owned);
            path.ok_or_else(|| anyhow::anyhow!("the path of PocketSphinx's model is not UTF-8"))
        };
        let files = [
            ("-hmm", text(&self.acoustic)?),
            ("-lm", text(&self.language)?),
            ("-dict", text(&self.dictionary)?),
            // The recogniser would drop what it takes for silence and then count frames without it: times would drift.
            ("-remove_silence", "no".to_owned()),
        ];
        let search = SEARCH.iter().map(|(name, value)| (*name, (*value).to_owned()));
        Ok(files.into_iter().chain(search).map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionary_entries_become_written_words() {
        for (entry, expected) in
            [("read(2)", Some("read")), ("<sil>", None), ("[NOISE]", None), ("</s>", None), ("i'm", Some("I'm"))]
        {
            assert_eq!(written(entry).as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn a_missing_model_names_the_package() {
        let error = PocketSphinx::open(Path::new("/nonexistent")).err().unwrap().to_string();
        assert!(error.contains("apt-get install pocketsphinx-en-us"), "{error}");
    }
}
