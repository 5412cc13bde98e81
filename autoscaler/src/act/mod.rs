//! Has as many workers there as were decided.

mod dry_run;
pub mod kube;
pub mod lease;
pub mod local;

use anyhow::Result;
use async_trait::async_trait;
use pipeline::stage::StageName;

pub use dry_run::DryRun;

/// What one replica is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A process, with its slots.
    Worker,
    /// A slot of any process, of which each has this many at the most.
    Slot(u32),
}

impl Unit {
    /// Returns how many replicas can have work from one partition. A partition has one member of the group to itself.
    pub fn most_per_partition(self) -> u32 {
        match self {
            Self::Worker => 1,
            Self::Slot(most) => most,
        }
    }
}

/// How many replicas of a stage are wanted now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scale {
    /// How many; nothing where nobody keeps count, and those that are heard of are those that are wanted.
    pub replicas: Option<u32>,
}

/// Where workers run and are counted.
#[async_trait]
pub trait Act: Send + Sync {
    /// Returns what one replica is.
    fn unit(&self) -> Unit;

    /// Returns how many replicas of `stage` are wanted now, whoever said so.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn current(&self, stage: StageName) -> Result<Scale>;

    /// Wants `replicas` of `stage` from now on. Fewer are fewer once those too many have finished what they have in hand.
    ///
    /// # Errors
    /// When that could not be said.
    async fn scale(&self, stage: StageName, replicas: u32) -> Result<()>;
}
