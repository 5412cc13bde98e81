//! What a video is and where: its state and why, what was asked for, how far it is, what it cost so far.

use jiff::Timestamp;
use pipeline::event::{Happened, Job, MediaInfo, VideoSource};
use pipeline::lane::Lane;
use pipeline::store::Video;
use serde::Serialize;

use super::known::Known;
use super::retry::Retry;
use super::unit::Unit;
use crate::page::videos::Row;
use crate::say;

/// What a video is and where.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Facts {
    /// As it is in lists.
    #[serde(flatten)]
    pub row: Row,
    /// Where it came from: `upload` or a URL; hostile text.
    pub source: String,
    /// Bytes of the upload, or of what was fetched.
    pub bytes: Option<u64>,
    /// What was measured of it.
    pub picture: Option<Picture>,
    /// Why it is in its lane.
    pub lane_because: String,
    /// What was asked for.
    pub options: Options,
    /// How far its stages are, in the order of the flow.
    pub stages: Vec<Progress>,
    /// The share of it that was worked on, 0 to 1; known at its end.
    pub completeness: Option<f64>,
    /// Time that slots worked on it so far, in seconds, units that are finished alone.
    pub busy_s: f64,
    /// What that costs at the price of a slot, in dollars.
    pub cost: f64,
    /// What of it can be tried again.
    #[serde(flatten)]
    pub retry: Retry,
}

/// What was measured of a video.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Picture {
    /// Width as a person sees it, in pixels.
    pub width: u32,
    /// Height as a person sees it, in pixels.
    pub height: u32,
    /// Mean frames a second.
    pub frames_per_s: f64,
    /// The picture's codec.
    pub video_codec: String,
    /// The sound's codec; empty without sound.
    pub audio_codec: String,
}

/// What was asked for.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Options {
    /// How many clips at the most.
    pub clips: u32,
    /// The shortest clip, in seconds.
    pub min_clip_s: f64,
    /// The longest clip, in seconds.
    pub max_clip_s: f64,
    /// The shape.
    pub aspect: &'static str,
    /// Width of the clips, in pixels.
    pub width: u32,
    /// Height of the clips, in pixels.
    pub height: u32,
    /// What happens with the words.
    pub captions: &'static str,
    /// Whether each ten minutes are planned on their own.
    pub early: bool,
    /// The spoken language.
    pub language: String,
    /// Whether the priority lane was asked for.
    pub priority: bool,
    /// Where to tell that the video ended; hostile text.
    pub callback_url: Option<String>,
}

/// How far a stage is.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Progress {
    /// The stage.
    pub stage: String,
    /// Units finished or given up.
    pub done: u32,
    /// Units given up.
    pub failed: u32,
    /// Units known of.
    pub total: u32,
}

impl Facts {
    /// Tells of a video at `now`; `slot_price` is that of a slot for an hour, in dollars.
    pub fn of(known: &Known, units: &[Unit], retry: Retry, slot_price: f64, now: Timestamp) -> Self {
        let (video, media) = (&known.video, known.media());
        let busy_s = units.iter().filter_map(Unit::busy_s).fold(0.0, |sum, busy_s| sum + busy_s);
        let stages = video.state.stages.iter().map(|stage| {
            let total: u32 = stage.totals.iter().sum();
            let (done, failed) = (stage.done, stage.failed);
            // A unit may be done before the message that counts it was recorded.
            Progress { stage: stage.stage.clone(), done, failed, total: total.max(done) }
        });
        Self {
            row: Row::of(video, now),
            source: match &video.new.source {
                VideoSource::Upload(_) => "upload".to_owned(),
                VideoSource::Url(url) => url.clone(),
            },
            bytes: media.map(|media| media.bytes).or_else(|| uploaded(known)),
            picture: media.map(Picture::of),
            lane_because: lane_because(video),
            options: Options::of(&video.new.job),
            stages: stages.collect(),
            completeness: video.state.completeness,
            busy_s,
            cost: busy_s / 3600.0 * slot_price,
            retry,
        }
    }

    /// Says what it cost.
    pub fn cost_told(&self) -> String {
        format!("{} ({} of slots)", say::price(Some(self.cost)), say::span(self.busy_s))
    }

