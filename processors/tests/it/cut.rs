//! The stage `cut`.
