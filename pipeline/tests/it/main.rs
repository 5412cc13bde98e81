//! The machinery, tried through its public face.

mod broker;
mod compatibility;
mod delivery;
mod doubles;
mod failing;
mod gathering;
mod members;
mod scheduling;
mod store;
mod topics;
mod world;
