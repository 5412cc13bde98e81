//! Shots: spans of one uninterrupted camera take, found from the change of content between frames.
//!
//! A cut is a change that stands out from those around it (a moving camera changes every frame alike) and stays
//! (a flash returns). A dissolve or a fade changes little from one frame to the next, but half a second of it is
//! a mixture of its ends.

use std::collections::VecDeque;

use pipeline::event::{Frame, SegmentAnalysis};
use pipeline::media_time::{MediaRange, MediaTime};

use crate::analyze::change::change;

/// A change below this is no cut, however still the picture is around it.
const LEAST_CUT: f32 = 0.22;

/// A change that replaces the picture wholly, whatever happens around it.
const SURE_CUT: f32 = 0.75;

/// How many times the usual change around it a cut is.
const STANDS_OUT: f32 = 3.0;

/// How many frames on each side say what is usual.
const AROUND: usize = 6;

/// How long a flash may last, in frames; `change_over_six` looks past it.
const FLASH: usize = 6;

/// A flash returns to less than this part of the change that it came with.
const RETURNED: f32 = 0.5;

/// A mixture of less than this is no dissolve.
const LEAST_BLEND: f32 = 0.3;

/// Half of the span in which a dissolve is looked for: its middle lies this long before the frame that tells.
const BLEND_MIDDLE_US: i64 = 250_000;

/// Two openings closer than this are one.
const SHORTEST_US: i64 = 120_000;

/// Brightness below which, or above one less it, a fade went through black or white.
const BLACK: f32 = 0.12;

/// A hole in the frames longer than this is a missing piece and not a slow frame rate.
const GAP_US: i64 = 1_500_000;

/// How a shot begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// The range that was asked for begins here.
    Start,
    /// The picture jumps from one frame to the next.
    Cut,
    /// The picture comes out of black or white.
    Fade,
    /// One picture turns into the other over several frames.
    Dissolve,
    /// A piece of the picture is missing before or after this point.
    Gap,
}

/// A span of one uninterrupted take.
#[derive(Clone, PartialEq, Debug)]
pub struct Shot {
    /// Where it lies; a shot begins where the one before ends.
    pub range: MediaRange,
    /// How it begins.
    pub opening: Opening,
    /// Mean change of content between its frames, 0 (a still picture) to 1.
    pub motion: f32,
    /// The picture of this span is missing: its segment was given up.
    pub missing: bool,
}

/// Divides `range` into shots, without gap or overlap, from `segments` sorted by their start.
pub fn shots(segments: &[SegmentAnalysis], range: MediaRange) -> Vec<Shot> {
    let runs = runs(segments);
    let mut openings: Vec<(i64, Opening, bool)> = Vec::new();
    let mut covered_us = range.start.as_us();
    for run in &runs {
        let missing = run.start_us - covered_us > GAP_US;
        if missing {
            openings.push((covered_us, Opening::Gap, true));
        }
        openings.push((run.start_us, if missing { Opening::Gap } else { Opening::Start }, false));
        openings.extend(within(&run.frames).into_iter().map(|(at_us, opening)| (at_us, opening, false)));
        covered_us = run.end_us;
    }
    if range.end.as_us() - covered_us > GAP_US {
        openings.push((covered_us, Opening::Gap, true));
    }
    tile(&openings, &runs, range)
}

/// Turns openings, in order, into shots that cover `range`.
fn tile(openings: &[(i64, Opening, bool)], runs: &[Run], range: MediaRange) -> Vec<Shot> {
    let (start_us, end_us) = (range.start.as_us(), range.end.as_us());
    let mut shots: Vec<Shot> = Vec::new();
    // The first shot reaches back to the start of the range, whichever opening it was found by.
    let first = openings.iter().rposition(|(at_us, ..)| *at_us <= start_us).unwrap_or(0);
    let inside: Vec<_> = openings.iter().skip(first).filter(|(at_us, ..)| *at_us < end_us).collect();
    for (index, (at_us, opening, missing)) in inside.iter().enumerate() {
        let from_us = if index == 0 { start_us } else { *at_us };
        let to_us = inside.get(index + 1).map_or(end_us, |(next_us, ..)| *next_us);
        if to_us > from_us {
            let opening = if index == 0 && !missing { Opening::Start } else { *opening };
            let range = MediaRange::new(MediaTime::from_us(from_us), MediaTime::from_us(to_us));
            shots.push(Shot { range, opening, motion: motion(runs, range), missing: *missing });
        }
    }
    if shots.is_empty() && end_us > start_us {
        shots.push(Shot { range, opening: Opening::Start, motion: 0.0, missing: runs.is_empty() });
    }
    shots
}

/// Returns the mean change of the frames in `range`, its first apart: that one belongs to the cut.
fn motion(runs: &[Run], range: MediaRange) -> f32 {
    let (mut sum, mut count) = (0.0, 0);
    for frames in runs.iter().map(|run| &run.frames) {
        let from = frames.partition_point(|frame| frame.at_us <= range.start.as_us());
        let to = frames.partition_point(|frame| frame.at_us < range.end.as_us());
        for frame in frames.get(from..to).unwrap_or_default() {
            sum += f64::from(frame.change);
            count += 1;
        }
    }
    (sum / f64::from(count.max(1))) as f32
}

/// Frames without a hole, out of one segment or several.
struct Run {
    start_us: i64,
    end_us: i64,
    frames: Vec<Frame>,
}

