//! Whom the camera shows: who speaks, told by the size of faces and the movement of mouths, in turns where a shot is
//! long; two together where they fit.

use std::collections::BTreeMap;

use pipeline::media_time::{MediaRange, MediaTime};

use super::view::{Look, View};
use crate::moments::profile::activity;
use crate::moments::timeline::{Timeline, span};
use crate::moments::tracks::{Track, TrackBox};

/// A face in under this share of a shot's looks is a passer-by, or no face.
const PRESENT: f64 = 0.15;

/// A face of under this share of the largest one's area is background.
const FOREGROUND: f64 = 0.12;

/// A face in this share of the looks, of this share of the largest one's area, matters beside the speaker.
const BESIDE_PRESENT: f64 = 0.5;
const BESIDE_AREA: f64 = 0.4;

/// How long somebody else must speak before the camera jumps over.
const TURN: MediaTime = MediaTime::from_us(2_000_000);

/// How much more active than the one in view somebody must be to be taken for the speaker.
const CHALLENGE: f32 = 1.5;

/// Activity is averaged over this long before and after: mouths close between syllables.
const AVERAGE_OVER: MediaTime = MediaTime::from_us(700_000);

/// Two people talk at once, or in turns too quick to follow, when the less active is ahead in this share of looks.
const QUICK_TURNS: f64 = 0.3;

/// Two faces are shown together if both fit in this share of looks.
const FITS: f64 = 0.95;

/// A time at which faces were found.
type LookAt = i64;

/// Part of a shot, and whom the camera shows in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The part.
    pub range: MediaRange,
    /// Who.
    pub subject: Subject,
}

/// Whom the camera shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// There is no face.
    Nobody,
    /// What must be in view, and why.
    Seen {
        /// In order of time, at least one.
        looks: Vec<Look>,
        /// Who that is.
        who: &'static str,
    },
    /// Two matter and do not fit.
    TooFarApart,
}

/// A face in one shot.
struct Person<'a> {
    boxes: &'a [TrackBox],
    area: f64,
    presence: f64,
    active: f32,
}

/// Divides `shot` (or the part of one that is in the clip) by who is shown.
pub fn parts(timeline: &Timeline, view: &View, shot: MediaRange) -> Vec<Part> {
    let people = people(timeline, shot);
    let whole = |subject| vec![Part { range: shot, subject }];
    let [first, others @ ..] = people.as_slice() else { return whole(Subject::Nobody) };
    if others.is_empty() {
        return whole(Subject::Seen { looks: looks(view, first.boxes), who: "the only face" });
    }
    let largest = people.iter().map(|p| p.area).fold(0.0, f64::max);
    let matters = |p: &&Person| p.presence >= BESIDE_PRESENT && p.area >= BESIDE_AREA * largest;
    let important: Vec<&Person> = people.iter().filter(matters).collect();
    if important.len() > 1
        && let Some(looks) = together(view, &important)
    {
        return whole(Subject::Seen { looks, who: "all faces that matter" });
    }
    let turns = turns(&people, shot);
    if important.len() > 1 && turns.len() == 1 && quick_turns(&important) {
        return whole(Subject::TooFarApart);
    }
    let who = if turns.len() > 1 { "whoever speaks now" } else { "the one who speaks" };
    let part = |(range, person): (MediaRange, usize)| {
        let inside: Vec<TrackBox> = people[person].boxes.iter().filter(|b| range.contains(b.at)).cloned().collect();
        // A turn begins and ends where its person was seen, but the first and the last reach to the shot's ends.
        let seen = if inside.is_empty() { people[person].boxes } else { &inside };
        Part { range, subject: Subject::Seen { looks: looks(view, seen), who } }
    };
    turns.into_iter().map(part).collect()
}

/// Finds who is in the foreground of `shot`, the most active first.
fn people(timeline: &Timeline, shot: MediaRange) -> Vec<Person<'_>> {
    let seen = |track: &'_ Track| {
        let first = track.boxes.partition_point(|b| b.at < shot.start);
        let after = track.boxes.partition_point(|b| b.at < shot.end);
        (first, after)
    };
    let from = timeline.looked.partition_point(|at| *at < shot.start);
    let looks = timeline.looked.partition_point(|at| *at < shot.end) - from;
    let mut people: Vec<Person> = Vec::new();
    for track in &timeline.tracks {
        let (first, after) = seen(track);
        let boxes = &track.boxes[first..after];
        if boxes.is_empty() {
            continue;
        }
        let area = boxes.iter().map(|b| f64::from(b.width * b.height)).sum::<f64>() / boxes.len() as f64;
        let presence = boxes.len() as f64 / looks.max(boxes.len()) as f64;
        people.push(Person { boxes, area, presence, active: boxes.iter().map(activity).sum() });
    }
    let largest = people.iter().map(|p| p.area).fold(0.0, f64::max);
    people.retain(|p| p.presence >= PRESENT && p.area >= FOREGROUND * largest);
    // Sorting is stable and tracks are in order, so that equals stay in theirs.
    people.sort_by(|a, b| b.active.total_cmp(&a.active));
    people
}

