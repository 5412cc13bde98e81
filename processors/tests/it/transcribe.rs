//! PocketSphinx behind the stage: words, their times, and what is no speech.
#![expect(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::path::Path;
use std::sync::Arc;

use pipeline::event::{SegmentReportKind, SegmentTranscript};
use pipeline::failure::Code;
use pipeline::stage::Stage;
use processors::models::pocketsphinx::{MODEL_FOLDER, PocketSphinx};
use processors::transcribe::{Output, Transcribe};

use crate::speech::{START_US, align, hear, lavfi, segment, speak, stage};

const TALK: &str = "So why do some companies grow so fast while others fail? \
    The simple answer is that they listen to their customers every single day. \
    The first thing you have to understand is that nobody knows the answer. \
    We have to try many different things and see what works in the real world.";

fn pocketsphinx(folder: &tempfile::TempDir) -> Transcribe {
    stage(folder, Arc::new(PocketSphinx::open(Path::new(MODEL_FOLDER)).unwrap()))
}

fn assert_well_formed(heard: &SegmentTranscript) {
    assert!(heard.words.windows(2).all(|pair| pair[0].end_us <= pair[1].start_us), "words overlap");
    assert!(
        heard.words.iter().all(|w| w.start_us < w.end_us && heard.start_us <= w.start_us && w.end_us <= heard.end_us)
    );
    assert!(heard.words.iter().all(|word| (0.0..=1.0).contains(&word.confidence)));
    assert!(heard.speech_us.is_sorted() && heard.speech_us.len().is_multiple_of(2));
}

#[tokio::test]
async fn spoken_words_are_found_at_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let spoken = speak("en-us", 150, TALK);
    let heard = hear(&pocketsphinx(&folder), segment(&spoken.samples, "en")).await.unwrap();
    assert_well_formed(&heard);
    let (errors, pairs) = align(&spoken, &heard);
    let error_rate = errors as f64 / spoken.words.len() as f64;
    assert!(error_rate <= 0.4, "word error rate {error_rate:.2}: {:?}", heard.words);
    let mut apart_ms: Vec<i64> = Vec::new();
    for (said, got) in pairs {
        let (said, got) = (&spoken.words[said], &heard.words[got]);
        apart_ms.push((got.start_us - START_US - (said.start_s * 1e6) as i64).abs() / 1000);
        apart_ms.push((got.end_us - START_US - (said.end_s * 1e6) as i64).abs() / 1000);
    }
    apart_ms.sort_unstable();
    let (median, p95) = (apart_ms[apart_ms.len() / 2], apart_ms[apart_ms.len() * 95 / 100]);
    assert!(median <= 25 && p95 <= 120, "word edges are {median} ms (p95 {p95} ms) from the truth");
    assert_eq!(heard.transcriber, "pocketsphinx");
}

#[tokio::test]
async fn speech_spans_cover_the_words_that_were_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let mut spoken = speak("en-us+f3", 160, "Good morning everyone. Today we will talk about money.");
    let silence = vec![0; 48_000];
    spoken.samples = [&silence[..], &spoken.samples, &silence].concat();
    let heard = hear(&pocketsphinx(&folder), segment(&spoken.samples, "en")).await.unwrap();
    assert_well_formed(&heard);
    for word in &spoken.words {
        let middle_us = START_US + 3_000_000 + ((word.start_s + word.end_s) * 5e5) as i64;
        let inside = heard.speech_us.chunks(2).any(|span| span[0] <= middle_us && middle_us < span[1]);
        assert!(inside, "{} at {middle_us} is in none of {:?}", word.text, heard.speech_us);
    }
    assert!(heard.speech_us[0] >= START_US + 2_700_000, "silence counts as speech: {:?}", heard.speech_us);
    assert!(heard.loudness.dbfs[0] == -100.0 && heard.loudness.dbfs[35] > -40.0);
}

#[tokio::test]
async fn silence_noise_and_music_have_no_words() {
    let folder = tempfile::tempdir().unwrap();
    let stage = pocketsphinx(&folder);
    for (name, samples) in [
        ("silence", vec![0; 480_000]),
        ("white noise", lavfi("anoisesrc=duration=12:color=white:amplitude=0.3:seed=1")),
        ("brown noise", lavfi("anoisesrc=duration=12:color=brown:amplitude=0.8:seed=1")),
        ("a chord", lavfi("aevalsrc=0.2*sin(2*PI*262*t)+0.2*sin(2*PI*330*t)+0.2*sin(2*PI*392*t):d=12")),
        ("a loud square", lavfi("aevalsrc=sgn(sin(2*PI*110*t)):d=5")),
        ("nothing", Vec::new()),
        ("one sample", vec![7]),
    ] {
        let heard = hear(&stage, segment(&samples, "en")).await.unwrap();
        assert_eq!((heard.words.len(), heard.speech_us.len(), heard.transcriber.as_str()), (0, 0, "none"), "{name}");
        assert_eq!(heard.loudness.dbfs.len(), samples.len().div_ceil(1600), "{name}");
    }
}

#[tokio::test]
async fn the_same_sound_gives_the_same_words_whatever_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let stage = pocketsphinx(&folder);
    let talk = segment(&speak("en-us", 150, "I have to try many different things.").samples, "en");
    let other = segment(&speak("en-us+f3", 170, "Every evening he came home late.").samples, "en");
    let first = hear(&stage, talk.clone()).await.unwrap();
    hear(&stage, other.clone()).await.unwrap();
    let (second, third, _) =
        tokio::join!(hear(&stage, talk.clone()), hear(&stage, talk.clone()), hear(&stage, other.clone()));
    assert_eq!((&second.unwrap(), &third.unwrap()), (&first, &first));
}

/// Scores are relative to the best of the sounds that are considered, and sounds of an earlier segment could be left
/// among them.
#[tokio::test]
async fn confidence_does_not_depend_on_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let stage = pocketsphinx(&folder);
    let words = "What would you do with ten more hours every week? That is the question we asked two hundred teams last \
        year. Most of them gave the same answer. They would talk to the people who use what they build.";
    let samples = speak("en-us", 150, words).samples;
    let parts: Vec<_> = samples.windows(3 * 16_000).step_by(23_000).map(|part| segment(part, "en")).collect();
    let mut first = Vec::new();
    for part in &parts {
        first.push(hear(&pocketsphinx(&folder), part.clone()).await.unwrap());
    }
    for (part, first) in parts.into_iter().zip(first) {
        assert_eq!(hear(&stage, part).await.unwrap(), first);
    }
}

#[tokio::test]
async fn a_language_that_is_not_known_gives_no_words_but_speech() {
    let folder = tempfile::tempdir().unwrap();
    let samples = speak("de", 150, "Guten Morgen, heute sprechen wir über Geld und Zeit.").samples;
    let heard = hear(&pocketsphinx(&folder), segment(&samples, "de")).await.unwrap();
    assert_eq!((heard.words.len(), heard.transcriber.as_str()), (0, "none"));
    assert!(!heard.speech_us.is_empty());
}

#[test]
fn a_segment_given_up_is_reported_with_its_span() {
    let input = segment(&[0; 16_000], "en");
    let told = Transcribe::failed(&input, Code::Crashed, "");
    let [Output::Report(report)] = &told[..] else { panic!("{told:?}") };
    let Some(SegmentReportKind::Failed(failed)) = &report.kind else { panic!("{report:?}") };
    assert_eq!((failed.index, failed.start_us, failed.end_us), (3, START_US, START_US + 1_000_000));
    assert_eq!(failed.code, "crashed");
}
