//! Which transcriber a worker uses, and how.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use url::Url;

use crate::models::catalog::{self, ModelFolder, SpeechModel};
use crate::models::pocketsphinx::{self, PocketSphinx};
use crate::models::speech_api::{Key, Service, SpeechApi};
use crate::models::transcriber::Transcriber;
use crate::models::whisper::Whisper;

/// How speech becomes words.
#[derive(clap::Args, Clone, Debug)]
pub struct TranscribeArgs {
    /// What turns speech into words; `auto` is the best speech model that was pulled, else PocketSphinx.
    #[arg(long, env = "SPILLWAY_TRANSCRIBER", value_enum, default_value_t, value_name = "NAME")]
    pub transcriber: Choice,
    /// Speech model: for `whisper` a name of `spillway models list` or a file [default: the best that was pulled], for `api` the service's name of it [default: whisper-1].
    #[arg(long, env = "SPILLWAY_SPEECH_MODEL", value_name = "MODEL")]
    pub speech_model: Option<String>,
    /// Where pulled speech models are.
    #[command(flatten)]
    pub model_folder: ModelFolder,
    /// Threads that work on one piece of speech (whisper only).
    #[arg(long, env = "SPILLWAY_SPEECH_THREADS", default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub speech_threads: u32,
    /// Base address of a speech service with OpenAI's API (for `api`), such as `https://api.openai.com/v1`.
    #[arg(long, env = "SPILLWAY_SPEECH_URL", value_name = "URL")]
    pub speech_url: Option<Url>,
    /// The speech service's key; give it through the environment, where other users cannot see it.
    #[arg(long, env = "SPILLWAY_SPEECH_KEY", hide_env_values = true, value_name = "KEY", value_parser = |key: &str| Ok::<_, String>(Key::from(key)))]
    pub speech_key: Option<Key>,
    /// Longest time one request to the speech service may take.
    #[arg(long, env = "SPILLWAY_SPEECH_TIMEOUT", default_value = "60s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub speech_timeout: Duration,
    /// Requests a minute that this process may send to the speech service [default: no limit].
    #[arg(long, env = "SPILLWAY_SPEECH_QUOTA", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub speech_quota: Option<u32>,
    /// Failures in a row after which the speech service counts as down and work waits for it.
    #[arg(long, env = "SPILLWAY_SPEECH_BREAKER", default_value_t = 10, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub speech_breaker: u32,
}

/// What turns speech into words.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// The best speech model that was pulled, else PocketSphinx.
    #[default]
    Auto,
    /// English, offline, from the distribution; rough.
    #[value(name = "pocketsphinx")]
    PocketSphinx,
    /// whisper.cpp with a model pulled by `spillway models pull`.
    Whisper,
    /// A speech service with OpenAI's API.
    Api,
}

impl TranscribeArgs {
    /// Opens the transcriber that was chosen.
    ///
    /// # Errors
    /// When it cannot be opened, with what to do.
    pub(super) fn open(&self) -> anyhow::Result<Arc<dyn Transcriber>> {
        let models = self.model_folder.path();
        let models = models.as_deref();
        match self.transcriber {
            Choice::Auto => match (&self.speech_model, models.and_then(catalog::best_installed)) {
                (Some(_), _) => self.open_chosen_whisper(models),
                (None, Some((model, path))) => self.open_whisper(model.name, &path),
                (None, None) => open_pocketsphinx(),
            },
            Choice::PocketSphinx => open_pocketsphinx(),
            Choice::Whisper => self.open_chosen_whisper(models),
            Choice::Api => self.open_api(),
        }
    }

    fn open_chosen_whisper(&self, models: Option<&Path>) -> anyhow::Result<Arc<dyn Transcriber>> {
        let (name, path) = self.find_model(models)?;
        self.open_whisper(&name, &path)
    }

    fn find_model(&self, models: Option<&Path>) -> anyhow::Result<(String, PathBuf)> {
        let Some(wanted) = &self.speech_model else {
            let best = models.and_then(catalog::best_installed);
            let (model, path) =
                best.context("no speech model is there; pull one with `spillway models pull base.en`")?;
            return Ok((model.name.to_owned(), path));
        };
        let file = Path::new(wanted);
        if file.is_file() {
            let name = file.file_stem().map_or(wanted.clone(), |stem| stem.to_string_lossy().into_owned());
            return Ok((name.trim_start_matches("ggml-").to_owned(), file.to_owned()));
        }
        let model = SpeechModel::find(wanted)?;
        let path = models.and_then(|folder| model.installed(folder));
        let path = path.with_context(|| {
            format!("the speech model {wanted} is not there; pull it with `spillway models pull {wanted}`")
        })?;
        Ok((wanted.clone(), path))
    }

    fn open_whisper(&self, name: &str, path: &Path) -> anyhow::Result<Arc<dyn Transcriber>> {
        Ok(Arc::new(Whisper::open(name, path, self.speech_threads)?))
    }

    fn open_api(&self) -> anyhow::Result<Arc<dyn Transcriber>> {
        let url = self.speech_url.clone().context("the speech service's address is missing; give --speech-url")?;
        anyhow::ensure!(matches!(url.scheme(), "http" | "https"), "--speech-url must be an http(s) address");
        let service = Service {
            url,
            key: self.speech_key.clone(),
            model: self.speech_model.clone().unwrap_or_else(|| "whisper-1".to_owned()),
            timeout: self.speech_timeout,
            quota: self.speech_quota,
            breaker: self.speech_breaker,
        };
        Ok(Arc::new(SpeechApi::new(service)?))
    }
}

fn open_pocketsphinx() -> anyhow::Result<Arc<dyn Transcriber>> {
    Ok(Arc::new(PocketSphinx::open(Path::new(pocketsphinx::MODEL_FOLDER))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        transcribe: TranscribeArgs,
    }

    /// Opens what `line` chooses, with no model pulled.
    fn open(line: &str) -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let mut args = Line::try_parse_from(["spillway"].into_iter().chain(line.split_whitespace()))?.transcribe;
        args.model_folder.models = Some(folder.path().to_owned());
        Ok(args.open()?.name().to_owned())
    }

    #[test]
    fn errors_say_what_to_do() {
        for (line, told) in [
            ("--transcriber whisper", "spillway models pull base.en"),
            ("--speech-model small.en", "spillway models pull small.en"),
            ("--speech-model big", "one of: tiny"),
            ("--transcriber api", "--speech-url"),
            ("--transcriber api --speech-url ftp://a", "http(s)"),
            ("--speech-quota 0", "--speech-quota"),
        ] {
            let error = open(line).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(told), "{line}: {error}");
        }
    }

    #[test]
    fn a_service_is_named_after_its_model_and_its_key_is_not_shown() {
        let line = "--transcriber api --speech-url http://127.0.0.1:9/v1 --speech-key hush --speech-model large";
        assert_eq!(open(line).unwrap(), "http:large");
        let args = Line::try_parse_from(["spillway", "--speech-key", "hush"]).unwrap().transcribe;
        assert!(!format!("{args:?}").contains("hush"));
    }
}
