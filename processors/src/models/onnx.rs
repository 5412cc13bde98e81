//! ONNX Runtime: loaded once a process from the run-time files; every model is a session on it.

use std::sync::Mutex;

use anyhow::{Context, anyhow};
use ort::environment::Environment;
use ort::session::Session;
use pipeline::runtime::{Runtime, RuntimeFile};

/// The environment of this process. A second one cannot be made, and it must outlive every session.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads `model_bytes` for use by one thread at a time, which does all of the work itself.
///
/// # Errors
/// When the library is missing or older than 1.24, or the bytes are no model.
pub fn session(runtime: &Runtime, model_bytes: &[u8]) -> anyhow::Result<Session> {
    let environment = environment(runtime)?;
    let builder = Session::builder(&environment).context("prepare an ONNX Runtime session")?;
    // An error of the builder carries the builder, which cannot travel between threads.
    let builder = builder.with_intra_threads(1).map_err(|error| anyhow!("{error}"))?;
    let mut builder = builder.with_intra_op_spinning(false).map_err(|error| anyhow!("{error}"))?;
    builder.commit_from_memory(model_bytes).context("load the model into ONNX Runtime")
}

/// Returns the environment, loading the library at the first call. A failed call leaves nothing behind, so
/// that the next one tries again.
fn environment(runtime: &Runtime) -> anyhow::Result<Environment> {
    let mut current = ENVIRONMENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(environment) = &*current {
        return Ok(environment.clone());
    }
    let path = runtime.locate(RuntimeFile::OnnxRuntime)?;
    let library = ort::init_from(&path).context("load ONNX Runtime; `make setup` fetches the right one")?;
    let environment = library.with_telemetry(false).build().context("start ONNX Runtime")?;
    Ok(current.insert(environment).clone())
}
