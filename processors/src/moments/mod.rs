//! The stage `moments`.

pub mod shots;
pub mod tracks;
