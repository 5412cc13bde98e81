//! Crops along the camera path and scales only the crop, at fractions of a pixel so that a slow pan does not jitter.

use fast_image_resize::images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use ffmpeg::format::Pixel;
use ffmpeg::frame;
use ffmpeg_next as ffmpeg;
use pipeline::event::Framing;

use super::{Error, Plan};

/// A crop this near to the clip's shape is stretched to it; one farther off gets bars.
const STRETCH: f64 = 0.02;

/// Size of the small picture that becomes the blurred background, as a share of the clip's.
const BLUR: u32 = 20;

/// How bright the background is, in parts of 256.
const DIM: u32 = 128;

/// A rectangle with fractions, in samples of a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// A rectangle of whole samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// Shoots frames of the clip out of frames of the source.
pub struct Camera {
    display: (f64, f64),
    size: (u32, u32),
    resizer: Resizer,
}

impl Camera {
    /// Makes the camera of a plan.
    pub fn new(plan: &Plan) -> Self {
        let display = (f64::from(plan.media.width.max(1)), f64::from(plan.media.height.max(1)));
        Self { display, size: (plan.width, plan.height), resizer: Resizer::new() }
    }

    /// Returns the picture that `framing` shows of `frame` at `at_us`, and which part of the frame that is. Without
    /// a framing it is the middle.
    pub fn shoot(
        &mut self,
        frame: &frame::Video,
        framing: Option<&Framing>,
        at_us: i64,
    ) -> Result<(frame::Video, View), Error> {
        let crop = self.crop(framing, at_us);
        let place = self.place(&crop);
        let (scale_x, scale_y) =
            (f64::from(frame.width()) / self.display.0, f64::from(frame.height()) / self.display.1);
        let samples =
            |v: View| View { x: v.x * scale_x, y: v.y * scale_y, width: v.width * scale_x, height: v.height * scale_y };
        let mut shown = frame::Video::new(Pixel::YUV420P, self.size.0, self.size.1);
        if place.width < self.size.0 || place.height < self.size.1 {
            let middle = inner(&crop, f64::from(self.size.0) / f64::from(self.size.1));
            self.background(frame, &samples(middle), &mut shown)?;
        }
        let view = samples(crop);
        for plane in 0..3 {
            self.scale(frame, plane, &view, &mut shown, place)?;
        }
        shown.set_color_space(frame.color_space());
        shown.set_color_range(frame.color_range());
        Ok((shown, view))
    }

    /// Returns the crop in display pixels, inside the picture.
    fn crop(&self, framing: Option<&Framing>, at_us: i64) -> View {
        let (wide, high) = self.display;
        let whole = View { x: 0.0, y: 0.0, width: wide, height: high };
        let Some(framing) = framing.filter(|f| f.width >= 1.0 && f.height >= 1.0) else {
            return inner(&whole, f64::from(self.size.0) / f64::from(self.size.1));
        };
        let (x, y) = framing.corner(at_us.clamp(framing.start_us, framing.end_us.max(framing.start_us)));
        let (width, height) = (framing.width.min(wide), framing.height.min(high));
        View { x: x.max(0.0).min(wide - width), y: y.max(0.0).min(high - height), width, height }
    }

    /// Returns where in the clip the crop is shown: everywhere, or between bars.
    fn place(&self, crop: &View) -> Place {
        let (wide, high) = (f64::from(self.size.0), f64::from(self.size.1));
        let scale = (wide / crop.width).min(high / crop.height);
        let (width, height) = (crop.width * scale, crop.height * scale);
        if width >= wide * (1.0 - STRETCH) && height >= high * (1.0 - STRETCH) {
            return Place { x: 0, y: 0, width: self.size.0, height: self.size.1 };
        }
        let even = |length: f64, most: u32| ((length / 2.0).round() as u32 * 2).clamp(2, most);
        let (width, height) = (even(width, self.size.0), even(height, self.size.1));
        Place { x: (self.size.0 - width) / 4 * 2, y: (self.size.1 - height) / 4 * 2, width, height }
    }

