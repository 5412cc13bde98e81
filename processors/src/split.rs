//! The stage `split`.
