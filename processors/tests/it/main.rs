//! The stages through their public faces, on media made by the `ffmpeg` command.

mod fetch;
mod material;
mod probe;
mod split;
