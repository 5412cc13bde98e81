//! The stages on real input, through their public faces.

mod speech;
mod speech_api;
mod speech_models;
mod transcribe;
