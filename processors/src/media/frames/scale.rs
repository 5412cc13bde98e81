//! From a decoded frame of any size and format to small ones.

use ffmpeg::format::Pixel;
use ffmpeg::frame;
use ffmpeg::software::scaling::{Context, Flags};
use ffmpeg_next as ffmpeg;

/// Width of a thumbnail, in pixels.
pub const THUMBNAIL_WIDTH: usize = 32;
/// Height of a thumbnail, in pixels.
pub const THUMBNAIL_HEIGHT: usize = 18;

/// Sides of the square of samples that a thumbnail's pixel is the mean of. The scaler's fastest mode looks at
/// few of the source's pixels; the mean of many of its samples does not flicker when fine texture moves.
const SAMPLES: usize = 6;

/// A picture: rows of red, green and blue, without padding.
#[derive(Clone, PartialEq, Debug)]
pub struct Rgb {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Three bytes a pixel.
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// Turns the picture clockwise by 0, 90, 180 or 270 degrees.
    pub(super) fn turn(self, degrees: u32) -> Self {
        let (width, height) = (self.width, self.height);
        let (across, down) = if degrees.is_multiple_of(180) { (width, height) } else { (height, width) };
        if degrees.is_multiple_of(360) {
            return self;
        }
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for row in 0..down {
            for column in 0..across {
                let (x, y) = match degrees {
                    90 => (row, height - 1 - column),
                    180 => (width - 1 - column, height - 1 - row),
                    _ => (width - 1 - row, column),
                };
                let at = (y * width + x) * 3;
                pixels.extend_from_slice(&self.pixels[at..at + 3]);
            }
        }
        Self { width: across, height: down, pixels }
    }
}

/// Scales frames to one size and format; made anew when the frames change.
#[derive(Default)]
pub(super) struct Scaler {
    context: Option<Context>,
    output: Option<frame::Video>,
}

// SAFETY: the scaler's context is plain memory that no other object points to; it is only ever used through
// `&mut self`, so at one time by one thread.
unsafe impl Send for Scaler {}

impl Scaler {
    /// Returns the frame as a thumbnail, three planes one after the other.
    pub(super) fn thumbnail(&mut self, input: &frame::Video) -> Result<Vec<u8>, ffmpeg::Error> {
        let (width, height) = (THUMBNAIL_WIDTH * SAMPLES, THUMBNAIL_HEIGHT * SAMPLES);
        let scaled = self.run(input, Pixel::YUV444P, width, height, Flags::FAST_BILINEAR)?;
        let mut thumbnail = Vec::with_capacity(3 * THUMBNAIL_WIDTH * THUMBNAIL_HEIGHT);
        for plane in 0..3 {
            let (data, stride) = (scaled.data(plane), scaled.stride(plane));
            for rows in data.chunks(stride * SAMPLES).take(THUMBNAIL_HEIGHT) {
                let mut sums = [0u32; THUMBNAIL_WIDTH];
                for row in rows.chunks(stride) {
                    for (sum, samples) in sums.iter_mut().zip(row.chunks_exact(SAMPLES)) {
                        *sum += samples.iter().map(|sample| u32::from(*sample)).sum::<u32>();
                    }
                }
                let samples = (SAMPLES * SAMPLES) as u32;
                thumbnail.extend(sums.map(|sum| ((sum + samples / 2) / samples) as u8));
            }
        }
        Ok(thumbnail)
    }

    /// Returns the frame as red, green and blue.
    pub(super) fn rgb(&mut self, input: &frame::Video, width: usize, height: usize) -> Result<Rgb, ffmpeg::Error> {
        let scaled = self.run(input, Pixel::RGB24, width, height, Flags::BILINEAR)?;
        let (data, stride) = (scaled.data(0), scaled.stride(0));
        let mut pixels = Vec::with_capacity(width * height * 3);
        for row in data.chunks(stride).take(height) {
            pixels.extend_from_slice(&row[..width * 3]);
        }
        Ok(Rgb { width, height, pixels })
    }

    fn run(
        &mut self,
        input: &frame::Video,
        format: Pixel,
        width: usize,
        height: usize,
        flags: Flags,
    ) -> Result<&frame::Video, ffmpeg::Error> {
        let fits = |context: &Context| {
            let (from, to) = (context.input(), context.output());
            (from.format, from.width, from.height) == (input.format(), input.width(), input.height())
                && (to.width, to.height) == (width as u32, height as u32)
        };
        if !self.context.as_ref().is_some_and(fits) {
            let (from_width, from_height) = (input.width(), input.height());
            let made =
                Context::get(input.format(), from_width, from_height, format, width as u32, height as u32, flags)?;
            self.context = Some(made);
            self.output = None;
        }
        let output = self.output.get_or_insert_with(|| frame::Video::new(format, width as u32, height as u32));
        if let Some(context) = &mut self.context {
            context.run(input, output)?;
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_moves_the_corner_clockwise() {
        let picture = Rgb { width: 2, height: 1, pixels: vec![1, 1, 1, 2, 2, 2] };
        let turned = |degrees| picture.clone().turn(degrees);
        assert_eq!(turned(0), picture);
        assert_eq!(turned(90), Rgb { width: 1, height: 2, pixels: vec![1, 1, 1, 2, 2, 2] });
        assert_eq!(turned(180), Rgb { width: 2, height: 1, pixels: vec![2, 2, 2, 1, 1, 1] });
        assert_eq!(turned(270), Rgb { width: 1, height: 2, pixels: vec![2, 2, 2, 1, 1, 1] });
    }
}
