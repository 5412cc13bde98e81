//! Still pictures: the sharpest frame from around a third of a clip, and the source that it is cropped from, as JPEG.

use ffmpeg::codec::Flags;
use ffmpeg::codec::context::Context;
use ffmpeg::format::Pixel;
use ffmpeg::{Packet, Rational, encoder, frame};
use ffmpeg_next as ffmpeg;

use super::graph::Graph;
use super::{During, Error};

/// Frames compared at the most.
const CANDIDATES: i64 = 12;

/// Every how manieth line is looked at for sharpness.
const LINES: usize = 4;

/// A frame between bars shows faces small: it must be this much sharper than one without.
const BARS_WEIGHT: u64 = 4;

/// JPEG quality, 2 (best) to 31: of the clip, and of what only shows where the crop is.
const QUALITY: i32 = 4;
const SOURCE_QUALITY: i32 = 9;

/// The longer side of the picture of the source, in pixels.
const SOURCE_SIDE: u32 = 416;

/// Picks a still picture while frames go by.
pub struct PosterPicker {
    from: i64,
    until: i64,
    every: i64,
    best: Option<(u64, frame::Video)>,
}

impl PosterPicker {
    /// Makes the picker of a clip of about `frames` frames.
    pub fn new(frames: i64) -> Self {
        let (from, until) = (frames * 26 / 100, frames * 42 / 100);
        Self { from, until, every: ((until - from) / CANDIDATES).max(1), best: None }
    }

    /// Looks at the frame of slot `index`. The first of all is kept until a better one comes.
    pub fn offer(&mut self, index: i64, shown: &frame::Video, bars: bool) {
        let candidate = (self.from..=self.until).contains(&index) && (index - self.from) % self.every == 0;
        if !candidate && self.best.is_some() {
            return;
        }
        let weight = if bars { 1 } else { BARS_WEIGHT };
        let score = if candidate { 1 + sharpness(shown) * weight } else { 0 };
        if self.best.as_ref().is_none_or(|(best, _)| score > *best) {
            self.best = Some((score, shown.clone()));
        }
    }

    /// Returns the picked frame as JPEG.
    pub fn encode(self) -> Result<Vec<u8>, Error> {
        let Some((_, frame)) = self.best else { return Ok(Vec::new()) };
        let size = (frame.width(), frame.height());
        picture(frame, size, QUALITY)
    }
}

/// Returns a frame of the source, which is shown with `display` pixels, as a small JPEG.
pub fn source(frame: frame::Video, display: (u32, u32)) -> Result<Vec<u8>, Error> {
    let longer = display.0.max(display.1).max(1);
    let side = |length: u32| (u64::from(length) * u64::from(longer.min(SOURCE_SIDE)) / u64::from(longer)).max(2) as u32;
    picture(frame, (side(display.0), side(display.1)), SOURCE_QUALITY)
}

fn picture(mut frame: frame::Video, size: (u32, u32), quality: i32) -> Result<Vec<u8>, Error> {
    let wide = frame.color_space() == ffmpeg::color::Space::BT709;
    // JPEG knows one matrix and full range only.
    let matrix = if wide { "bt709" } else { "bt601" };
    let spec = format!(
        "scale={}:{}:in_color_matrix={matrix}:out_color_matrix=bt601:out_range=full,format=yuvj420p",
        size.0, size.1
    );
    let mut graph = Graph::new(&frame, Rational(1, 1), &spec).during("convert still")?;
    frame.set_pts(Some(0));
    graph.push(&mut frame).during("convert still")?;
    let mut converted = frame::Video::empty();
    graph.pull(&mut converted).during("convert still")?;
    jpeg(&mut converted, quality).during("encode still")
}

fn jpeg(picture: &mut frame::Video, quality: i32) -> Result<Vec<u8>, ffmpeg::Error> {
    let codec = encoder::find(ffmpeg::codec::Id::MJPEG).ok_or(ffmpeg::Error::EncoderNotFound)?;
    let mut context = Context::new_with_codec(codec);
    context.set_flags(Flags::QSCALE);
    let mut video = context.encoder().video()?;
    video.set_width(picture.width());
    video.set_height(picture.height());
    video.set_format(Pixel::YUVJ420P);
    video.set_time_base(Rational(1, 1));
    video.set_qmin(quality);
    video.set_qmax(quality);
    let mut encoder = video.open()?;
    picture.set_pts(Some(0));
    picture.set_kind(ffmpeg::picture::Type::None);
    encoder.send_frame(picture)?;
    encoder.send_eof()?;
    let mut packet = Packet::empty();
    encoder.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

/// Returns how much neighbouring points differ from a straight line: large for a sharp picture, small for a blurred one.
fn sharpness(frame: &frame::Video) -> u64 {
    let (stride, luma) = (frame.stride(0), frame.data(0));
    let (wide, high) = (frame.width() as usize, frame.height() as usize);
    let mut sum = 0_u64;
    for y in (0..high).step_by(LINES) {
        let row = &luma[y * stride..y * stride + wide];
        for window in row.windows(3) {
            let bend = 2 * i32::from(window[1]) - i32::from(window[0]) - i32::from(window[2]);
            sum += u64::from((bend * bend).unsigned_abs());
        }
    }
    sum
}
