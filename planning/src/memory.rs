//! What is remembered between two decisions.

/// The state of the policy: empty at start, bounded for ever.
#[derive(Clone, Debug, Default)]
pub struct Memory {}
