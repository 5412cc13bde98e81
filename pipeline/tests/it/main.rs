//! Integration tests of the pipeline.

mod store;
