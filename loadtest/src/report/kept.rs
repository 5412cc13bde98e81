//! Reports that are kept: a folder that has two files of each run, `20261126T081929Z-viral-500.json` and `.html`, for who
//! lists and compares runs.

use std::fs::Permissions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Report;

/// Runs of the same schedule that may begin within one second.
const MOST_AT_ONCE: u32 = 1000;
/// A name has no more characters of its schedule's.
const LONGEST_NAME: usize = 60;

/// A folder of reports.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Opens the folder, which is made if it is not there.
    ///
    /// # Errors
    /// When nothing can be written there: better told before a run than after it.
    pub fn open(folder: PathBuf) -> Result<Self> {
        let shown = folder.display();
        std::fs::create_dir_all(&folder).with_context(|| format!("make the folder of reports {shown}"))?;
        draft(&folder, &[]).with_context(|| format!("write to the folder of reports {shown}"))?;
        Ok(Self { folder })
    }

    /// Keeps `report`, whose page is `page`, and returns the JSON file. Files appear whole: the page first, so that who
    /// finds the JSON finds both.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self, report: &Report, page: &str) -> Result<PathBuf> {
        let json = serde_json::to_vec(report).context("write the report as JSON")?;
        let name = name(report);
        for number in 1..=MOST_AT_ONCE {
            let name = if number == 1 { name.clone() } else { format!("{name}-{number}") };
            let [page_file, json_file] = ["html", "json"].map(|kind| self.folder.join(format!("{name}.{kind}")));
            if json_file.exists() || !appear(&page_file, page.as_bytes())? {
                continue;
            }
            if !appear(&json_file, &json)? {
                bail!("{} is there already, without its page", json_file.display());
            }
            return Ok(json_file);
        }
        bail!("there are {MOST_AT_ONCE} reports {name} in {}", self.folder.display())
    }
}

/// Returns what a run's files are called: when it began, by the clock of Greenwich, and its schedule.
fn name(report: &Report) -> String {
    let began = report.about.begun_at.strftime("%Y%m%dT%H%M%SZ");
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let schedule: String = report.about.schedule.chars().map(plain).collect();
    let words: Vec<&str> = schedule.split('-').filter(|word| !word.is_empty()).collect();
    let mut schedule = words.join("-");
    schedule.truncate(LONGEST_NAME);
    format!("{began}-{schedule}")
}

/// Writes a file that has no name to be found by, on the disk of `folder`.
fn draft(folder: &Path, bytes: &[u8]) -> std::io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // As any file of this user's: a temporary one could be read by nobody else.
    let mut draft =
        builder.prefix(".").suffix(".part").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// Lets a whole file appear, unless there is one of that name.
fn appear(file: &Path, bytes: &[u8]) -> Result<bool> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let draft = draft(folder, bytes).with_context(|| format!("write {}", file.display()))?;
    match draft.persist_noclobber(file) {
        Ok(_) => Ok(true),
        Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(refused) => Err(refused.error).with_context(|| format!("write {}", file.display())),
    }
}
