//! A kept run in one line.

use serde::Serialize;

use crate::say;

/// A run in the list.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Summary {
    /// Its files are called so.
    pub name: String,
    /// Why its report cannot be read.
    pub trouble: Option<String>,
    pub schedule: String,
    /// When its schedule began, in milliseconds since the Unix epoch.
    pub begun_ms: Option<i64>,
    /// Whether workers were emulated.
    pub is_emulated: bool,
    /// Videos that were to come.
    pub planned: Option<f64>,
    pub done: Option<f64>,
    /// Queue wait to the first segment, in seconds.
    pub queue_wait_p50_s: Option<f64>,
    pub queue_wait_p95_s: Option<f64>,
    /// From the first worker to the end, in seconds.
    pub processing_p50_s: Option<f64>,
    pub processing_p95_s: Option<f64>,
    /// Targets that were met.
    pub met: usize,
    pub missed: usize,
}

impl Summary {
    pub fn begun(&self) -> String {
        self.begun_ms.map_or_else(|| say::UNKNOWN.to_owned(), |begun_ms| say::moment(say::at(begun_ms)))
    }

    pub fn videos(&self) -> String {
        format!("{} of {}", say::maybe_number(self.done), say::maybe_number(self.planned))
    }

    pub fn both(&self, p50_s: &Option<f64>, p95_s: &Option<f64>) -> String {
        format!("{} / {}", say::maybe_span(*p50_s), say::maybe_span(*p95_s))
    }
}
