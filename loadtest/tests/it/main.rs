//! The open model against servers that are slow, refuse, or are not there; and what a report looks like.

mod drive;
mod report;
