//! The crate's behaviour through its public face, against real servers.

mod broker;
mod delivery;
mod doubles;
mod failing;
mod gathering;
mod members;
mod scheduling;
mod topics;
mod world;
