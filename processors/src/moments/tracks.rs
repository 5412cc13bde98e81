//! Tracks: one person's face over time, within a shot and across the edges of segments.

use pipeline::event::{Face, SegmentAnalysis};
use pipeline::media_time::{MediaRange, MediaTime};

use super::shots::Shot;

/// How long a face may be unseen and still be the same track, in microseconds.
const LONGEST_GAP_US: i64 = 1_000_000;

/// A face seen less often is taken for a mistake of the detector.
const LEAST_LOOKS: usize = 3;

/// A shot too short for that many looks needs a face this sure.
const SURE_SCORE: f32 = 0.75;

/// A track whose looks are less sure than this on average is taken for a mistake of the detector.
const LEAST_SCORE: f32 = 0.55;

/// A face seen in fewer of the looks between its first and its last is taken for a mistake of the detector.
const LEAST_SHARE: f32 = 0.4;

/// Shares of the box before, of this one and of the next in a smoothed box.
const SMOOTHING: [f32; 3] = [0.25, 0.5, 0.25];

/// A face over time. Its boxes lie within one shot.
#[derive(Clone, PartialEq, Debug)]
pub struct Track {
    /// Its place among the video's tracks, ordered by start, then from left to right, from 0.
    pub id: u32,
    /// From its first box (the shot's start, if it is there from the first look on) to the look after its last.
    pub range: MediaRange,
    /// Where the face is, one box a look, in order of time; a look that missed it has none.
    pub boxes: Vec<TrackBox>,
}

/// A face at one time, smoothed over its neighbours, in display pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrackBox {
    /// When.
    pub at: MediaTime,
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
    /// How sure the detector was, 0 to 1.
    pub score: f32,
    /// How much the mouth moved since the look before, 0 to 1.
    pub mouth_motion: f32,
}

/// Joins the faces of `segments` (sorted by their start) into tracks, each within one of `shots`.
pub fn tracks(segments: &[SegmentAnalysis], shots: &[Shot]) -> Vec<Track> {
    let looks = looks(segments);
    let mut tracks: Vec<Track> = Vec::new();
    for shot in shots.iter().filter(|shot| !shot.missing) {
        let from = looks.partition_point(|look| look.at_us < shot.range.start.as_us());
        let to = looks.partition_point(|look| look.at_us < shot.range.end.as_us());
        tracks.extend(within(&looks[from..to], shot.range));
    }
    tracks.sort_by(|a, b| {
        let left = |track: &Track| track.boxes.first().map_or(0.0, |first| first.x);
        a.range.start.cmp(&b.range.start).then(left(a).total_cmp(&left(b)))
    });
    for (id, track) in tracks.iter_mut().enumerate() {
        track.id = id as u32;
    }
    tracks
}

/// One look for faces, and those that were found.
struct Look<'a> {
    at_us: i64,
    faces: Vec<&'a Face>,
}

/// Returns all looks in order of time; of two at the same time the first.
fn looks(segments: &[SegmentAnalysis]) -> Vec<Look<'_>> {
    let mut looks: Vec<Look<'_>> = Vec::new();
    for segment in segments {
        for &at_us in &segment.looked_us {
            if looks.last().is_none_or(|last| at_us > last.at_us) {
                // Faces are in order of time too; hours may be one segment.
                let first = segment.faces.partition_point(|face| face.at_us < at_us);
                let faces = segment.faces[first..].iter().take_while(|face| face.at_us == at_us).collect();
                looks.push(Look { at_us, faces });
            }
        }
    }
    looks
}

/// A track as it grows: the boxes as they were seen.
struct Growing {
    seen: Vec<TrackBox>,
    first_look: usize,
    last_look: usize,
}

