//! How many workers each stage needs, from numbers alone.
//!
//! [`observation`] is what is seen each tick; [`decide`](decide::decide) turns it, with what [`memory`] kept of earlier
//! ones, into a [`decision`]. Nothing here reads a clock, a network or a random number generator of its own: the same
//! observations give the same decisions, in the live autoscaler, in the simulator and in the planner.

pub mod observation;
pub mod pin;
pub mod policy;
pub mod stages;

pub mod arrivals;
pub mod forecast;
pub mod measure;
mod mix;
pub mod rollforward;
pub mod trust;

pub mod decide;
pub mod decision;
pub mod memory;
pub mod record;

pub mod simulate;
pub mod trace;

pub mod cost;
pub mod page;
pub mod plan;
