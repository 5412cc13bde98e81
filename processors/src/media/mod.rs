//! Video and sound: the only code that names FFmpeg.
//!
//! Everything here blocks and belongs on a blocking thread. Input is hostile: only the demuxers below are
//! admitted (a playlist dressed as mp4 would open other files), and nothing a container declares is trusted.

pub mod frames;
pub mod probe;
pub mod segment;

mod audio;
mod decode;
mod duration;
mod open;
pub(crate) mod piece;
mod quiet;
mod reorder;
mod sniff;
mod source;

pub mod render;

use std::sync::Once;

use ffmpeg::{Rational, Rescale};
use ffmpeg_next as ffmpeg;

pub use open::open;

/// The demuxers admitted for uploads; none of them opens another file.
pub const ADMITTED_DEMUXERS: &str = "mov,mp4,m4a,matroska,webm,mpegts,avi,flv";

/// The largest frame any decoder may produce, in pixels: 8192x4320. Stops decompression bombs.
pub const MAX_PIXELS: i64 = 8192 * 4320;

/// Prepares FFmpeg for this process; its own log is silenced but for what is fatal.
pub fn initialize() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ffmpeg::init().expect("FFmpeg registers its codecs");
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
    });
}

/// Returns the version of FFmpeg's codec library, such as `libavcodec 61.19.101`.
pub fn version() -> String {
    let version = ffmpeg::codec::version();
    format!("libavcodec {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

/// Turns a container's `ticks` into microseconds, rounded to the nearest.
pub(crate) fn to_us(ticks: i64, time_base: Rational) -> i64 {
    ticks.rescale(time_base, ffmpeg::rescale::TIME_BASE)
}
