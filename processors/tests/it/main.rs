//! The stages, tried on real media through their public faces.

mod cut;
mod marked;
mod render;
mod speech;
mod speech_api;
mod speech_models;
mod transcribe;
