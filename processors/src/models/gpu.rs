//! The GPU, in builds with the feature `gpu`: whether there is one that CUDA can use, and models on it.

use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::anyhow;
use cudarc::driver::{CudaContext, DriverError, sys};
use ort::ep::CUDA;
use ort::session::builder::SessionBuilder;
use pipeline::runtime::{Runtime, RuntimeFile};
use tracing::{info, warn};

/// Returns ONNX Runtime's library with CUDA if there is a device and the library; what lacks is told once.
pub fn library(runtime: &Runtime) -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || match device() {
        None => {
            info!("there is no CUDA driver: faces are looked for on the CPU");
            None
        }
        Some(Err(error)) => {
            warn!(%error, "the CUDA driver offers no device: faces are looked for on the CPU");
            None
        }
        Some(Ok(name)) => match runtime.locate(RuntimeFile::OnnxRuntimeGpu) {
            Ok(path) => {
                info!(device = name, "faces are looked for on the GPU");
                Some(path)
            }
            Err(missing) => {
                warn!(device = name, %missing, "the GPU is not used: `make setup GPU=1` fetches what it needs");
                None
            }
        },
    };
    FOUND.get_or_init(find).clone()
}

/// Lets the sessions of `builder` run on the first device.
///
/// # Errors
/// When ONNX Runtime cannot use it, such as without the CUDA and cuDNN libraries; by itself it would go on in silence.
pub fn accelerate(builder: SessionBuilder) -> anyhow::Result<SessionBuilder> {
    let cuda = CUDA::default().with_device_id(0).build().error_on_failure();
    builder.with_execution_providers([cuda]).map_err(|error| anyhow!("{error}"))
}

/// Returns the name of the first device, nothing without a driver.
fn device() -> Option<Result<String, DriverError>> {
    // Making a context without the driver's library panics.
    // SAFETY: it is only looked whether the library can be loaded.
    unsafe { sys::is_culib_present() }.then(|| CudaContext::new(0)?.name())
}
