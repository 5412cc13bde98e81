//! The stages through their public faces.

mod moments;
