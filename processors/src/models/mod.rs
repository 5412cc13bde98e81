//! Models: the only code that names ONNX Runtime, CUDA, whisper.cpp and PocketSphinx.

pub mod catalog;
pub mod centerface;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod onnx;
pub mod pocketsphinx;
pub mod speech_api;
pub mod transcriber;
pub mod voice_activity;
pub mod whisper;
