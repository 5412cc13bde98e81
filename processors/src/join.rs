//! The stage `join`.
