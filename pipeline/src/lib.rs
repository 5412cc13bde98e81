//! The contract and the machinery that every role shares; no business rule lives here.
//!
//! In the order of the flow: what is named ([`id`], [`media_time`], [`lane`], [`topic`]), what is said
//! ([`event`]), what a step is ([`stage`], [`failure`], [`outbox`], [`outside`]), what moves and keeps it ([`kafka`],
//! [`runner`], [`workers`], [`dead_letter`], [`payload`], [`blob`], [`store`]), and what every process needs ([`telemetry`],
//! [`metrics`], [`admin`], [`service`], [`child`], [`process_tree`], [`broker`], [`runtime`], [`secret`]).

pub mod id;
pub mod lane;
pub mod media_time;
pub mod topic;

pub mod event;

pub mod failure;
pub mod outbox;
pub mod outside;
pub mod stage;
mod stage_name;

pub mod kafka;
pub mod runner;
pub mod workers;

pub mod dead_letter;

pub mod blob;
pub mod payload;
pub mod store;

pub mod admin;
pub mod broker;
pub mod child;
pub mod control;
mod late_span;
pub mod loopback;
pub mod memory;
pub mod metrics;
pub mod process_tree;
pub mod runtime;
pub mod secret;
pub mod service;
pub mod telemetry;
