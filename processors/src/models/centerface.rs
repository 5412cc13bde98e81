//! CenterFace: finds faces in a small picture.

mod boxes;
mod shape;

use std::sync::Mutex;

use anyhow::Context;
use ort::inputs;
use ort::session::Session;
use ort::value::Tensor;
use pipeline::runtime::{Runtime, RuntimeFile};

use crate::media::frames::Rgb;

pub use boxes::Detection;

/// The network halves its input five times, so its sides are multiples of this.
const MULTIPLE: usize = 32;

/// The face detector. One serves any number of threads: each that detects at the same time has its own session.
pub struct Detector {
    runtime: Runtime,
    model: Vec<u8>,
    idle: Mutex<Vec<Session>>,
}

impl Detector {
    /// Loads the model from the run-time files.
    ///
    /// # Errors
    /// When the model or ONNX Runtime is missing or cannot be loaded.
    pub fn new(runtime: &Runtime) -> anyhow::Result<Self> {
        let path = runtime.locate(RuntimeFile::CenterFace)?;
        let shipped = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let model = shape::free(&shipped).context("prepare CenterFace for pictures of any size")?;
        let first = super::onnx::fastest_session(runtime, &model)?;
        Ok(Self { runtime: runtime.clone(), model, idle: Mutex::new(vec![first]) })
    }

    /// Finds the faces in `picture` of which it is at least `threshold` (0 to 1) sure, from left to right, in
    /// the picture's own pixels.
    ///
    /// # Errors
    /// ONNX Runtime's.
    pub fn detect(&self, picture: &Rgb, threshold: f32) -> anyhow::Result<Vec<Detection>> {
        let idle = self.idle().pop();
        let mut session = match idle {
            Some(session) => session,
            None => super::onnx::fastest_session(&self.runtime, &self.model)?,
        };
        let found = detect(&mut session, picture, threshold)?;
        self.idle().push(session);
        Ok(found)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn detect(session: &mut Session, picture: &Rgb, threshold: f32) -> anyhow::Result<Vec<Detection>> {
    let (width, height) = (picture.width.next_multiple_of(MULTIPLE), picture.height.next_multiple_of(MULTIPLE));
    let input = Tensor::from_array(([1, 3, height, width], planes(picture, width, height)))?;
    let outputs = session.run(inputs!["input.1" => input])?;
    let (_, heat) = outputs["537"].try_extract_tensor::<f32>()?;
    let (_, scale) = outputs["538"].try_extract_tensor::<f32>()?;
    let (_, offset) = outputs["539"].try_extract_tensor::<f32>()?;
    let maps = boxes::Maps { columns: width / boxes::STRIDE, heat, scale, offset };
    Ok(boxes::decode(&maps, threshold, picture.width as f32, picture.height as f32))
}

/// Lays the picture out as three planes of `width` by `height`, black to the right of it and below.
fn planes(picture: &Rgb, width: usize, height: usize) -> Vec<f32> {
    let mut planes = vec![0.0; 3 * width * height];
    for (row, pixels) in picture.pixels.chunks_exact(picture.width * 3).enumerate() {
        for (column, pixel) in pixels.chunks_exact(3).enumerate() {
            let at = row * width + column;
            for (channel, value) in pixel.iter().enumerate() {
                planes[channel * width * height + at] = f32::from(*value);
            }
        }
    }
    planes
}
