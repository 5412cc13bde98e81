//! The one table of topics: what exists, how it is keyed, how long and how large.

use std::time::Duration;

use crate::lane::Lane;
use crate::stage_name::StageName;

/// A family of topics: one topic, or one per lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// A video was accepted; `fetch` reads it.
    VideoSubmitted,
    /// A video was obtained, probed and given its final lane; `split` reads it.
    VideoReady,
    /// A piece of 16 kHz mono sound; `transcribe` reads it.
    SegmentAudio,
    /// A piece of video from keyframe to keyframe; `analyze` reads it.
    SegmentVideo,
    /// What became of a segment, and how many there are; `join` gathers it.
    SegmentDone,
    /// A window's segments are gathered; `moments` reads it.
    WindowGathered,
    /// A clip was chosen and its camera path solved; `cut` reads it.
    ClipPlanned,
    /// What became of a clip, and how many there are; `deliver` gathers it.
    ClipReady,
    /// Whatever happens to a video; `record` writes it to the store. Kept for ever: the backup.
    VideoEvent,
    /// A heartbeat of each worker, once a second while it works.
    WorkerReport,
    /// What single workers are told, under the worker's id as key.
    WorkerCommand,
    /// Whether the service is degraded, and why: said by each ingest process.
    SystemState,
    /// What the autoscaler saw and decided, once a tick.
    AutoscalerDecision,
    /// What persons have fixed of a stage's scale, under the stage as key; an empty record releases it.
    AutoscalerPin,
    /// Inputs of one stage that could not be processed.
    DeadLetter(StageName),
}

/// How records of a topic are spread over its partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// By an explicit counter: hashed keys make a spike wait 2.4 times longer.
    Even,
    /// By video, because a gatherer must see all of it in one partition.
    ByVideo,
}

/// The properties of one family of topics.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// How records are spread.
    pub spread: Spread,
    /// One topic a lane, or one in all.
    pub laned: bool,
    /// How long records are kept; `None` is for ever.
    pub retention: Option<Duration>,
    /// Only the last record of each key is kept.
    pub compacted: bool,
}

/// The largest record any topic, broker and client admits, in bytes.
pub const MAX_RECORD_BYTES: usize = 8 << 20;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Topic {
    /// Every family of topics.
    pub fn all() -> impl Iterator<Item = Self> {
        let flow = [
            Self::VideoSubmitted,
            Self::VideoReady,
            Self::SegmentAudio,
            Self::SegmentVideo,
            Self::SegmentDone,
            Self::WindowGathered,
            Self::ClipPlanned,
            Self::ClipReady,
            Self::VideoEvent,
            Self::WorkerReport,
            Self::WorkerCommand,
            Self::SystemState,
            Self::AutoscalerDecision,
            Self::AutoscalerPin,
        ];
        flow.into_iter().chain(StageName::ALL.map(Self::DeadLetter))
    }

    /// Returns the properties of this family.
    pub fn spec(self) -> Spec {
        let alone = |retention| Spec { spread: Spread::Even, laned: false, retention, compacted: false };
        let gathered = |retention| Spec { spread: Spread::ByVideo, ..alone(retention) };
        match self {
            // Longer than a machine is switched off; what is done with is trimmed long before.
            Self::VideoSubmitted
            | Self::VideoReady
            | Self::SegmentAudio
            | Self::SegmentVideo
            | Self::WindowGathered
            | Self::ClipPlanned => Spec { laned: true, ..alone(Some(7 * DAY)) },
            Self::SegmentDone | Self::ClipReady => gathered(Some(7 * DAY)),
            Self::VideoEvent => gathered(None),
            Self::WorkerReport | Self::WorkerCommand | Self::SystemState => alone(Some(HOUR)),
            Self::AutoscalerDecision => alone(Some(DAY)),
            Self::AutoscalerPin => Spec { compacted: true, ..alone(None) },
            Self::DeadLetter(_) => alone(Some(14 * DAY)),
        }
    }

    /// Returns the family that a stage reads.
    pub fn read_by(stage: StageName) -> Self {
        match stage {
            StageName::Fetch => Self::VideoSubmitted,
            StageName::Split => Self::VideoReady,
            StageName::Transcribe => Self::SegmentAudio,
            StageName::Analyze => Self::SegmentVideo,
            StageName::Join => Self::SegmentDone,
            StageName::Moments => Self::WindowGathered,
            StageName::Cut => Self::ClipPlanned,
            StageName::Deliver => Self::ClipReady,
            StageName::Record => Self::VideoEvent,
        }
    }

    /// Returns the stage that works on the records of this family, if one does: those it is done with can go. Work has
    /// lanes; what is gathered has none.
    pub fn worked_on_by(self) -> Option<StageName> {
        StageName::ALL.into_iter().filter(|_| self.spec().laned).find(|stage| Self::read_by(*stage) == self)
    }

    /// Returns the name without the lane.
    pub fn base(self) -> &'static str {
        match self {
            Self::VideoSubmitted => "video.submitted",
            Self::VideoReady => "video.ready",
            Self::SegmentAudio => "segment.audio",
            Self::SegmentVideo => "segment.video",
            Self::SegmentDone => "segment.done",
            Self::WindowGathered => "window.gathered",
            Self::ClipPlanned => "clip.planned",
            Self::ClipReady => "clip.ready",
            Self::VideoEvent => "video.event",
            Self::WorkerReport => "worker.report",
            Self::WorkerCommand => "worker.command",
            Self::SystemState => "system.state",
            Self::AutoscalerDecision => "autoscaler.decision",
            Self::AutoscalerPin => "autoscaler.pin",
            Self::DeadLetter(stage) => stage.dead_letter_topic(),
        }
    }

    /// Returns the topic's full name for `lane`, which families without lanes ignore.
    pub fn name(self, lane: Lane) -> String {
        if self.spec().laned { format!("{}.{lane}", self.base()) } else { self.base().to_owned() }
    }

    /// Returns the names of all topics of this family, most urgent lane first.
    pub fn names(self) -> Vec<String> {
        if self.spec().laned { Lane::ALL.map(|lane| self.name(lane)).to_vec() } else { vec![self.base().to_owned()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_legal() {
        let mut names: Vec<String> = Topic::all().flat_map(Topic::names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'-')));
    }
}
