//! What the steps of the flow are called.

/// The steps of the flow, in its order: consumer group, metric label, name on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum StageName {
    /// Obtains and probes the video and chooses its lane for good.
    Fetch = 0,
    /// Cuts it into segments without re-encoding.
    Split = 1,
    /// Turns sound into words with times.
    Transcribe = 2,
    /// Finds shots, motion and faces.
    Analyze = 3,
    /// Gathers segments, window by window.
    Join = 4,
    /// Chooses moments and solves the camera path.
    Moments = 5,
    /// Encodes the clips.
    Cut = 6,
    /// Gathers clips and ends the video.
    Deliver = 7,
    /// Writes what happened to the store.
    Record = 8,
}

impl StageName {
    /// Every stage, in the order of the flow.
    pub const ALL: [Self; 9] = [
        Self::Fetch,
        Self::Split,
        Self::Transcribe,
        Self::Analyze,
        Self::Join,
        Self::Moments,
        Self::Cut,
        Self::Deliver,
        Self::Record,
    ];

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Split => "split",
            Self::Transcribe => "transcribe",
            Self::Analyze => "analyze",
            Self::Join => "join",
            Self::Moments => "moments",
            Self::Cut => "cut",
            Self::Deliver => "deliver",
            Self::Record => "record",
        }
    }

    /// Returns the topic of its dead letters.
    pub const fn dead_letter_topic(self) -> &'static str {
        match self {
            Self::Fetch => "dead-letter.fetch",
            Self::Split => "dead-letter.split",
            Self::Transcribe => "dead-letter.transcribe",
            Self::Analyze => "dead-letter.analyze",
            Self::Join => "dead-letter.join",
            Self::Moments => "dead-letter.moments",
            Self::Cut => "dead-letter.cut",
            Self::Deliver => "dead-letter.deliver",
            Self::Record => "dead-letter.record",
        }
    }
}

impl std::fmt::Display for StageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for StageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| format!("no such stage; one of: {}", names()))
    }
}