    /// Says how much of it was worked on.
    pub fn worked_on(&self) -> String {
        say::percent(self.completeness)
    }

    /// Says how many bytes it has.
    pub fn size(&self) -> String {
        self.bytes.map_or_else(|| say::UNKNOWN.to_owned(), say::bytes)
    }

    /// Returns the command that follows it.
    pub fn command(&self) -> String {
        format!("spillway watch {}", self.row.id)
    }
}

impl Picture {
    fn of(media: &MediaInfo) -> Self {
        Self {
            width: media.width,
            height: media.height,
            frames_per_s: media.frame_rate,
            video_codec: media.video_codec.clone(),
            audio_codec: media.audio_codec.clone(),
        }
    }

    /// Says what was measured.
    pub fn told(&self) -> String {
        let Self { width, height, frames_per_s, video_codec, audio_codec } = self;
        let sound = if audio_codec.is_empty() { "no sound" } else { audio_codec };
        format!("{width}x{height}, {frames_per_s:.2} frames a second, {video_codec}, {sound}")
    }
}

impl Options {
    fn of(job: &Job) -> Self {
        let options = &job.options;
        let (width, height) = options.frame_size();
        Self {
            clips: options.clips,
            min_clip_s: options.min_clip().as_secs_f64(),
            max_clip_s: options.max_clip().as_secs_f64(),
            aspect: options.aspect().as_str(),
            width,
            height,
            captions: options.captions().as_str(),
            early: options.early,
            language: options.language.clone(),
            priority: options.priority,
            callback_url: options.callback_url.clone(),
        }
    }

    /// Says what was asked for.
    pub fn told(&self) -> String {
        let Self { clips, min_clip_s, max_clip_s, aspect, width, height, captions, language, .. } = self;
        let mut said = format!(
            "at most {} of {min_clip_s} to {max_clip_s} s, {aspect} ({width}x{height}), captions: {captions}, \
             language: {language}",
            say::many(*clips as usize, "clip")
        );
        if self.early {
            said.push_str(", first clips early");
        }
        if self.priority {
            said.push_str(", priority");
        }
        said
    }
}

impl Progress {
    /// Returns how many units succeeded.
    pub fn succeeded(&self) -> u32 {
        self.done.saturating_sub(self.failed)
    }

    /// Says how far it is.
    pub fn told(&self) -> String {
        let failed = if self.failed > 0 { format!(", {} given up", self.failed) } else { String::new() };
        format!("{} of {}{failed}", self.succeeded(), self.total)
    }
}

fn uploaded(known: &Known) -> Option<u64> {
    known.log.iter().find_map(|entry| match &entry.event.happened {
        Some(Happened::Created(created)) if created.bytes > 0 => Some(created.bytes),
        _ => None,
    })
}

/// Says why a video is in its lane.
fn lane_because(video: &Video) -> String {
    let job = &video.new.job;
    let lane = video.state.lane.as_deref().and_then(Lane::from_name).unwrap_or(job.lane());
    let mut because = match (lane, video.state.duration_s) {
        (Lane::Priority, _) => "it was asked for, and the tenant has a right to it".to_owned(),
        (_, None) => "guessed by its bytes until it is measured".to_owned(),
        (_, Some(length_s)) => {
            let own = Lane::for_duration(std::time::Duration::try_from_secs_f64(length_s).unwrap_or_default());
            let range = match own {
                Lane::Priority | Lane::Express => "less than 5 min",
                Lane::Standard => "5 to 30 min",
                Lane::Batch => "more than 30 min",
            };
            format!("it is {} long, which is {range}", say::span(length_s))
        }
    };
    if job.lanes_lower > 0 {
        let lanes = if job.lanes_lower == 1 { "lane" } else { "lanes" };
        because.push_str(&format!(
            "; {} {lanes} lower, because its tenant had more than its share unfinished",
            job.lanes_lower
        ));
    }
    if job.options.priority && lane != Lane::Priority {
        because.push_str("; priority was asked for, to which the tenant had no right then");
    }
    because
}
