//! The stage `transcribe`.
