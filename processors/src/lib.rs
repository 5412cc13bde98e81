//! The stages, in the order of the flow: [`fetch`] · [`split`] · [`transcribe`] and [`analyze`] · [`join`] ·
//! [`moments`] · [`cut`] · [`deliver`]; [`record`] writes what happens. [`rebuild`] makes the store
//! anew from the flow's messages. [`media`] is the only code that names
//! FFmpeg, [`models`] the only code that names ONNX Runtime, whisper.cpp and PocketSphinx.

pub mod services;

pub mod download;
pub mod fetch;
pub mod split;

pub mod analyze;
pub mod transcribe;

pub mod join;
pub mod moments;

pub mod cut;
pub mod deliver;
pub mod record;

pub mod rebuild;

pub mod media;
pub mod models;
