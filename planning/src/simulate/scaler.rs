//! What scales the simulated stages.

use crate::decide::decide;
use crate::memory::Memory;
use crate::observation::Observation;
use crate::policy::Policy;

/// Turns what is seen into the workers that each stage is to have.
pub trait Scaler {
    /// Returns one number a stage, in the order of the observation; the caller clamps it to the stage's bounds.
    fn scale(&mut self, seen: &Observation) -> Vec<u32>;
}

/// The policy of this crate.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// Its settings.
    pub policy: Policy,
    /// Its state.
    pub memory: Memory,
}

impl Planned {
    /// Starts with an empty memory.
    pub fn new(policy: Policy) -> Self {
        Self { policy, memory: Memory::default() }
    }
}

impl Scaler for Planned {
    fn scale(&mut self, seen: &Observation) -> Vec<u32> {
        decide(&self.policy, &mut self.memory, seen).stages.iter().map(|stage| stage.replicas).collect()
    }
}

/// A scale that never changes.
#[derive(Clone, Debug)]
pub struct Fixed(
    /// Workers of each stage.
    pub Vec<u32>,
);

impl Scaler for Fixed {
    fn scale(&mut self, _seen: &Observation) -> Vec<u32> {
        self.0.clone()
    }
}
