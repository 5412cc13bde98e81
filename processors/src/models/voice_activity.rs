//! Silero VAD: how probable it is that somebody speaks.

use anyhow::Context;
use ort::inputs;
use ort::session::Session;
use ort::value::TensorRef;
use pipeline::failure::Failure;
use pipeline::outbox::Pulse;
use pipeline::runtime::{Runtime, RuntimeFile};

use super::onnx;
use super::transcriber::{Pool, SAMPLE_RATE};

/// Samples in a window: 32 ms.
pub const WINDOW: usize = 512;
/// Samples of the window before that the model wants to hear again.
const CONTEXT: usize = 64;
/// Values in the model's memory.
const STATE: [usize; 3] = [2, 1, 128];
/// Windows between two beats: about a minute of sound, a fifth of a second of work.
const WINDOWS_PER_BEAT: usize = 2_000;

/// Detects speech. Shared by all of a process.
pub struct VoiceActivity {
    sessions: Pool<Session>,
}

impl VoiceActivity {
    /// Opens the model.
    ///
    /// # Errors
    /// When the model or ONNX Runtime is missing or cannot be read.
    pub fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        let runtime = runtime.clone();
        let model = std::fs::read(runtime.locate(RuntimeFile::SileroVad)?).context("read the voice activity model")?;
        Ok(Self { sessions: Pool::new(move || onnx::session(&runtime, &model))? })
    }

    /// Returns for each window of `samples` (16 kHz, the last one padded) how probable speech is, 0 to 1. Blocks.
    ///
    /// # Errors
    /// [`Failure::Retry`] when told to stop or when the model fails.
    pub fn probabilities(&self, samples: &[i16], pulse: &Pulse) -> Result<Vec<f32>, Failure> {
        self.sessions.with(|session| {
            let mut memory = Memory::new();
            let mut probabilities = Vec::with_capacity(samples.len().div_ceil(WINDOW));
            for windows in samples.chunks(WINDOW * WINDOWS_PER_BEAT) {
                pulse.beat()?;
                for window in windows.chunks(WINDOW) {
                    probabilities.push(memory.hear(session, window).map_err(Failure::Retry)?);
                }
            }
            Ok(probabilities)
        })
    }
}

/// What the model keeps from window to window.
struct Memory {
    sound: [f32; CONTEXT + WINDOW],
    state: Vec<f32>,
}

impl Memory {
    fn new() -> Self {
        Self { sound: [0.0; CONTEXT + WINDOW], state: vec![0.0; STATE.iter().product()] }
    }

    fn hear(&mut self, session: &mut Session, window: &[i16]) -> anyhow::Result<f32> {
        self.sound.copy_within(WINDOW.., 0);
        self.sound[CONTEXT..].fill(0.0);
        for (value, &sample) in self.sound[CONTEXT..].iter_mut().zip(window) {
            *value = f32::from(sample) / 32_768.0;
        }
        let rate = [SAMPLE_RATE as i64];
        let outputs = session.run(inputs![
            "input" => TensorRef::from_array_view(([1, CONTEXT + WINDOW], &self.sound[..]))?,
            "state" => TensorRef::from_array_view((STATE, &self.state[..]))?,
            "sr" => TensorRef::from_array_view(([1], &rate[..]))?,
        ])?;
        let (_, state) = outputs["stateN"].try_extract_tensor::<f32>()?;
        self.state.copy_from_slice(state);
        let (_, probability) = outputs["output"].try_extract_tensor::<f32>()?;
        probability.first().copied().context("the voice activity model gave nothing")
    }
}
