//! Where clips may begin and end, and every span between the two that has an admitted length.

use pipeline::media_time::{MediaRange, MediaTime};

use super::sentences::{Ending, Sentence};
use super::timeline::{LOUDNESS_STEP, Timeline};

/// Silence kept before the first word, if there is as much.
const LEAD_IN: MediaTime = MediaTime::from_us(150_000);

/// Silence kept after the last word, if there is as much.
const LEAD_OUT: MediaTime = MediaTime::from_us(350_000);

/// An edge moves to a shot cut this near, if no word is between, so that no clip flashes up another shot.
const SNAP: MediaTime = MediaTime::from_us(500_000);

/// The shortest silence between two words that is surely one.
const BREATH: MediaTime = MediaTime::from_us(50_000);

/// A stretch without words as long as this has edges of its own.
const WORDLESS: MediaTime = MediaTime::from_us(3_000_000);

/// In a stretch without words there is one edge for each of these: a cut, or the quietest moment.
const BLOCK: MediaTime = MediaTime::from_us(2_000_000);

/// From one start at most this many ends are tried, spread over all admitted lengths: a four-hour video has
/// thousands of starts.
const ENDS_A_START: usize = 24;

/// What a clip's edge lies at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Between sentences, told by punctuation or by the first or last word of all.
    Stop,
    /// Between sentences, told by a pause.
    Pause,
    /// At the start or the end of the video.
    Video,
    /// At a cut, nobody speaking.
    Cut,
    /// At a quiet moment, nobody speaking.
    Quiet,
    /// Inside a sentence too long to be kept whole, between words.
    Words,
}

/// Where a clip may begin or end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// When.
    pub at: MediaTime,
    /// What is there.
    pub place: Place,
}

/// A span that may become a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The span.
    pub range: MediaRange,
    /// What it begins at.
    pub opens: Place,
    /// What it ends at.
    pub closes: Place,
}

/// The admitted lengths of clips.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// The shortest.
    pub min: MediaTime,
    /// The longest.
    pub max: MediaTime,
}

/// Finds every candidate; at least one where any picture was analysed. Edges lie between words.
pub fn candidates(
    timeline: &Timeline,
    sentences: &[Sentence],
    lengths: Lengths,
    duration: MediaTime,
) -> Vec<Candidate> {
    let (mut starts, mut ends) = wordless_edges(timeline, duration);
    let cuts: Vec<MediaTime> = timeline.cuts().collect();
    sentence_edges(timeline, sentences, &cuts, &mut starts, &mut ends);
    let found = spans(timeline, &mut starts, &mut ends, lengths);
    if !found.is_empty() {
        return found;
    }
    // One breathless sentence, or pieces too short for the shortest clip: a breath between words will do, else any
    // joint of two. A transcriber that takes one word for another may put a joint inside a word, but no breath.
    for least in [BREATH, MediaTime::ZERO] {
        word_edges(timeline, least, &mut starts, &mut ends);
        let found = spans(timeline, &mut starts, &mut ends, lengths);
        if !found.is_empty() {
            return found;
        }
    }
    // The longest piece, up to the longest clip.
    let longest = timeline.covered.iter().max_by_key(|c| (c.length(), std::cmp::Reverse(c.start)));
    longest.map(|piece| whole(timeline, *piece, lengths)).into_iter().collect()
}

/// Makes one candidate of `piece`, cut off between words where it is longer than the longest clip.
fn whole(timeline: &Timeline, piece: MediaRange, lengths: Lengths) -> Candidate {
    let limit = piece.end.min(piece.start + lengths.max);
    let cut_word = timeline.words.iter().find(|w| w.start_us < limit.as_us() && limit.as_us() < w.end_us);
    let before = cut_word.map_or(limit, |w| MediaTime::from_us(w.start_us));
    let end = if before > piece.start && limit < piece.end { before } else { limit };
    Candidate { range: MediaRange::new(piece.start, end), opens: Place::Video, closes: Place::Video }
}

