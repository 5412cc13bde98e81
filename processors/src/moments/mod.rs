//! The stage `moments`.
