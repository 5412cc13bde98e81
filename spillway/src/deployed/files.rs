//! The files that describe containers, as far as the tests look into them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The Compose files, by their names.
pub const COMPOSE_FILES: [&str; 2] = ["docker-compose.yml", "docker-compose.cluster.yml"];
/// How deep merges are nested at the most.
const MERGES: usize = 4;
/// What the image is called, up to its tag.
const OUR_IMAGE: &str = "spillway:";

/// Returns the path of a file in the sources.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Reads a file of the sources.
pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A Compose file with its anchors and merge keys resolved.
pub struct Compose {
    pub name: &'static str,
    pub all: Value,
}

/// One service of it.
pub struct Service<'a> {
    pub file: &'static str,
    pub name: &'a str,
    pub is: &'a Value,
}

impl Compose {
    pub fn read(name: &'static str) -> Self {
        let mut yaml: serde_norway::Value = serde_norway::from_str(&read(name)).expect("YAML");
        // One pass merges what is named; that may have named something itself.
        for _ in 0..MERGES {
            yaml.apply_merge().expect("merge keys stand where they may");
        }
        Self { name, all: serde_json::to_value(yaml).expect("only texts are keys") }
    }

    pub fn both() -> [Self; 2] {
        COMPOSE_FILES.map(Self::read)
    }

    pub fn services(&self) -> impl Iterator<Item = Service<'_>> {
        let services = self.all["services"].as_object().expect("services");
        services.iter().map(|(name, is)| Service { file: self.name, name, is })
    }

    /// Returns the services that run the image built here.
    pub fn ours(&self) -> impl Iterator<Item = Service<'_>> {
        self.services().filter(|service| service.image().starts_with(OUR_IMAGE))
    }
}

impl<'a> Service<'a> {
    pub fn image(&self) -> &'a str {
        self.is["image"].as_str().expect("an image")
    }

    /// Returns a list of texts, empty if it is not there.
    pub fn texts(&self, key: &str) -> Vec<&'a str> {
        let list = self.is[key].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|text| text.as_str().expect("a text")).collect()
    }

    /// Returns the environment; every value is written as a text, so that YAML does not change it.
    pub fn environment(&self) -> BTreeMap<&'a str, &'a str> {
        let variables = self.is["environment"].as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.as_str(), value.as_str().expect("a text"))).collect()
    }

    /// Says whether it ends by itself and is not started again.
    pub fn is_one_shot(&self) -> bool {
        self.is["restart"] == "no"
    }
}

impl std::fmt::Display for Service<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.file, self.name)
    }
}

/// The instructions of a Dockerfile: name and rest, with continued lines joined and comments left out.
pub fn dockerfile(name: &str) -> Vec<(String, String)> {
    let lines = read(name).lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let joined = lines.replace("\\\n", " ");
    let instructions = joined.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    instructions.map(|(name, rest)| (name.to_ascii_uppercase(), rest.trim().to_owned())).collect()
}