/// Pairs starts with ends that lie in the same piece of analysed picture at an admitted length.
fn spans(timeline: &Timeline, starts: &mut Vec<Edge>, ends: &mut Vec<Edge>, lengths: Lengths) -> Vec<Candidate> {
    // Of edges at one time the best place is kept: places are in order of preference.
    for edges in [&mut *starts, &mut *ends] {
        edges.sort();
        edges.dedup_by_key(|e| e.at);
    }
    let mut found = Vec::new();
    for opens in starts.iter() {
        let piece = timeline.covered.iter().find(|c| c.start <= opens.at && opens.at < c.end);
        let Some(piece) = piece else { continue };
        let first = ends.partition_point(|e| e.at < opens.at + lengths.min);
        let after = ends.partition_point(|e| e.at <= (opens.at + lengths.max).min(piece.end));
        let reachable = ends.get(first..after).unwrap_or_default();
        let tried = reachable.len().min(ENDS_A_START);
        for turn in 0..tried {
            // The first and the last are always among those tried.
            let index = if tried > 1 { turn * (reachable.len() - 1) / (tried - 1) } else { 0 };
            let closes = reachable[index];
            let range = MediaRange::new(opens.at, closes.at);
            found.push(Candidate { range, opens: opens.place, closes: closes.place });
        }
    }
    found
}

/// Adds an edge before and after each sentence.
fn sentence_edges(
    timeline: &Timeline,
    sentences: &[Sentence],
    cuts: &[MediaTime],
    starts: &mut Vec<Edge>,
    ends: &mut Vec<Edge>,
) {
    let place = |ending: Ending| match ending {
        Ending::Stop => Place::Stop,
        Ending::Pause => Place::Pause,
        Ending::Divided => Place::Words,
    };
    let mut opens = Place::Stop;
    for sentence in sentences {
        let gap = gap_before(timeline, sentence.first);
        let silence = heard_end(timeline, gap);
        let at = snapped(cuts, (silence.end - LEAD_IN).max(silence.start), silence);
        // Beside sound that nobody listened to the sentence may have begun, or may go on.
        starts.push(Edge { at, place: if silence == gap { opens } else { Place::Words } });
        opens = place(sentence.ending);
        let gap = gap_before(timeline, sentence.after);
        let silence = heard_start(timeline, gap);
        let at = snapped(cuts, (silence.start + LEAD_OUT).min(silence.end), silence);
        ends.push(Edge { at, place: if silence == gap { opens } else { Place::Words } });
    }
}

/// Adds an edge between any two words that are at least `least` apart.
fn word_edges(timeline: &Timeline, least: MediaTime, starts: &mut Vec<Edge>, ends: &mut Vec<Edge>) {
    for index in 0..=timeline.words.len() {
        let gap = gap_before(timeline, index);
        let between = index > 0 && index < timeline.words.len();
        if between && gap.length() >= least || !between && gap.start < gap.end {
            let (before, after) = (heard_start(timeline, gap), heard_end(timeline, gap));
            starts.push(Edge { at: (after.end - LEAD_IN).max(after.start), place: Place::Words });
            ends.push(Edge { at: (before.start + LEAD_OUT).min(before.end), place: Place::Words });
        }
    }
}

/// Returns edges where nobody speaks for long: starts and ends.
fn wordless_edges(timeline: &Timeline, duration: MediaTime) -> (Vec<Edge>, Vec<Edge>) {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    let cuts: Vec<MediaTime> = timeline.cuts().collect();
    for index in 0..=timeline.words.len() {
        let gap = gap_before(timeline, index);
        if gap.start == MediaTime::ZERO {
            starts.push(Edge { at: gap.start, place: Place::Video });
        }
        if gap.end >= duration {
            ends.push(Edge { at: gap.end, place: Place::Video });
        }
        if gap.length() < WORDLESS {
            continue;
        }
        let edges = blocks(timeline, &cuts, MediaRange::new(gap.start + LEAD_OUT, gap.end - LEAD_IN));
        for edge in edges.into_iter().filter(|e| is_heard(timeline, e.at)) {
            starts.push(edge);
            ends.push(edge);
        }
    }
    for piece in &timeline.covered {
        // The picture may begin late or end early; a clip cannot reach beyond it.
        if is_heard(timeline, piece.start) && !in_word(timeline, piece.start) {
            starts.push(Edge { at: piece.start, place: Place::Quiet });
        }
        if is_heard(timeline, piece.end) && !in_word(timeline, piece.end) {
            ends.push(Edge { at: piece.end, place: Place::Quiet });
        }
    }
    (starts, ends)
}

