//! Integration tests of the stages.

mod cut;
mod marked;
mod render;