/// Joins the faces of the looks within one shot.
fn within(looks: &[Look<'_>], shot: MediaRange) -> Vec<Track> {
    let mut growing: Vec<Growing> = Vec::new();
    for (index, look) in looks.iter().enumerate() {
        let mut free: Vec<&Face> = look.faces.clone();
        for (track, face) in pairs(&growing, look) {
            growing[track].seen.push(seen(look.faces[face]));
            growing[track].last_look = index;
            free.retain(|other| !std::ptr::eq(*other, look.faces[face]));
        }
        for face in free {
            growing.push(Growing { seen: vec![seen(face)], first_look: index, last_look: index });
        }
    }
    growing.retain(|track| is_face(track, looks.len()));
    growing.iter().map(|track| finish(track, looks, shot)).collect()
}

/// Pairs open tracks with the faces of a look, nearest first, each used once.
fn pairs(growing: &[Growing], look: &Look<'_>) -> Vec<(usize, usize)> {
    let mut possible: Vec<(f32, usize, usize)> = Vec::new();
    for (track, open) in growing.iter().enumerate() {
        let Some(last) = open.seen.last() else { continue };
        let unseen_us = look.at_us - last.at.as_us();
        if unseen_us > LONGEST_GAP_US {
            continue;
        }
        for (index, face) in look.faces.iter().enumerate() {
            if let Some(distance) = distance(last, face, unseen_us) {
                possible.push((distance, track, index));
            }
        }
    }
    possible.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    for (_, track, face) in possible {
        if chosen.iter().all(|(t, f)| *t != track && *f != face) {
            chosen.push((track, face));
        }
    }
    chosen
}

/// Returns how far a face is from where a track was last, in faces; `None` when it cannot be the same.
fn distance(last: &TrackBox, face: &Face, unseen_us: i64) -> Option<f32> {
    let size = (last.width * last.height).sqrt().max(1.0);
    let grown = (face.width * face.height).sqrt() / size;
    let across = (face.x + face.width / 2.0) - (last.x + last.width / 2.0);
    let down = (face.y + face.height / 2.0) - (last.y + last.height / 2.0);
    let moved = across.hypot(down) / size;
    // A head moves by less than its own size between two looks, and further when it was unseen for longer.
    let reach = 0.6 + unseen_us as f32 / 1e6;
    let same = moved <= reach && (0.5..=2.0).contains(&grown);
    same.then(|| moved + grown.ln().abs())
}

fn seen(face: &Face) -> TrackBox {
    TrackBox {
        at: MediaTime::from_us(face.at_us),
        x: face.x,
        y: face.y,
        width: face.width,
        height: face.height,
        score: face.score,
        mouth_motion: face.mouth_motion,
    }
}

/// Tells a face, which stays and is seen again and again, from something that looked like one for a moment.
fn is_face(track: &Growing, looks_in_shot: usize) -> bool {
    let looks = track.last_look - track.first_look + 1;
    let score = track.seen.iter().map(|seen| seen.score).sum::<f32>() / track.seen.len() as f32;
    let share = track.seen.len() as f32 / looks as f32;
    if looks_in_shot < LEAST_LOOKS {
        return track.seen.len() == looks_in_shot && score >= SURE_SCORE;
    }
    track.seen.len() >= LEAST_LOOKS && score >= LEAST_SCORE && share >= LEAST_SHARE
}

/// Smooths the boxes and says how long the track lasts: until the look after its last, within its shot.
fn finish(track: &Growing, looks: &[Look<'_>], shot: MediaRange) -> Track {
    let boxes: Vec<TrackBox> = (0..track.seen.len()).map(|index| smooth(&track.seen, index)).collect();
    // At the edges of a shot a face is there from its start, though the first look comes a moment later.
    let start = if track.first_look == 0 { shot.start } else { track.seen[0].at };
    let end = looks.get(track.last_look + 1).map_or(shot.end, |next| MediaTime::from_us(next.at_us));
    Track { id: 0, range: MediaRange::new(start, end), boxes }
}

/// Returns the box at `index`, drawn towards those before and after it.
fn smooth(seen: &[TrackBox], index: usize) -> TrackBox {
    let before = &seen[index.saturating_sub(1)];
    let after = &seen[(index + 1).min(seen.len() - 1)];
    let here = seen[index];
    // At an end the missing neighbour would hold the box back; there it stays as it was seen.
    if index == 0 || index + 1 == seen.len() {
        return here;
    }
    let mean =
        |of: fn(&TrackBox) -> f32| SMOOTHING[0] * of(before) + SMOOTHING[1] * of(&here) + SMOOTHING[2] * of(after);
    TrackBox { x: mean(|b| b.x), y: mean(|b| b.y), width: mean(|b| b.width), height: mean(|b| b.height), ..here }
}

#[cfg(test)]
mod tests;
