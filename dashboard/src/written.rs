//! What was written of each view at the last tick, for all who watch it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What nobody has asked for so long is not kept, in milliseconds.
const KEPT_MS: i64 = 60_000;

/// What was written of each view, with its tick.
#[derive(Default)]
pub struct Written(Mutex<HashMap<String, (i64, Arc<str>)>>);

impl Written {
    /// Returns what was written of `view` at `tick`, if somebody did.
    pub fn at(&self, view: &str, tick: i64) -> Option<Arc<str>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(view).filter(|(at, _)| *at == tick).map(|(_, written)| written.clone())
    }

    /// Keeps what was written of `view` at `tick`.
    pub fn keep(&self, view: &str, tick: i64, written: Arc<str>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (at, _)| tick - *at < KEPT_MS);
        all.insert(view.to_owned(), (tick, written));
    }
}
