//! Speech whose words and times are known, and other sound.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use pipeline::blob::{Blobs, Location};
use pipeline::event::{
    AudioSegment, Job, Options, Payload, Place, SegmentReport, SegmentReportKind, SegmentTranscript,
};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::Collected;
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::stage::Stage;
use processors::models::transcriber::Transcriber;
use processors::models::voice_activity::VoiceActivity;
use processors::transcribe::Transcribe;
use prost::Message;
use serde::Deserialize;

/// Source time at which the segments of these tests begin.
pub const START_US: i64 = 90_000_000;

/// A text as the synthesiser spoke it.
pub struct Spoken {
    pub samples: Vec<i16>,
    pub words: Vec<SpokenWord>,
}

/// The synthesiser's own word, with its own times.
#[derive(Deserialize)]
pub struct SpokenWord {
    pub text: String,
    pub start_s: f64,
    pub end_s: f64,
}

#[derive(Deserialize)]
struct Told {
    rate: u32,
    words: Vec<SpokenWord>,
}

/// Speaks `text` with eSpeak NG.
pub fn speak(voice: &str, words_per_minute: u32, text: &str) -> Spoken {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("speech.s16");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/espeak_words.py");
    let mut child = Command::new("python3")
        .args([script, voice, &words_per_minute.to_string()])
        .arg(&raw)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 and eSpeak NG are installed");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let told: Told = serde_json::from_slice(&output.stdout).unwrap();
    let rate = told.rate.to_string();
    let samples = ffmpeg(&["-f", "s16le", "-ar", &rate, "-ac", "1", "-i", raw.to_str().unwrap()]);
    Spoken { samples, words: told.words }
}

/// Makes sound with one of FFmpeg's sources.
pub fn lavfi(source: &str) -> Vec<i16> {
    ffmpeg(&["-f", "lavfi", "-i", source])
}

fn ffmpeg(input: &[&str]) -> Vec<i16> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(input)
        .args(["-f", "s16le", "-ar", "16000", "-ac", "1", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The stage with `transcriber` behind it, in a folder of its own.
pub fn stage(folder: &tempfile::TempDir, transcriber: Arc<dyn Transcriber>) -> Transcribe {
    let blobs = Blobs::open(&Location::Folder(folder.path().to_owned())).unwrap();
    let runtime = std::env::var_os("SPILLWAY_RUNTIME").map(Into::into);
    let voice_activity = VoiceActivity::open(&Runtime::new(&RuntimeArgs { runtime })).unwrap();
    Transcribe::with(Carrier::new(blobs, 4 << 20), voice_activity, transcriber)
}

/// A segment that begins at [`START_US`].
pub fn segment(samples: &[i16], language: &str) -> AudioSegment {
    let options = Options { language: language.to_owned(), ..Options::default() };
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    AudioSegment {
        job: Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Standard, options),
        index: 3,
        window: 0,
        start_us: START_US,
        end_us: START_US + samples.len() as i64 * 1_000_000 / 16_000,
        samples: Payload { place: Some(Place::Inline(bytes.into())) },
    }
}

/// Runs the stage on one segment and reads what it reports.
pub async fn hear(stage: &Transcribe, segment: AudioSegment) -> Result<SegmentTranscript, Failure> {
    let (outbox, collected) = Collected::outbox();
    stage.process(segment, &outbox).await?;
    let sent = collected.take();
    assert_eq!(sent.iter().map(|e| e.unit_key.as_str()).collect::<Vec<_>>(), ["audio/3"]);
    let report = SegmentReport::decode(&*sent[0].body).unwrap();
    let Some(SegmentReportKind::Done(done)) = report.kind else { panic!("not done: {report:?}") };
    let Some(Place::Inline(bytes)) = done.result.place else { panic!("a small result is not inline") };
    Ok(SegmentTranscript::decode(bytes).unwrap())
}

/// Pairs the words that were spoken with those that were heard, and counts the errors. Case and punctuation are none.
pub fn align(spoken: &Spoken, heard: &SegmentTranscript) -> (usize, Vec<(usize, usize)>) {
    let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let said: Vec<String> = spoken.words.iter().map(|word| bare(&word.text)).collect();
    let got: Vec<String> = heard.words.iter().map(|word| bare(&word.text)).collect();
    let mut cost = vec![vec![0; got.len() + 1]; said.len() + 1];
    for i in 0..=said.len() {
        for j in 0..=got.len() {
            cost[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let same = usize::from(said[i - 1] != got[j - 1]);
                    (cost[i - 1][j - 1] + same).min(cost[i - 1][j] + 1).min(cost[i][j - 1] + 1)
                }
            };
        }
    }
    let (mut i, mut j, mut pairs) = (said.len(), got.len(), Vec::new());
    while i > 0 && j > 0 {
        let same = said[i - 1] == got[j - 1];
        if same && cost[i][j] == cost[i - 1][j - 1] {
            pairs.push((i - 1, j - 1));
            (i, j) = (i - 1, j - 1);
        } else if cost[i][j] == cost[i - 1][j - 1] + 1 {
            (i, j) = (i - 1, j - 1);
        } else if cost[i][j] == cost[i - 1][j] + 1 {
            i -= 1;
        } else {
            j -= 1;
        }
    }
    (cost[said.len()][got.len()], pairs)
}
