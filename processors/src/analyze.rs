//! The stage `analyze`.
