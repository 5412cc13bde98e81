//! What a step of the flow is: one async method from one event to the next ones.

use std::future::Future;
use std::time::Duration;

use crate::event::{Event, Outgoing};
use crate::failure::{Code, Failure};
use crate::outbox::Outbox;

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

/// How the runner treats a stage's inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Heavy: claimed with a lease, several at once, in any order.
    Work,
    /// Light: writes what it hears, one record of a partition at a time, no claim.
    Gather,
}

/// One step of the flow. The runner owns Kafka: a stage never sees offsets to commit, topics, retries, lanes or metrics.
pub trait Stage: Send + Sync + 'static {
    /// What it reads.
    type In: Event;
    /// What it says; an enum where a stage says several things.
    type Out: Outgoing;
    /// Its name: consumer group and metric label.
    const NAME: StageName;
    /// How its inputs are treated.
    const KIND: Kind = Kind::Work;

    /// Says what the gatherer must hear when `input` is dead-lettered for `code`.
    fn failed(input: &Self::In, code: Code, detail: &str) -> Vec<Self::Out>;

    /// Turns one input into zero or more outputs, each sent on as soon as it exists.
    /// Idempotent: a crash delivers the input again.
    ///
    /// # Errors
    /// Of the three kinds; anything else is a bug and panics.
    fn process(&self, input: Self::In, out: &Outbox<Self::Out>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Called after `input` of a [`Kind::Work`] stage was given up for `code` and everybody was told, to remove what
    /// nobody needs then. A crash may come before it: the sweep removes what is left.
    fn given_up(&self, input: &Self::In, code: Code) -> impl Future<Output = ()> + Send {
        let _ = (input, code);
        async {}
    }

    /// Called every few seconds for each `partition` a [`Kind::Gather`] stage holds, while no record of it waits:
    /// deadlines live here. `held` is for how long this worker has served the partition: what is overdue because
    /// nobody listened must be given as much time again.
    ///
    /// # Errors
    /// Of the three kinds; it is called again after a pause.
    fn tick(
        &self,
        partition: i32,
        held: Duration,
        out: &Outbox<Self::Out>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (partition, held, out);
        async { Ok(()) }
    }
}
