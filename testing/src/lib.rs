//! The real servers that tests of several crates share: brokers ([`kafka`]), CQL nodes ([`cassandra`]) and object
//! stores ([`s3`]), with [`certificates`] where they speak TLS.
//!
//! They listen on loopback, keep their data in a folder under `target/tmp`, and are gone with the tests' process,
//! however it ends. Each kind has one that all tests of a process share, and ones of a test's own, to be killed.

pub mod cassandra;
pub mod certificates;
mod folder;
pub mod kafka;
pub mod s3;
mod server;
