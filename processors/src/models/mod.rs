//! Models: the only code that names ONNX Runtime, whisper.cpp and PocketSphinx.

pub mod centerface;
pub mod onnx;
