//! Where the files that are not compiled in lie: Kafka's jars, ONNX Runtime, models.

use std::path::{Path, PathBuf};

/// A file or folder needed at run time, filled by `make setup`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuntimeFile {
    /// ONNX Runtime's shared library.
    OnnxRuntime,
    /// The same with CUDA, and its provider beside it; only where a GPU is to be used.
    OnnxRuntimeGpu,
    /// The face detector.
    CenterFace,
    /// The voice activity detector.
    SileroVad,
    /// The folder of Apache Kafka's jars.
    Kafka,
}

impl RuntimeFile {
    /// Every file that is needed on every machine.
    pub const ALL: [Self; 4] = [Self::OnnxRuntime, Self::CenterFace, Self::SileroVad, Self::Kafka];

    /// Returns its path below the runtime folder.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "libonnxruntime.so",
            Self::OnnxRuntimeGpu => "gpu/libonnxruntime.so",
            Self::CenterFace => "centerface.onnx",
            Self::SileroVad => "silero_vad.onnx",
            Self::Kafka => "kafka",
        }
    }
}

/// A run-time file that is in none of the places.
#[derive(Debug, thiserror::Error)]
#[error("{file} is missing; looked in {places}; run `make setup` in the source folder to fill one of them")]
pub struct Missing {
    file: &'static str,
    places: String,
}

/// The places where run-time files are looked for.
#[derive(Clone, Debug)]
pub struct Runtime {
    places: Vec<PathBuf>,
}

/// Where run-time files lie.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct RuntimeArgs {
    /// Folder of Kafka's jars, ONNX Runtime and models [default: `runtime` beside the executable, else `spillway/runtime` in the user's data folder].
    #[arg(long, env = "SPILLWAY_RUNTIME", value_name = "DIR")]
    pub runtime: Option<PathBuf>,
}

impl Runtime {
    /// Lists the places to look in: the folder given, else beside the executable, else the user's data folder.
    pub fn new(args: &RuntimeArgs) -> Self {
        if let Some(given) = &args.runtime {
            return Self { places: vec![given.clone()] };
        }
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("runtime")));
        Self { places: beside.into_iter().chain(user_data_folder().map(|d| d.join("runtime"))).collect() }
    }

    /// Finds `file`.
    ///
    /// # Errors
    /// [`Missing`] names every place looked in and the command that fills them.
    pub fn locate(&self, file: RuntimeFile) -> Result<PathBuf, Missing> {
        let found = self.places.iter().map(|place| place.join(file.path())).find(|path| path.exists());
        found.ok_or_else(|| {
            let shown: Vec<String> = self.places.iter().map(|p| p.display().to_string()).collect();
            Missing { file: file.path(), places: shown.join(", ") }
        })
    }

    /// Returns the places, in order.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().map(PathBuf::as_path)
    }
}

/// Returns where reports of load tests are kept unless something else is said.
pub fn user_reports_folder() -> Option<PathBuf> {
    user_data_folder().map(|folder| folder.join("reports"))
}

/// Returns `$XDG_DATA_HOME/spillway`, else `~/.local/share/spillway`.
pub fn user_data_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    base.map(|b| b.join("spillway"))
}
