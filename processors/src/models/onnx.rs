//! ONNX Runtime: loaded once a process from the run-time files; every model is a session on it.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, anyhow};
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use pipeline::runtime::{Runtime, RuntimeFile};

/// The environment of this process. A second one cannot be made, and it must outlive every session.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// Loads `model_bytes` for use by one thread at a time, which does all of the work itself.
///
/// # Errors
/// When the library is missing or older than 1.24, or the bytes are no model.
pub fn session(runtime: &Runtime, model_bytes: &[u8]) -> anyhow::Result<Session> {
    prepare(&environment(runtime)?)?.commit_from_memory(model_bytes).context("load the model into ONNX Runtime")
}

/// Loads `model_bytes` as [`session`] does, onto the GPU where this build can use one that is there.
///
/// # Errors
/// As [`session`].
pub fn fastest_session(runtime: &Runtime, model_bytes: &[u8]) -> anyhow::Result<Session> {
    #[cfg(feature = "gpu")]
    if super::gpu::library(runtime).is_some() {
        let builder = super::gpu::accelerate(prepare(&environment(runtime)?)?);
        match builder.and_then(|mut builder| Ok(builder.commit_from_memory(model_bytes)?)) {
            Ok(session) => return Ok(session),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "no model on the GPU: it runs on the CPU"),
        }
    }
    session(runtime, model_bytes)
}

fn prepare(environment: &Environment) -> anyhow::Result<SessionBuilder> {
    let builder = Session::builder(environment).context("prepare an ONNX Runtime session")?;
    // An error of the builder carries the builder, which cannot travel between threads.
    let builder = builder.with_intra_threads(1).map_err(|error| anyhow!("{error}"))?;
    builder.with_intra_op_spinning(false).map_err(|error| anyhow!("{error}"))
}

/// Returns the environment, loading the library at the first call. A failed call leaves nothing behind, so
/// that the next one tries again.
fn environment(runtime: &Runtime) -> anyhow::Result<Environment> {
    let mut current = ENVIRONMENT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(environment) = &*current {
        return Ok(environment.clone());
    }
    let path = library(runtime)?;
    let library = ort::init_from(&path).context("load ONNX Runtime; `make setup` fetches the right one")?;
    let environment = library.with_telemetry(false).build().context("start ONNX Runtime")?;
    Ok(current.insert(environment).clone())
}

fn library(runtime: &Runtime) -> anyhow::Result<PathBuf> {
    #[cfg(feature = "gpu")]
    if let Some(path) = super::gpu::library(runtime) {
        return Ok(path);
    }
    Ok(runtime.locate(RuntimeFile::OnnxRuntime)?)
}
