//! Kafka, reached through `rdkafka` alone: how clients are set up ([`BrokerArgs`], [`Security`]), the topics ([`topics`]),
//! what goes out ([`Producer`], [`Batch`]), what comes in ([`Consumer`], [`Record`], [`Ticket`]), and what is deleted
//! ([`trim`]). [`bare`] is what all that is measured against.

mod args;
pub mod bare;
mod consumer;
mod feed;
mod headers;
mod producer;
mod reach;
mod security;
pub mod topics;
mod tracker;
pub mod trim;

pub use args::{BrokerArgs, GroupProtocol};
pub use consumer::{Consumer, Feeds};
pub use feed::Record;
pub use headers::{Header, Headers};
pub use producer::{Batch, Post, Producer};
pub use security::{Mechanism, Protocol, Security};
pub use tracker::{Ticket, Tracker};
