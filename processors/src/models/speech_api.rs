//! A speech service over HTTP with OpenAI's `audio/transcriptions`: the company's, or a server of one's own.

mod allowance;
mod answer;

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use pipeline::failure::Failure;
use pipeline::outbox::Pulse;
use pipeline::outside::{Quota, Requests};
use reqwest::multipart::{Form, Part};
use reqwest::{Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::transcriber::{HeardWord, SAMPLE_RATE, Speech, Transcriber};
use allowance::Allowance;
use answer::Answer;

/// A piece of sound is about 30 s: one request each.
const LONGEST_SPAN: usize = 60 * SAMPLE_RATE;
/// How often a request that waits for its turn shows that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// The longest answer that is read, in bytes. A minute of speech is some 250 words, which with their times, segments and
/// tokens are 50 kB; a service that has more to say than twenty times that is not answering.
const LONGEST_ANSWER: usize = 1 << 20;

/// Where the service is and how it may be used.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its base, such as `https://api.openai.com/v1`.
    pub url: Url,
    /// The key sent as a bearer token.
    pub key: Option<Key>,
    /// The model asked for, such as `whisper-1`.
    pub model: String,
    /// Longest time one request may take.
    pub timeout: Duration,
    /// Requests a minute that this process may send, if there is a limit.
    pub quota: Option<u32>,
    /// Failures in a row after which the service counts as down.
    pub breaker: u32,
}

/// A secret; never shown.
#[derive(Clone)]
pub struct Key(String);

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self(key.to_owned())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Recognises speech with a service.
pub struct SpeechApi {
    name: String,
    service: Service,
    endpoint: Url,
    client: reqwest::Client,
    /// When the next request may be sent, where there is a quota.
    turn: Mutex<Instant>,
    failures_in_a_row: AtomicU32,
    /// What it allows, as it last said.
    allowance: Mutex<Option<Allowance>>,
    sent: Arc<Requests>,
}

impl SpeechApi {
    /// Makes a client of `service`; nothing is sent yet.
    ///
    /// # Errors
    /// When the URL cannot be a base.
    pub fn new(service: Service) -> anyhow::Result<Self> {
        let mut endpoint = service.url.clone();
        let segments = endpoint.path_segments_mut();
        segments
            .map_err(|()| anyhow!("{} cannot be a base address", service.url))?
            .pop_if_empty()
            .extend(["audio", "transcriptions"]);
        let client = reqwest::Client::builder()
            .timeout(service.timeout)
            // A redirect would take the key and the sound somewhere nobody named.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            name: format!("http:{}", service.model),
            service,
            endpoint,
            client,
            turn: Mutex::new(Instant::now()),
            failures_in_a_row: AtomicU32::new(0),
            allowance: Mutex::default(),
            sent: Arc::default(),
        })
    }

    async fn hear_span(&self, speech: &Speech, span: &Range<usize>, pulse: &Pulse) -> Result<Vec<HeardWord>, Failure> {
        self.wait_for_turn(pulse).await?;
        let stop = pulse.stop();
        let asked = self.ask(&speech.samples[span.clone()], &speech.language);
        let answer = tokio::select! {
            answer = asked => answer,
            () = stop.cancelled() => return Err(Failure::Retry(anyhow!("told to stop"))),
        };
        match answer {
            Ok(answer) => {
                self.failures_in_a_row.store(0, Ordering::Relaxed);
                Ok(answer.words(span))
            }
            Err(failure) => Err(self.judge(failure)),
        }
    }

    async fn ask(&self, samples: &[i16], language: &str) -> Result<Answer, Failure> {
        let sound = Part::bytes(wav(samples)).file_name("speech.wav").mime_str("audio/wav").map_err(retry)?;
        let mut form = Form::new()
            .part("file", sound)
            .text("model", self.service.model.clone())
            .text("response_format", "verbose_json")
            .text("timestamp_granularities[]", "word")
            .text("timestamp_granularities[]", "segment")
            .text("temperature", "0");
        if language != "auto" {
            form = form.text("language", language.to_owned());
        }
        let mut request = self.client.post(self.endpoint.clone()).multipart(form);
        if let Some(Key(key)) = &self.service.key {
            request = request.bearer_auth(key);
        }
        let response = request.send().await;
        // One that waited too long for its answer has used up as much as one that was answered.
        if !response.as_ref().is_err_and(reqwest::Error::is_connect) {
            self.sent.count(Timestamp::now());
        }
        let response = response.map_err(unanswered)?;
        if let Some(allowance) = Allowance::told(response.headers()) {
            *self.allowance.lock().unwrap_or_else(PoisonError::into_inner) = Some(allowance);
        }
        let status = response.status();
        let body = body(response).await;
        if !status.is_success() {
            let text: String = String::from_utf8_lossy(&body.unwrap_or_default()).chars().take(200).collect();
            return Err(refused(status, &text));
        }
        let body = body.context("read the speech service's answer").map_err(Failure::Retry)?;
        serde_json::from_slice(&body).context("understand the speech service's answer").map_err(Failure::Retry)
    }

    /// The service is down once enough requests failed in a row; one that works makes it well again.
    fn judge(&self, failure: Failure) -> Failure {
        let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        match failure {
            Failure::Retry(error) if failures >= self.service.breaker => {
                Failure::Unavailable(error.context(format!("{failures} requests failed in a row")))
            }
            other => other,
        }
    }

    async fn wait_for_turn(&self, pulse: &Pulse) -> Result<(), Failure> {
        let Some(quota) = self.service.quota else { return Ok(pulse.beat()?) };
        let apart = Duration::from_secs(60) / quota.max(1);
        let at = {
            let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*turn).max(Instant::now());
            *turn = at + apart;
            at
        };
        loop {
            pulse.beat()?;
            let now = Instant::now();
            if now >= at {
                return Ok(());
            }
            tokio::time::sleep_until(at.min(now + BEAT)).await;
        }
    }
}

