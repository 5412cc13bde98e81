//! The crate's behaviour through its public face, against real servers.

#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod broker;
mod delivery;
mod doubles;
mod failing;
mod gathering;
mod members;
mod scheduling;
mod topics;
mod world;
