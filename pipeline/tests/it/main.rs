//! The machinery, tried through its public face.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod aside;
mod blob;
mod cluster;
mod compatibility;
mod delivery;
mod doubles;
mod failing;
mod gathering;
mod handfuls;
mod lag;
mod letters;
mod members;
mod releasing;
mod scheduling;
mod store;
mod topics;
mod world;