impl Transcriber for SpeechApi {
    fn name(&self) -> &str {
        &self.name
    }

    fn knows(&self, _language: &str) -> bool {
        true
    }

    fn longest_span(&self) -> usize {
        LONGEST_SPAN
    }

    fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Ordering::Relaxed)
    }

    fn quota(&self) -> Quota {
        let allowance = *self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        Quota {
            left: allowance.map(|allowance| allowance.left),
            limit: allowance.map(|allowance| allowance.limit),
            sent: Some(self.sent.clone()),
        }
    }

    fn hear(&self, speech: Speech, pulse: Pulse) -> BoxFuture<'_, Result<Vec<HeardWord>, Failure>> {
        async move {
            let mut words = Vec::new();
            for span in speech.joined(LONGEST_SPAN) {
                words.extend(self.hear_span(&speech, &span, &pulse).await?);
            }
            Ok(words)
        }
        .boxed()
    }
}

/// Reads an answer, if it is not too long.
async fn body(mut response: Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        anyhow::ensure!(body.len() + chunk.len() <= LONGEST_ANSWER, "it is longer than {LONGEST_ANSWER} bytes");
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A service that cannot be connected to is down for every sound.
fn unanswered(error: reqwest::Error) -> Failure {
    let down = error.is_connect();
    let error = anyhow::Error::from(error).context("ask the speech service");
    if down { Failure::Unavailable(error) } else { Failure::Retry(error) }
}

fn retry(error: reqwest::Error) -> Failure {
    Failure::Retry(error.into())
}

/// A full quota, a wrong key or a gateway without its service is nothing the sound can help: no attempt is spent on it.
fn refused(status: StatusCode, text: &str) -> Failure {
    let error = anyhow!("the speech service answered {status}: {text}");
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Failure::Unavailable(error),
        _ => Failure::Retry(error),
    }
}

/// Returns `samples` as a WAV file.
fn wav(samples: &[i16]) -> Vec<u8> {
    let length = samples.len() as u32 * 2;
    let rate = SAMPLE_RATE as u32;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    let (pcm, channels, frame_bytes, sample_bits) = (1u16, 1u16, 2u16, 16u16);
    file.extend_from_slice(&pcm.to_le_bytes());
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * 2).to_le_bytes());
    file.extend_from_slice(&frame_bytes.to_le_bytes());
    file.extend_from_slice(&sample_bits.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}
