//! The folder of kept runs: `20261126T081929Z-viral-500.json` and `.html` of each. Names come from URLs: none leads out of it.

use std::collections::HashMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use pipeline::runtime::user_reports_folder;

use super::report::Report;
use super::summary::Summary;
use crate::args::DashboardArgs;
use crate::fault::Fault;
use crate::reach::quoted;

/// The newest ones that are listed.
const MOST_LISTED: usize = 200;
/// The most bytes of a file that is read.
const MOST_BYTES: u64 = 64 << 20;
/// The most characters of a name.
const LONGEST_NAME: usize = 150;

/// The folder of kept runs.
pub struct Kept {
    folder: Option<PathBuf>,
    /// Whether it is another one than that of the user.
    is_named: bool,
    /// What was read of each file as it was then.
    known: Arc<Mutex<HashMap<String, (Version, Summary)>>>,
}

/// What a file is known again by.
type Version = (u64, Option<SystemTime>);

impl Kept {
    /// Looks into the folder that is set, else into that of this user.
    pub fn new(args: &DashboardArgs) -> Self {
        let folder = args.reports.clone().or_else(user_reports_folder);
        Self { folder, is_named: args.reports.is_some(), known: Arc::default() }
    }

    /// Names the folder.
    pub fn folder(&self) -> String {
        self.folder.as_ref().map_or_else(|| "none: say --reports".to_owned(), |folder| folder.display().to_string())
    }

    /// Says to `spillway loadtest` that runs are kept here, where it does not take the folder by itself.
    pub fn flag(&self) -> String {
        let folder = self.folder.as_ref().filter(|_| self.is_named);
        let whole = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        folder.map_or_else(String::new, |folder| format!(" --reports {}", quoted(&whole(folder).to_string_lossy())))
    }

    /// Returns the newest runs, and how many more there are.
    ///
    /// # Errors
    /// When the folder cannot be read. One that is not there yet is empty.
    pub async fn list(&self) -> Result<(Vec<Summary>, usize), Fault> {
        let Some(folder) = self.folder.clone() else { return Ok((Vec::new(), 0)) };
        let known = self.known.clone();
        blocking(move || {
            let mut names = match names(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                names => names.map_err(away)?,
            };
            names.sort_unstable_by(|a, b| b.cmp(a));
            let more = names.len().saturating_sub(MOST_LISTED);
            names.truncate(MOST_LISTED);
            Ok((names.into_iter().map(|name| summary(&folder, name, &known)).collect(), more))
        })
        .await
    }

    /// Reads a run.
    ///
    /// # Errors
    /// When there is none of this name, or it is no report.
    pub async fn read(&self, name: &str) -> Result<Report, Fault> {
        let json = self.bytes(name, "json").await?;
        blocking(move || Report::read(&json).map_err(Fault::Refused)).await
    }

    /// Reads a run's page as it was stored.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn page(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.bytes(name, "html").await
    }

    /// Says whether a run's page was stored.
    pub async fn has_page(&self, name: &str) -> bool {
        let Some(folder) = self.folder.clone().filter(|_| is_name(name)) else { return false };
        let file = folder.join(format!("{name}.html"));
        blocking(move || Ok(version(&file).is_ok())).await.unwrap_or(false)
    }

    async fn bytes(&self, name: &str, kind: &'static str) -> Result<Vec<u8>, Fault> {
        let nowhere = || Fault::Nowhere("There is no such run of a load test.".to_owned());
        let folder = self.folder.clone().filter(|_| is_name(name)).ok_or_else(nowhere)?;
        let file = folder.join(format!("{name}.{kind}"));
        blocking(move || match read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(nowhere()),
            read => read.map_err(away),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::Internal(error.into()))?
}

fn away(error: io::Error) -> Fault {
    Fault::Away { what: "The folder of reports", source: error.into() }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|name| is_name(name));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}

