//! Has as many workers there as were decided.

mod dry_run;
pub mod kube;
pub mod lease;
pub mod local;

use anyhow::Result;
use async_trait::async_trait;
use pipeline::stage::StageName;

pub use dry_run::DryRun;

use crate::observe::Unit;

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
