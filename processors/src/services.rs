//! What stages are given: the store, the blobs, and where run-time files lie.

use pipeline::payload::Carrier;
use pipeline::runtime::Runtime;
use pipeline::store::SharedStore;

/// The outside world as stages see it. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// The store.
    pub store: SharedStore,
    /// Packs and opens payloads; has the blob store beneath.
    pub carrier: Carrier,
    /// Finds models and libraries.
    pub runtime: Runtime,
}
