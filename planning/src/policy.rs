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
    /// Shortest time for which fewer workers must be enough before some are let go, in seconds; a start-up time longer
    /// than this replaces it.
    pub down_window_s: f64,
    /// Share of the workers by which fewer must be enough before some are let go.
    pub down_band: f64,
    /// Time after which bad data is answered by a floor that only scales up, in seconds.
    pub hold_s: f64,
    /// Share of forecasts whose upper band is to hold.
    pub coverage: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tick_s: 5.0,
            startup_s: 45.0,
            service_s: 60.0,
            down_window_s: 60.0,
            down_band: 0.03,
            hold_s: 60.0,
            coverage: 0.7,
        }
    }
}
