//! Words: clips keep them whole, and how many of them each transcriber hears. Measured against the synthesiser's own
//! words and times.

use std::path::PathBuf;

use clap::Parser;
use pipeline::event::{Clip, Options, Word};
use processors::transcribe::{Transcribe, TranscribeArgs};

use crate::material::Workshop;
use crate::speech::{Spoken, SpokenWord, align, hear, segment, speak};
use crate::whole::{Finished, Whole};

/// Voice, words a minute, text. No figures and no names, which each transcriber writes in its own way.
const SPOKEN: [(&str, u32, &str); 3] = [
    (
        "en-us",
        150,
        "So why do some companies grow so fast while others fail? \
         The simple answer is that they listen to their customers every single day. \
         The first thing you have to understand is that nobody knows the answer. \
         We have to try many different things and see what works in the real world. \
         Most people stop too early, because the first results are small.",
    ),
    (
        "en-us+f3",
        160,
        "Good morning everyone. Today we will talk about money, and about time. \
         Money comes back when you lose it, but time never does. \
         Think about the last week, and ask yourself where all the hours went. \
         A short walk in the morning gives you a better day than a long meeting. \
         If you want to change your life, then begin with a very small step.",
    ),
    (
        "en-us+m7",
        140,
        "When I was young, my father had a little garden behind the house. \
         Every evening he came home late, and still he went out to look at the plants. \
         He told me that good things grow slowly, and that most of the work is waiting. \
         I did not understand him then, but now I think of it every day.",
    ),
];

/// How far into a word a clip's edge may reach, in seconds: one frame of the video.
/// The synthesiser's word ends with its last sound, the recogniser counts in steps of 10 ms, and a clip begins with
/// a frame.
const TOLERANCE_S: f64 = 0.04;

/// Frames a second of the spoken videos.
const RATE: f64 = 25.0;

/// Returns each text with its voice.
pub fn spoken() -> impl Iterator<Item = (&'static str, Spoken)> {
    SPOKEN.into_iter().map(|(voice, words_per_minute, text)| (voice, speak(voice, words_per_minute, text)))
}

/// Makes a video of what was spoken, as a camera does: moving picture, AAC.
fn filmed(shop: &Workshop, name: &str, spoken: &Spoken) -> PathBuf {
    let bytes: Vec<u8> = spoken.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let sound = shop.write(&format!("{name}.s16"), &bytes);
    let input = format!("-f lavfi -i testsrc2=s=320x180:r=25 -f s16le -ar 16000 -ac 1 -i {}", sound.display());
    let encode = "-shortest -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -c:a aac -ar 48000";
    shop.make(&format!("{input} {encode}"), &format!("{name}.mp4"))
}

/// Returns when a clip begins and ends in the source, in seconds: at its first frame, and after its last.
fn edges(clip: &Clip) -> [f64; 2] {
    [clip.start_us, clip.end_us].map(|us| ((us - 600) as f64 * RATE / 1e6).ceil().max(0.0) / RATE)
}

/// Checks that a finished clip is as long as its edges are apart.
#[track_caller]
fn check_length(finished: &Finished) {
    let [start, end] = edges(&finished.clip);
    let frames: f64 = crate::marked::ffprobe(&finished.file, "v:0", "stream=nb_frames").parse().expect("a number");
    assert!((frames / RATE - (end - start)).abs() < 1e-6, "{frames} frames from {start} to {end} s");
}

/// Returns how far `edge` reaches into a word, in seconds; less than nothing when it lies between two.
#[track_caller]
fn depth(name: &str, spoken: &Spoken, edge: f64) -> f64 {
    let inside = |word: &SpokenWord| (edge - word.start_s).min(word.end_s - edge);
    let word = spoken.words.iter().max_by(|a, b| inside(a).total_cmp(&inside(b))).expect("words");
    let (depth, text) = (inside(word), &word.text);
    assert!(depth <= TOLERANCE_S, "{name}: {edge:.3} s is in {text:?} ({:.3} to {:.3})", word.start_s, word.end_s);
    depth
}

