//! The stage `record`.
