//! The real router on loopback, over a folder of blobs and SQLite.

mod clips;
mod description;
mod events;
mod fairness;
mod overload;
mod problems;
mod refusals;
mod server;
mod serving;
mod status;
mod submit;
mod sweep;
mod tenants;
mod uploads;
