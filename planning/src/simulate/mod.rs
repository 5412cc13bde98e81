//! The flow in a computer's memory: arrivals, queues, workers that start and drain, and a policy that scales them.
//!
//! A discrete-event simulation over the same lanes, partitions and decision as the live system. [`flow`] says what there
//! is, [`load`] what arrives, [`engine`] runs it, [`outcome`] is what came of it; [`keda`] is a rival, [`scaler`] the face
//! that both it and [`decide`](crate::decide::decide) have.

pub mod engine;
mod event;
pub mod flow;
pub mod keda;
pub mod load;
pub mod oracle;
pub mod outcome;
mod pool;
pub mod scaler;
mod stage;
mod string;
