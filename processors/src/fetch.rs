//! The stage `fetch`.