#[tokio::test(flavor = "multi_thread")]
async fn no_clip_begins_or_ends_inside_a_word() {
    let shop = Workshop::new();
    let whole = Whole::with(&["--x264-preset", "ultrafast"]);
    let (mut inner, mut deepest) = (0, f64::MIN);
    for (name, spoken) in spoken() {
        let file = filmed(&shop, name, &spoken);
        let (planned, finished) = whole.make(&file, Options { height: 320, ..Options::default() }).await;
        finished.iter().for_each(check_length);
        let mut clips: Vec<Clip> = finished.into_iter().map(|finished| finished.clip).collect();
        // Clips of other lengths begin and end elsewhere.
        for (min_clip_ms, max_clip_ms) in [(1_000, 3_000), (2_000, 5_000), (4_000, 7_000), (6_000, 9_000)] {
            let options = Options { clips: 20, min_clip_ms, max_clip_ms, ..Options::default() };
            clips.extend(whole.plan_again(&planned, options).await.into_iter().map(|planned| planned.clip));
        }
        let length_s = spoken.samples.len() as f64 / 16_000.0;
        for edge in clips.iter().flat_map(edges) {
            inner += usize::from(edge > 0.5 && edge < length_s - 0.5);
            deepest = deepest.max(depth(name, &spoken, edge));
        }
    }
    println!("{inner} edges within the talks, at the most {:.0} ms inside a word", deepest * 1e3);
    assert!(inner >= 30, "only {inner} edges were put to the test");
}

/// What is published of a transcriber: the word error rate that was measured, and the bound that is kept, in per cent.
fn published(transcriber: &str) -> (f64, f64) {
    let page = include_str!("../../../docs/speech.md");
    let start = format!("| `{transcriber}` | ");
    let rows = page.lines().skip_while(|line| !line.starts_with("## Words found"));
    let row = rows.into_iter().find_map(|line| line.strip_prefix(&start)).expect("a published row");
    let mut figures = row.split('|').map(|cell| cell.trim().trim_end_matches(" %").parse().expect("per cent"));
    (figures.next().expect("measured"), figures.next().expect("bound"))
}

/// Counts the errors of `stage` on everything that is spoken; returns them and the number of words.
async fn errors(stage: &Transcribe) -> (usize, usize) {
    let (mut errors, mut words) = (0, 0);
    for (voice, spoken) in spoken() {
        let heard = hear(stage, segment(&spoken.samples, "en")).await.expect("heard");
        let (wrong, _) = align(&spoken, &heard);
        let text: Vec<&str> = heard.words.iter().map(|word: &Word| word.text.as_str()).collect();
        println!("{voice}: {wrong} errors in {} words: {}", spoken.words.len(), text.join(" "));
        errors += wrong;
        words += spoken.words.len();
    }
    println!("{errors} errors in {words} words: {:.1} %", 100.0 * errors as f64 / words as f64);
    (errors, words)
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    transcribe: TranscribeArgs,
}

/// The stage as the command line, then the environment, has it.
fn stage(shop: &Workshop, arguments: &[&str]) -> Transcribe {
    let line = ["transcribe"].into_iter().chain(arguments.iter().copied());
    Transcribe::new(shop.services(), &Arguments::parse_from(line).transcribe).expect("the transcriber is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn pocketsphinx_hears_as_many_words_as_is_published() {
    let shop = Workshop::new();
    let (errors, words) = errors(&stage(&shop, &["--transcriber", "pocketsphinx"])).await;
    let rate = 100.0 * errors as f64 / words as f64;
    let (measured, bound) = published("pocketsphinx");
    assert!(rate <= bound, "{rate:.1} % is over the published {bound} %");
    assert!((rate - measured).abs() <= bound - measured, "{rate:.1} % is far from the published {measured} %");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures what SPILLWAY_TRANSCRIBER names: needs its model or service (docs/speech.md)"]
async fn words_heard_by_the_transcriber_that_is_set() {
    let shop = Workshop::new();
    let stage = stage(&shop, &[]);
    println!("{}", stage.transcriber());
    errors(&stage).await;
}
