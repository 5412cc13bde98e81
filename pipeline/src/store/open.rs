//! Where the store is, and opening it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;

use super::SharedStore;
use super::sqlite::Sqlite;

/// Where the store is.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store, `sqlite:PATH`: one file, for the processes of one host.
    #[arg(long, env = "SPILLWAY_STORE", value_name = "ADDRESS")]
    pub store: StoreLocation,
}

/// Where a store is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocation {
    /// A file of this host.
    Sqlite(PathBuf),
}

impl FromStr for StoreLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", "")) => Err("name the file: sqlite:PATH".to_owned()),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some((scheme, _)) => Err(format!("no store is called {scheme}; give sqlite:PATH")),
            None => Err("give sqlite:PATH".to_owned()),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// Opens the SQLite store in the file at `path`, and makes it if it is missing.
///
/// # Errors
/// When it cannot be opened, or was made by a newer version.
pub fn open_file(path: &Path) -> anyhow::Result<SharedStore> {
    let store = Sqlite::open(path).with_context(|| format!("open the store sqlite:{}", path.display()))?;
    Ok(Arc::new(store))
}

/// Opens the store and makes its tables if they are missing; any number of processes may do so at once.
///
/// # Errors
/// When it cannot be opened, or was made by a newer version.
pub async fn open(args: &StoreArgs) -> anyhow::Result<SharedStore> {
    let StoreLocation::Sqlite(path) = &args.store;
    open_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_stores_there_are_parse() {
        assert_eq!("sqlite:/a/b.db".parse(), Ok(StoreLocation::Sqlite("/a/b.db".into())));
        for bad in ["", "sqlite:", "/a/b.db", "cql://host"] {
            let error = bad.parse::<StoreLocation>().expect_err(bad);
            assert!(error.contains("sqlite:PATH"), "{error}");
        }
    }
}
