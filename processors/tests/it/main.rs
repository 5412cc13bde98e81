//! The stages, tried on real media through their public faces.

mod analyze;
mod chain;
mod cut;
mod fetch;
mod gate;
mod large;
mod made_talk;
mod marked;
mod material;
mod moments;
mod probe;
mod render;
mod savings;
mod seeing;
mod shots;
mod speech;
mod speech_api;
mod speech_models;
mod split;
mod statements;
mod talk;
mod transcribe;
mod variety;
mod watched;
mod whole;
mod words;
