//! The real servers that tests of several crates share: brokers ([`kafka`]), CQL nodes ([`cassandra`]) and object
//! stores ([`s3`]), with [`certificates`] where they speak TLS, and a [`proxy`] that makes trouble in front of them
//! (that of [`cassandra`] counts statements and loses answers).
//! For tests of the whole system there are its [`api`] as users see it, the [`media`] they give it, a [`web`] to fetch
//! from, its [`processes`], each a [`member`] of it, and their [`log`], the [`rows`](mod@rows) of its store, and waiting
//! [`until`](mod@until) something holds.
//!
//! They listen on loopback, keep their data in a folder under `target/tmp`, and are gone with the tests' process,
//! however it ends. Each kind has one that all tests of a process share, and ones of a test's own, to be killed.

pub mod api;
pub mod cassandra;
pub mod certificates;
mod folder;
pub mod kafka;
pub mod log;
pub mod media;
pub mod member;
pub mod processes;
pub mod proxy;
pub mod rows;
pub mod s3;
mod server;
pub mod until;
pub mod web;
