//! From what is known of a window to its clips: a function of its input alone, the same byte for byte each time.

use pipeline::event::{Clip, MediaInfo, Options};
use pipeline::id::{ClipId, VideoId};
use pipeline::media_time::{MediaRange, MediaTime};

use super::camera;
use super::candidates::{Candidate, Lengths, Place, candidates};
use super::choose::{Offer, choose};
use super::profile::Profile;
use super::score::Scorer;
use super::sentences::sentences;
use super::timeline::Timeline;

/// Which part of which video is planned.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The video.
    pub video: VideoId,
    /// Its place, from 0.
    pub index: u32,
    /// Where it lies.
    pub range: MediaRange,
}

/// Chooses the clips of `window` and frames them, in order of time. At least one where any of its picture was
/// analysed and it has a share of the clips.
pub fn plan(timeline: &Timeline, window: Window, media: &MediaInfo, options: &Options) -> Vec<Clip> {
    let count = share(window.range, media.duration(), options.clips);
    let lengths = Lengths {
        min: MediaTime::from_us(i64::from(options.min_clip_ms) * 1000),
        max: MediaTime::from_us(i64::from(options.max_clip_ms) * 1000),
    };
    let offered = if window.range.length() < lengths.min {
        timeline.covered.iter().map(|c| Candidate { range: *c, opens: Place::Video, closes: Place::Video }).collect()
    } else {
        candidates(timeline, &sentences(&timeline.words), lengths, media.duration())
    };
    let profile = Profile::new(timeline);
    let scorer = Scorer::new(timeline, &profile, lengths);
    let offers: Vec<Offer> = offered.iter().map(|c| Offer { range: c.range, score: scorer.score(c) }).collect();
    let chosen = choose(&offers, count);
    let clip = |(index, offer): (usize, &usize)| {
        let range = offers[*offer].range;
        let (start_us, end_us) = (range.start.as_us(), range.end.as_us());
        Clip {
            id: ClipId::derive(window.video, start_us, end_us).to_string(),
            index: index as u32,
            window: window.index,
            start_us,
            end_us,
            score: offers[*offer].score,
            reasons: scorer.reasons(&offered[*offer]),
            framings: camera::framings(timeline, media, options.aspect(), range),
            words: timeline.words_in(range).to_vec(),
            ..Clip::default()
        }
    };
    chosen.iter().enumerate().map(clip).collect()
}

/// Returns how many of the video's `clips` belong to `window`: by its length, all windows' shares add up to `clips`,
/// and the first window, which is there first, has one in any case.
fn share(window: MediaRange, duration: MediaTime, clips: u32) -> usize {
    let up_to = |at: MediaTime| {
        let part = at.as_us().clamp(0, duration.as_us().max(0)) as u128;
        (u128::from(clips) * part).div_ceil(duration.as_us().max(1) as u128)
    };
    // A window of its own, or a video whose length is not known, has all of them.
    if window.start <= MediaTime::ZERO && window.end >= duration {
        return clips as usize;
    }
    (up_to(window.end) - up_to(window.start.min(window.end))) as usize
}

#[cfg(test)]
mod tests;