fn looks(view: &View, boxes: &[TrackBox]) -> Vec<Look> {
    boxes.iter().map(|b| view.look(b)).collect()
}

/// Returns what spans all of `people` at each look, if the crop can hold that nearly always.
fn together(view: &View, people: &[&Person]) -> Option<Vec<Look>> {
    let mut by_time: BTreeMap<LookAt, Look> = BTreeMap::new();
    for look in people.iter().flat_map(|p| looks(view, p.boxes)) {
        by_time
            .entry(look.at.as_us())
            .and_modify(|all| (all.from, all.to) = (all.from.min(look.from), all.to.max(look.to)))
            .or_insert(look);
    }
    let looks: Vec<Look> = by_time.into_values().collect();
    // Somebody missed in one look must not pull the camera to the other: only looks that span like most count.
    let mut sizes: Vec<f64> = looks.iter().map(|l| l.to - l.from).collect();
    sizes.sort_by(f64::total_cmp);
    let usual = sizes[sizes.len() / 2];
    let complete: Vec<Look> = looks.into_iter().filter(|l| l.to - l.from >= 0.7 * usual).collect();
    let fitting = complete.iter().filter(|l| l.to - l.from <= 0.96 * view.extent()).count();
    (fitting as f64 >= FITS * complete.len() as f64).then_some(complete)
}

/// Finds who speaks when: spans that tile `shot`, with indices into `people`.
fn turns(people: &[Person], shot: MediaRange) -> Vec<(MediaRange, usize)> {
    let times: Vec<LookAt> = all_times(people.iter());
    let levels: Vec<BTreeMap<LookAt, f32>> = people.iter().map(|p| averaged(p, &times)).collect();
    // Whoever leads over the first turn's length is shown first.
    let opening = times.partition_point(|at| *at < (shot.start + TURN).as_us()).max(1);
    let lead = |person: usize| times[..opening].iter().filter_map(|at| levels[person].get(at)).sum::<f32>();
    let mut current = (0..people.len()).rev().max_by(|a, b| lead(*a).total_cmp(&lead(*b))).unwrap_or(0);
    let mut turns = Vec::new();
    let mut start = shot.start;
    let mut challenge: Option<(usize, LookAt)> = None;
    for at in &times {
        let level = |person: usize| levels[person].get(at).copied().unwrap_or(0.0);
        let best = (0..people.len()).rev().max_by(|a, b| level(*a).total_cmp(&level(*b))).unwrap_or(current);
        if best == current || level(best) <= CHALLENGE * level(current) {
            challenge = None;
            continue;
        }
        let since = match challenge {
            Some((who, since)) if who == best => since,
            _ => *at,
        };
        challenge = Some((best, since));
        if at - since >= TURN.as_us() {
            let change = MediaTime::from_us(since);
            if change > start {
                turns.push((MediaRange::new(start, change), current));
            }
            (start, current, challenge) = (change.max(start), best, None);
        }
    }
    turns.push((MediaRange::new(start, shot.end), current));
    turns
}

/// Says whether the two most active of `people` are ahead by turns that are too short to follow.
fn quick_turns(people: &[&Person]) -> bool {
    let times = all_times(people.iter().copied());
    let length_us = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
    let [a, b, ..] = people else { return false };
    let (levels_a, levels_b) = (averaged(a, &times), averaged(b, &times));
    let both: Vec<(f32, f32)> = times.iter().filter_map(|at| Some((*levels_a.get(at)?, *levels_b.get(at)?))).collect();
    let behind = both.iter().filter(|(a, b)| b > a).count().min(both.iter().filter(|(a, b)| a > b).count());
    length_us >= TURN.as_us() && behind as f64 >= QUICK_TURNS * both.len().max(1) as f64
}

fn all_times<'a>(people: impl Iterator<Item = &'a Person<'a>>) -> Vec<LookAt> {
    let mut times: Vec<LookAt> = people.flat_map(|p| p.boxes.iter().map(|b| b.at.as_us())).collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// Returns a person's activity at the times they are about, averaged.
fn averaged(person: &Person, times: &[LookAt]) -> BTreeMap<LookAt, f32> {
    let mut levels = BTreeMap::new();
    for at in times {
        let near = span(at - AVERAGE_OVER.as_us(), at + AVERAGE_OVER.as_us() + 1);
        let first = person.boxes.partition_point(|b| b.at < near.start);
        let after = person.boxes.partition_point(|b| b.at < near.end);
        let boxes = &person.boxes[first..after];
        if !boxes.is_empty() {
            levels.insert(*at, boxes.iter().map(activity).sum::<f32>() / boxes.len() as f32);
        }
    }
    levels
}
