//! The real binary from end to end: `spillway dev` with its private Kafka and all workers, real videos, and everything
//! that can break. Needs ffmpeg, espeak-ng, Java and the run-time files (`make setup`); what is missing fails the test.

mod autoscaling;
mod bad_files;
mod bad_input;
mod broker;
mod check;
mod client;
mod clips;
mod dashboard;
mod dashboard_keys;
mod dashboard_many;
mod dashboard_numbers;
mod described;
mod dev;
mod guarded;
mod itself;
mod killing;
mod letters;
mod loadtest;
mod map;
mod models;
mod outside;
mod overlap;
mod pages;
mod refusals;
mod replay;
mod restarts;
mod scripts;
mod shell;
