//! What was found in a window, as the JSON that the HTTP API hands out. All times are source times in seconds.

use pipeline::media_time::{MediaRange, MediaTime};
use serde::Serialize;

use super::timeline::{LOUDNESS_STEP, Timeline};

/// A window's analysis.
#[derive(Debug, Serialize)]
struct Analysis<'a> {
    start_s: f64,
    end_s: f64,
    shots: Vec<Span>,
    tracks: Vec<Track>,
    words: Vec<Word<'a>>,
    loudness: Loudness,
}

#[derive(Debug, Serialize)]
struct Span {
    start_s: f64,
    end_s: f64,
}

/// One face over time, in display pixels of the source.
#[derive(Debug, Serialize)]
struct Track {
    id: u32,
    start_s: f64,
    end_s: f64,
    boxes: Vec<FaceBox>,
}

#[derive(Debug, Serialize)]
struct FaceBox {
    at_s: f64,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    score: f64,
}

#[derive(Debug, Serialize)]
struct Word<'a> {
    start_s: f64,
    end_s: f64,
    text: &'a str,
    confidence: f64,
}

/// Root mean square of each step from the window's start, in dB relative to full scale; empty without sound.
#[derive(Debug, Serialize)]
struct Loudness {
    step_s: f64,
    dbfs: Vec<f64>,
}

/// Ids of tracks are told apart by their window: nobody is followed from one window to the next.
const IDS_PER_WINDOW: u32 = 1_000_000;

/// Writes `timeline`, that of `window`, as JSON.
///
/// # Errors
/// Never in practice: every value has a form in JSON.
pub fn json(timeline: &Timeline, window: u32) -> serde_json::Result<Vec<u8>> {
    let analysis = Analysis {
        start_s: seconds(timeline.range.start),
        end_s: seconds(timeline.range.end),
        shots: timeline.shots.iter().map(|s| span(s.range)).collect(),
        tracks: timeline.tracks.iter().map(|t| track(t, window)).collect(),
        words: timeline.words.iter().map(word).collect(),
        loudness: Loudness {
            step_s: seconds(LOUDNESS_STEP),
            dbfs: timeline.loudness_dbfs.iter().map(|v| rounded((*v).into(), 10.0)).collect(),
        },
    };
    serde_json::to_vec(&analysis)
}

fn track(track: &super::tracks::Track, window: u32) -> Track {
    let face = |b: &super::tracks::TrackBox| FaceBox {
        at_s: seconds(b.at),
        x: rounded(b.x.into(), 10.0),
        y: rounded(b.y.into(), 10.0),
        width: rounded(b.width.into(), 10.0),
        height: rounded(b.height.into(), 10.0),
        score: rounded(b.score.into(), 1e3),
    };
    let Span { start_s, end_s } = span(track.range);
    Track { id: window * IDS_PER_WINDOW + track.id, start_s, end_s, boxes: track.boxes.iter().map(face).collect() }
}

fn word(word: &pipeline::event::Word) -> Word<'_> {
    Word {
        start_s: seconds(MediaTime::from_us(word.start_us)),
        end_s: seconds(MediaTime::from_us(word.end_us)),
        text: &word.text,
        confidence: rounded(word.confidence.into(), 1e3),
    }
}

fn span(range: MediaRange) -> Span {
    Span { start_s: seconds(range.start), end_s: seconds(range.end) }
}

fn seconds(at: MediaTime) -> f64 {
    at.as_seconds()
}

/// Rounds to one part in `parts`: what was measured no finer is told no finer, and hours of boxes stay small.
fn rounded(value: f64, parts: f64) -> f64 {
    if value.is_finite() { (value * parts).round() / parts } else { 0.0 }
}
