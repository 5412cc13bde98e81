//! The speech models a user can pull, and which of them are there.

mod pull;

use std::path::{Path, PathBuf};

use pipeline::runtime::user_data_folder;

pub use pull::{Error, Progress, pull};

/// A model of whisper.cpp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpeechModel {
    /// Its name: `base.en`.
    pub name: &'static str,
    /// The name of its file.
    pub file: &'static str,
    /// The length of the file.
    pub bytes: u64,
    /// The file's sha256, in hexadecimal.
    pub sha256: &'static str,
    /// What it understands.
    pub languages: Languages,
    /// Its licence, as an SPDX identifier.
    pub licence: &'static str,
}

/// What a model understands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Languages {
    /// English alone, and that better than a model of the same size for all.
    English,
    /// About a hundred.
    Many,
}

impl std::fmt::Display for Languages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::English => "English",
            Self::Many => "99 languages",
        })
    }
}

/// Where the files lie: whisper.cpp's own place, at a revision that does not change.
pub const ORIGIN: &str =
    "https://huggingface.co/ggerganov/whisper.cpp/resolve/5359861c739e955e79d9a303bcbc70fb988958b1/";

/// The models, worse before better. Sizes and sums are those of the files' pointers in the origin's repository.
pub static SPEECH_MODELS: [SpeechModel; 9] = [
    model(
        "tiny",
        "ggml-tiny.bin",
        77_691_713,
        "be07e048e1e599ad46341c8d2a135645097a538221678b7acdd1b1919c6e1b21",
        Languages::Many,
    ),
    model(
        "tiny.en",
        "ggml-tiny.en.bin",
        77_704_715,
        "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f",
        Languages::English,
    ),
    model(
        "base",
        "ggml-base.bin",
        147_951_465,
        "60ed5bc3dd14eea856493d334349b405782ddcaf0028d4b5df4088345fba2efe",
        Languages::Many,
    ),
    model(
        "base.en",
        "ggml-base.en.bin",
        147_964_211,
        "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002",
        Languages::English,
    ),
    model(
        "small",
        "ggml-small.bin",
        487_601_967,
        "1be3a9b2063867b937e64e2ec7483364a79917e157fa98c5d94b5c1fffea987b",
        Languages::Many,
    ),
    model(
        "small.en",
        "ggml-small.en.bin",
        487_614_201,
        "c6138d6d58ecc8322097e0f987c32f1be8bb0a18532a3f88f734d1bbf9c41e5d",
        Languages::English,
    ),
    model(
        "medium",
        "ggml-medium.bin",
        1_533_763_059,
        "6c14d5adee5f86394037b4e4e8b59f1673b6cee10e3cf0b11bbdbee79c156208",
        Languages::Many,
    ),
    model(
        "medium.en",
        "ggml-medium.en.bin",
        1_533_774_781,
        "cc37e93478338ec7700281a7ac30a10128929eb8f427dda2e865faa8f6da4356",
        Languages::English,
    ),
    model(
        "large-v3-turbo-q5_0",
        "ggml-large-v3-turbo-q5_0.bin",
        574_041_195,
        "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2",
        Languages::Many,
    ),
];

const fn model(
    name: &'static str,
    file: &'static str,
    bytes: u64,
    sha256: &'static str,
    languages: Languages,
) -> SpeechModel {
    SpeechModel { name, file, bytes, sha256, languages, licence: "MIT" }
}

impl SpeechModel {
    /// Finds the model called `name`.
    ///
    /// # Errors
    /// Names the models there are.
    pub fn find(name: &str) -> anyhow::Result<&'static Self> {
        let found = SPEECH_MODELS.iter().find(|model| model.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = SPEECH_MODELS.iter().map(|model| model.name).collect();
            anyhow::anyhow!("there is no speech model {name}; one of: {}", names.join(", "))
        })
    }

    /// Returns its file in `folder` if it is there whole (its sum was checked when it was pulled).
    pub fn installed(&self, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(self.file);
        let whole = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == self.bytes);
        whole.then_some(path)
    }
}

/// Where pulled models are kept.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ModelFolder {
    /// Folder of pulled speech models [default: `spillway/models` in the user's data folder].
    #[arg(long, env = "SPILLWAY_MODELS", value_name = "DIR")]
    pub models: Option<PathBuf>,
}

impl ModelFolder {
    /// Returns the folder; `None` if none was given and the user has no data folder.
    pub fn path(&self) -> Option<PathBuf> {
        self.models.clone().or_else(|| user_data_folder().map(|folder| folder.join("models")))
    }
}

/// Returns the best model in `folder`, with its file.
pub fn best_installed(folder: &Path) -> Option<(&'static SpeechModel, PathBuf)> {
    SPEECH_MODELS.iter().rev().find_map(|model| Some((model, model.installed(folder)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_well_formed_and_distinct() {
        for model in &SPEECH_MODELS {
            assert_eq!(model.file, format!("ggml-{}.bin", model.name));
            assert!(model.sha256.len() == 64 && model.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{}", model.name);
            assert_eq!(SPEECH_MODELS.iter().filter(|m| m.sha256 == model.sha256 || m.name == model.name).count(), 1);
            assert_eq!(model.languages == Languages::English, model.name.ends_with(".en"));
        }
    }

    #[test]
    fn a_file_of_another_length_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let tiny = SpeechModel::find("tiny").unwrap();
        std::fs::write(folder.path().join(tiny.file), b"half").unwrap();
        assert_eq!(best_installed(folder.path()), None);
        assert!(SpeechModel::find("huge").unwrap_err().to_string().contains("base.en"));
    }
}