/// Joins segments whose frames follow one another, comparing the pictures at their edges.
fn runs(segments: &[SegmentAnalysis]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before: VecDeque<&[u8]> = VecDeque::new();
    for segment in segments.iter().filter(|segment| !segment.frames.is_empty()) {
        let follows = runs.last().is_some_and(|run| segment.start_us - run.end_us <= GAP_US);
        let last_us = runs.last().and_then(|run| run.frames.last()).map_or(i64::MIN, |frame| frame.at_us);
        let mut frames: Vec<Frame> = segment.frames.iter().filter(|frame| frame.at_us > last_us).cloned().collect();
        // When frames were left out, what comes first is no edge.
        if follows && frames.len() == segment.frames.len() {
            join(&mut frames, &before, segment);
        }
        before = segment.tail.thumbnails.iter().map(|thumbnail| thumbnail.as_ref()).collect();
        match runs.last_mut() {
            Some(run) if follows => {
                run.frames.append(&mut frames);
                run.end_us = segment.end_us.max(run.end_us);
            }
            _ => runs.push(Run { start_us: segment.start_us, end_us: segment.end_us, frames }),
        }
    }
    runs
}

/// Fills in what the first frames of a segment could not be compared with: the end of the segment before.
fn join(frames: &mut [Frame], before: &VecDeque<&[u8]>, segment: &SegmentAnalysis) {
    let back = |count: usize| before.len().checked_sub(count).map(|index| before[index]);
    let head = &segment.head.thumbnails;
    if let (Some(frame), Some(last), Some(first)) = (frames.first_mut(), back(1), head.first()) {
        frame.change = change(last, first);
        frame.change_over_two = back(2).map_or(0.0, |older| change(older, first));
    }
    if let (Some(frame), Some(last), Some(second)) = (frames.get_mut(1), back(1), head.get(1)) {
        frame.change_over_two = change(last, second);
    }
    for (index, frame) in frames.iter_mut().take(FLASH).enumerate() {
        // Six frames back, where so many were kept; else what comes nearest to them.
        let older = before.get((before.len() + index).saturating_sub(FLASH)).or(before.back());
        frame.change_over_six = match (older, head.get(index)) {
            (Some(older), Some(newer)) => change(older, newer),
            _ => 1.0,
        };
    }
}

/// Finds where shots begin among frames without a hole, in order.
fn within(frames: &[Frame]) -> Vec<(i64, Opening)> {
    let mut found: Vec<(i64, Opening)> = Vec::new();
    let mut strength = f32::INFINITY;
    for index in (1..frames.len()).filter(|index| is_cut(frames, *index)) {
        let (at_us, change) = (frames[index].at_us, frames[index].change);
        match found.last_mut() {
            Some(last) if at_us - last.0 < SHORTEST_US => {
                if change > strength {
                    (*last, strength) = ((at_us, Opening::Cut), change);
                }
            }
            _ => {
                found.push((at_us, Opening::Cut));
                strength = change;
            }
        }
    }
    let cuts: Vec<i64> = found.iter().map(|(at_us, _)| *at_us).collect();
    found.extend(mixtures(frames, &cuts));
    found.sort_by_key(|(at_us, _)| *at_us);
    found
}

/// Says whether the picture is replaced between the frame before `index` and it, for good.
fn is_cut(frames: &[Frame], index: usize) -> bool {
    let change = frames[index].change;
    if change < LEAST_CUT {
        return false;
    }
    let near = index.saturating_sub(AROUND).max(1)..(index + AROUND + 1).min(frames.len());
    let mut around: Vec<f32> = near.filter(|other| *other != index).map(|other| frames[other].change).collect();
    around.sort_by(f32::total_cmp);
    // Not the mean: another cut nearby must not hide this one.
    let usual = around.get(around.len() / 2).copied().unwrap_or(0.0);
    if change < usual * STANDS_OUT && change < SURE_CUT {
        return false;
    }
    let returned = |changes: Option<f32>| changes.is_some_and(|value| value < change * RETURNED);
    let soon = (index..index + 2).filter(|other| *other >= 2);
    let later = (index..index + FLASH).filter(|other| *other >= FLASH);
    let flash = soon.map(|other| frames.get(other).map(|frame| frame.change_over_two)).any(returned)
        || later.map(|other| frames.get(other).map(|frame| frame.change_over_six)).any(returned);
    !flash
}

/// Finds the middles of dissolves and fades that are not beside one of `cuts`.
fn mixtures(frames: &[Frame], cuts: &[i64]) -> Vec<(i64, Opening)> {
    let mut found: Vec<(i64, Opening)> = Vec::new();
    let mut index = 0;
    while index < frames.len() {
        if frames[index].blend < LEAST_BLEND {
            index += 1;
            continue;
        }
        let end =
            frames[index..].iter().position(|frame| frame.blend < LEAST_BLEND).map_or(frames.len(), |n| index + n);
        let peak = (index..end).max_by(|a, b| frames[*a].blend.total_cmp(&frames[*b].blend)).unwrap_or(index);
        let middle_us = frames[peak].at_us - BLEND_MIDDLE_US;
        let middle = frames.partition_point(|frame| frame.at_us < middle_us).min(frames.len() - 1);
        let span = frames.partition_point(|frame| frame.at_us < middle_us - BLEND_MIDDLE_US)..=peak;
        let dark = frames[span.clone()].iter().any(|frame| frame.brightness < BLACK);
        let white = frames[span].iter().any(|frame| frame.brightness > 1.0 - BLACK);
        let near = |at_us: &i64| (at_us - middle_us).abs() < 2 * BLEND_MIDDLE_US;
        let apart = found.last().is_none_or(|(last_us, _)| middle_us - last_us > 2 * BLEND_MIDDLE_US);
        if apart && !cuts.iter().any(near) {
            found.push((frames[middle].at_us, if dark || white { Opening::Fade } else { Opening::Dissolve }));
        }
        index = end;
    }
    found
}

#[cfg(test)]
mod tests;
