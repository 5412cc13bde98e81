//! The machinery, tried through its public face.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod broker;
mod cassandra;
mod compatibility;
mod delivery;
mod doubles;
mod failing;
mod folder;
mod gathering;
mod members;
mod scheduling;
mod store;
mod topics;
mod world;
