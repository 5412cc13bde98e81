//! The machinery, tried through its public face.

mod compatibility;
mod store;
