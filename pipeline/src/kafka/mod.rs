//! Kafka, reached through `rdkafka` alone: how clients are set up ([`BrokerArgs`]), the topics ([`topics`]),
//! what goes out ([`Producer`], [`Batch`]) and what comes in ([`Consumer`], [`Record`], [`Ticket`]).

mod args;
mod consumer;
mod feed;
mod headers;
mod producer;
pub mod topics;
mod tracker;

pub use args::{BrokerArgs, GroupProtocol};
pub use consumer::{Consumer, Feeds};
pub use feed::Record;
pub use headers::{Header, Headers};
pub use producer::{Batch, Post, Producer};
pub use tracker::{Ticket, Tracker};
