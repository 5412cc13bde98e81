//! What the policy may be told: everything a person might want otherwise.

/// The policy's settings.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    /// Time between two observations, in seconds.
    pub tick_s: f64,
    /// Start-up time of a worker until some were seen starting, in seconds.
    pub startup_s: f64,
    /// Service time of a record until some were seen done, in seconds.
    pub service_s: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { tick_s: 5.0, startup_s: 45.0, service_s: 60.0 }
    }
}