    /// Scales `view` of one plane of `frame` (given in luma samples) to `place` in `shown`.
    fn scale(
        &mut self,
        frame: &frame::Video,
        plane: usize,
        view: &View,
        shown: &mut frame::Video,
        place: Place,
    ) -> Result<(), Error> {
        let (mut view, mut place) = (*view, place);
        if plane > 0 {
            // Chroma samples sit at the left luma sample of their pair, in the source as in the clip.
            let step = view.width / f64::from(place.width);
            view = View {
                x: view.x / 2.0 + 0.25 * (1.0 - step),
                y: view.y / 2.0,
                width: view.width / 2.0,
                height: view.height / 2.0,
            };
            place = Place { x: place.x / 2, y: place.y / 2, width: place.width / 2, height: place.height / 2 };
        }
        let filter = if plane == 0 { FilterType::CatmullRom } else { FilterType::Bilinear };
        let (width, height) = (shown.plane_width(plane), shown.plane_height(plane));
        let stride = shown.stride(plane) as u32;
        let target = TypedImage::<U8>::from_buffer(stride, height, shown.data_mut(plane)).map_err(failed)?;
        debug_assert!(place.x + place.width <= width);
        let mut target =
            TypedCroppedImageMut::new(target, place.x, place.y, place.width, place.height).map_err(failed)?;
        resize(&mut self.resizer, frame, plane, view, &mut target, filter)
    }

    /// Fills `shown` with `view` of `frame`, blurred and dimmed: a tiny picture, scaled up.
    fn background(&mut self, frame: &frame::Video, view: &View, shown: &mut frame::Video) -> Result<(), Error> {
        for plane in 0..3 {
            let halves = if plane > 0 { 2.0 } else { 1.0 };
            let part = View {
                x: view.x / halves,
                y: view.y / halves,
                width: view.width / halves,
                height: view.height / halves,
            };
            let (width, height) = (shown.plane_width(plane), shown.plane_height(plane));
            let mut small = TypedImage::<U8>::new((width / BLUR).max(2), (height / BLUR).max(2));
            resize(&mut self.resizer, frame, plane, part, &mut small, FilterType::Box)?;
            let rest = if plane == 0 { 16 } else { 128 };
            for pixel in small.pixels_mut() {
                let distance = (i32::from(pixel.0) - rest) * DIM as i32 / 256;
                pixel.0 = (rest + distance).clamp(0, 255) as u8;
            }
            let stride = shown.stride(plane) as u32;
            let target = TypedImage::<U8>::from_buffer(stride, height, shown.data_mut(plane)).map_err(failed)?;
            let mut target = TypedCroppedImageMut::new(target, 0, 0, width, height).map_err(failed)?;
            let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
            self.resizer.resize_typed(&small, &mut target, &options).map_err(failed)?;
        }
        Ok(())
    }
}

/// Scales `view` of a plane of `frame` to all of `target`.
fn resize(
    resizer: &mut Resizer,
    frame: &frame::Video,
    plane: usize,
    view: View,
    target: &mut impl fast_image_resize::ImageViewMut<Pixel = U8>,
    filter: FilterType,
) -> Result<(), Error> {
    let (width, height) = (frame.plane_width(plane), frame.plane_height(plane));
    let stride = frame.stride(plane) as u32;
    let all = TypedImageRef::<U8>::from_buffer(stride, height, frame.data(plane)).map_err(failed)?;
    // What lies between the picture's width and the stride must not bleed in at the edge.
    let picture = TypedCroppedImage::from_ref(&all, 0, 0, width, height).map_err(failed)?;
    let (wide, high) = (view.width.min(f64::from(width)), view.height.min(f64::from(height)));
    let left = view.x.max(0.0).min(f64::from(width) - wide);
    let top = view.y.max(0.0).min(f64::from(height) - high);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(left, top, wide, high);
    resizer.resize_typed(&picture, target, &options).map_err(failed)
}

/// Returns the largest rectangle with `aspect` (width over height) in the middle of `outer`.
fn inner(outer: &View, aspect: f64) -> View {
    let width = outer.width.min(outer.height * aspect);
    let height = outer.height.min(outer.width / aspect);
    View { x: outer.x + (outer.width - width) / 2.0, y: outer.y + (outer.height - height) / 2.0, width, height }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Scale(error.to_string())
}