/// Returns one edge for each block of a stretch without words.
fn blocks(timeline: &Timeline, cuts: &[MediaTime], stretch: MediaRange) -> Vec<Edge> {
    let mut edges = Vec::new();
    let mut start = stretch.start;
    while start < stretch.end {
        let end = (start + BLOCK).min(stretch.end);
        let cut = cuts[cuts.partition_point(|c| *c < start)..].first().filter(|c| **c < end);
        edges.push(match cut {
            Some(cut) => Edge { at: *cut, place: Place::Cut },
            None => Edge { at: quietest(timeline, MediaRange::new(start, end)), place: Place::Quiet },
        });
        start = end;
    }
    edges
}

/// Returns the quietest moment of `range`, its middle when there is no sound.
fn quietest(timeline: &Timeline, range: MediaRange) -> MediaTime {
    let step = LOUDNESS_STEP.as_us();
    let cell = |at: MediaTime| ((at - timeline.range.start).as_us().max(0) / step) as usize;
    let cells = cell(range.start)..cell(range.end).min(timeline.loudness_dbfs.len());
    let middle = MediaTime::from_us((range.start + range.end).as_us() / 2);
    let away = |index: usize| index.abs_diff(cell(middle));
    let quiet = cells
        .min_by(|a, b| timeline.loudness_dbfs[*a].total_cmp(&timeline.loudness_dbfs[*b]).then(away(*a).cmp(&away(*b))));
    let at = quiet.map(|c| timeline.range.start + MediaTime::from_us(c as i64 * step + step / 2));
    at.unwrap_or(middle).clamp(range.start, range.end)
}

/// Returns the silence before word `index`: from the word before, or the window's start, to it, or the window's end.
fn gap_before(timeline: &Timeline, index: usize) -> MediaRange {
    let before = index.checked_sub(1).map(|i| timeline.words[i].end_us).map(MediaTime::from_us);
    let next = timeline.words.get(index).map(|w| w.start_us).map(MediaTime::from_us);
    let start = before.unwrap_or(timeline.range.start.min(next.unwrap_or(timeline.range.start)));
    let end = next.unwrap_or(timeline.range.end.max(start));
    MediaRange::new(start, end.max(start))
}

/// Returns the end of `gap`, back to the last sound in it that nobody listened to.
fn heard_end(timeline: &Timeline, gap: MediaRange) -> MediaRange {
    let unheard = timeline.unheard.iter().filter(|u| u.start < gap.end && gap.start < u.end);
    MediaRange::new(unheard.map(|u| u.end.min(gap.end)).max().unwrap_or(gap.start), gap.end)
}

/// Returns the start of `gap`, up to the first sound in it that nobody listened to.
fn heard_start(timeline: &Timeline, gap: MediaRange) -> MediaRange {
    let unheard = timeline.unheard.iter().filter(|u| u.start < gap.end && gap.start < u.end);
    MediaRange::new(gap.start, unheard.map(|u| u.start.max(gap.start)).min().unwrap_or(gap.end))
}

/// Says whether it is known that nobody is cut off at `at`.
fn is_heard(timeline: &Timeline, at: MediaTime) -> bool {
    timeline.unheard.iter().all(|gap| at < gap.start || gap.end < at)
}

fn in_word(timeline: &Timeline, at: MediaTime) -> bool {
    let index = timeline.words.partition_point(|w| w.end_us <= at.as_us());
    timeline.words.get(index).is_some_and(|w| w.start_us < at.as_us())
}

/// Moves `at` to the nearest cut within reach that lies in the same silence.
fn snapped(cuts: &[MediaTime], at: MediaTime, silence: MediaRange) -> MediaTime {
    let first = cuts.partition_point(|c| *c < (at - SNAP).max(silence.start));
    let near = cuts[first..].iter().take_while(|c| **c <= (at + SNAP).min(silence.end));
    near.min_by_key(|c| (c.as_us() - at.as_us()).abs()).copied().unwrap_or(at)
}

#[cfg(test)]
mod tests;