/// Says whether a run may be called so: a time, and plain letters that lead nowhere else.
fn is_name(name: &str) -> bool {
    let Some((time, schedule)) = name.split_once('-') else { return false };
    let is_time = time.len() == 16
        && time.bytes().enumerate().all(|(place, byte)| match place {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    is_time && !schedule.is_empty() && name.len() <= LONGEST_NAME && schedule.bytes().all(is_plain)
}

/// Returns what a file is known again by; links are followed nowhere.
fn version(file: &Path) -> io::Result<Version> {
    let about = fs::symlink_metadata(file)?;
    if !about.is_file() {
        return Err(io::Error::new(ErrorKind::NotFound, "no file"));
    }
    Ok((about.len(), about.modified().ok()))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let (bytes, _) = version(file)?;
    if bytes > MOST_BYTES {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {} MiB", MOST_BYTES >> 20)));
    }
    fs::read(file)
}

fn summary(folder: &Path, name: String, known: &Mutex<HashMap<String, (Version, Summary)>>) -> Summary {
    let file = folder.join(format!("{name}.json"));
    let told = |trouble: String| Summary { name: name.clone(), trouble: Some(trouble), ..Summary::default() };
    let version = match version(&file) {
        Ok(version) => version,
        Err(error) => return told(error.to_string()),
    };
    let known = || known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, summary)) = known().get(&name).filter(|(then, _)| *then == version) {
        return summary.clone();
    }
    let report = read(&file).map_err(|error| error.to_string()).and_then(|json| Report::read(&json));
    let summary = report.map_or_else(told, |report| of(name.clone(), &report));
    let mut all = known();
    if all.len() >= 2 * MOST_LISTED {
        all.clear();
    }
    all.insert(name, (version, summary.clone()));
    summary
}

fn of(name: String, report: &Report) -> Summary {
    let measures = &report.measures;
    let (wait, work) = (measures.queue_wait.unwrap_or_default(), measures.processing.unwrap_or_default());
    Summary {
        name,
        trouble: None,
        schedule: report.about.schedule.clone(),
        begun_ms: report.about.begun_at.map(|begun_at| begun_at.as_millisecond()),
        is_emulated: report.about.emulated.is_some(),
        planned: measures.planned,
        done: measures.done,
        queue_wait_p50_s: wait.p50,
        queue_wait_p95_s: wait.p95,
        processing_p50_s: work.p50,
        processing_p95_s: work.p95,
        met: report.outcomes("met"),
        missed: report.outcomes("missed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "20261126T081929Z-viral-500";
    const JSON: &str = r#"{"about":{"schedule":"viral-500"},"measures":{"planned":550,"queue_wait":{"p95":122.9}},
        "targets":[{"outcome":"met"},{"outcome":"missed"},{"outcome":"open"}]}"#;

    fn kept(folder: &Path) -> Kept {
        Kept { folder: Some(folder.to_owned()), is_named: false, known: Arc::default() }
    }

    #[tokio::test]
    async fn runs_are_listed_newest_first_and_what_is_none_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(&format!("{NAME}.json"), JSON);
        write("20261125T000000Z-spike.json", "{");
        write("notes.json", JSON);
        write(&format!("{NAME}.html"), "<p>");
        let kept = kept(folder.path());
        let (runs, more) = kept.list().await.unwrap();
        assert_eq!((runs.len(), more), (2, 0));
        assert_eq!(
            (&*runs[0].schedule, runs[0].planned, runs[0].met, runs[0].missed),
            ("viral-500", Some(550.0), 1, 1)
        );
        assert!(runs[1].trouble.is_some());
        write("20261125T000000Z-spike.json", &format!("{JSON} "));
        assert_eq!(kept.list().await.unwrap().0[1].trouble, None);
        assert!(kept.has_page(NAME).await && !kept.has_page("20261125T000000Z-spike").await);
    }

    #[tokio::test]
    async fn names_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("reports");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join(format!("{NAME}.json")), JSON).unwrap();
        std::os::unix::fs::symlink(folder.path().join(format!("{NAME}.json")), inner.join(format!("{NAME}.json")))
            .unwrap();
        let kept = kept(&inner);
        let outside = format!("../{NAME}");
        for name in [
            NAME,
            &outside,
            "",
            "..",
            "20261126T081929Z-",
            "20261126T081929Z-../x",
            "20261126T081929Z-a%2fb",
            "20261126T081929Z-a\0",
        ] {
            assert!(matches!(kept.read(name).await, Err(Fault::Nowhere(_))), "{name:?}");
            assert!(!kept.has_page(name).await);
        }
        let none = self::kept(&folder.path().join("none"));
        assert_eq!(none.list().await.unwrap(), (Vec::new(), 0));
    }
}
