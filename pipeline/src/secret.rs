//! Passwords: given by a variable or a file, and shown to nobody.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};

/// A text that is not shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Returns the secret given, else what stands in `file`, without the end of its line.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(given: Option<&Self>, file: Option<&Path>) -> Result<Option<Self>> {
        let (Some(file), None) = (file, given) else { return Ok(given.cloned()) };
        let text = fs::read_to_string(file).with_context(|| format!("read a password from {}", file.display()))?;
        Ok(Some(Self(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Returns it as it is, for the one that asks for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_comes_from_a_file_unless_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        fs::write(&file, "from a file\n").unwrap();
        let given: Secret = "given".parse().unwrap();
        let found = |given, file| Secret::find(given, file).unwrap().map(|secret| secret.reveal().to_owned());
        assert_eq!(found(None, None), None);
        assert_eq!(found(None, Some(&*file)), Some("from a file".to_owned()));
        assert_eq!(found(Some(&given), Some(&*file)), Some("given".to_owned()));
        assert!(Secret::find(None, Some(&folder.path().join("none"))).is_err());
        assert_eq!(format!("{given:?}"), "(hidden)");
    }
}
