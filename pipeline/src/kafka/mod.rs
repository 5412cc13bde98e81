//! Kafka, reached through `rdkafka` alone: how clients are set up ([`BrokerArgs`], [`Security`]), the topics ([`topics`]),
//! what goes out ([`Producer`], [`Batch`]), what comes in ([`Consumer`], [`Record`], [`Ticket`]), what lies there
//! ([`reader`]) and comes to lie there ([`tail`]), how much waits ([`lag`]), and what is deleted ([`trim`]). [`bare`] is what all that is measured against.

mod args;
pub mod bare;
mod beginnings;
mod consumer;
mod feed;
mod flow;
mod headers;
pub mod lag;
mod producer;
mod reach;
pub mod reader;
mod remind;
mod security;
pub mod tail;
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
