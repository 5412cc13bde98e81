//! Fetching a speech model: resumed where it broke off, checked, and visible only when it is whole.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use url::Url;

use super::SpeechModel;

/// How long the other side may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a model could not be pulled. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error(
        "{url} cannot be reached ({cause}); connect this machine and pull again (what came so far is kept), or put the file at {} yourself",
        path.display()
    )]
    Offline {
        /// What was asked for.
        url: Url,
        /// Where the file belongs.
        path: PathBuf,
        /// What the connection said.
        cause: String,
    },
    /// The server has no such file, or refuses it.
    #[error("{url} answered {status}; check the address given with --from, or pull without it")]
    Refused {
        /// What was asked for.
        url: Url,
        /// What the server said.
        status: StatusCode,
    },
    /// The bytes are not the model.
    #[error(
        "{url} gave a file that is not the model ({what}); it was removed: pull again, from another place if this repeats"
    )]
    Wrong {
        /// What was asked for.
        url: Url,
        /// What differs.
        what: String,
    },
    /// Somebody else pulls the same model.
    #[error("another process is pulling this model; wait for it to end")]
    Busy,
    /// The file cannot be written.
    #[error("the model cannot be written to {}; free space there or check its permissions", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes there, those of an earlier try included.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Fetches `model` from below `origin` into `folder`, telling `progress` as it goes. Returns the file.
///
/// # Errors
/// See [`Error`].
pub async fn pull(
    model: &SpeechModel,
    origin: &Url,
    folder: &Path,
    mut progress: impl FnMut(Progress),
) -> Result<PathBuf, Error> {
    let path = folder.join(model.file);
    if model.installed(folder).is_some() {
        progress(Progress { done: model.bytes, total: model.bytes });
        return Ok(path);
    }
    let part = folder.join(format!("{}.part", model.file));
    let disk = |source| Error::Disk { path: part.clone(), source };
    std::fs::create_dir_all(folder).map_err(disk)?;
    let mut file = OpenOptions::new().create(true).append(true).open(&part).map_err(disk)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Busy),
        Err(TryLockError::Error(source)) => return Err(disk(source)),
    }
    let url = address(origin, model.file);
    if let Err(failure) = fetch(model, &url, &path, &mut file, &mut progress).await {
        if file.metadata().is_ok_and(|part| part.len() == 0) {
            std::fs::remove_file(&part).map_err(disk)?;
        }
        return Err(match failure {
            Fetch::Error(error) => error,
            Fetch::Disk(source) => disk(source),
        });
    }
    file.sync_all().map_err(disk)?;
    let checked = part.clone();
    let sum = tokio::task::spawn_blocking(move || sha256(&checked)).await.map_err(std::io::Error::other);
    let sum = sum.and_then(|sum| sum).map_err(disk)?;
    if sum != model.sha256 {
        std::fs::remove_file(&part).map_err(disk)?;
        return Err(Error::Wrong { url, what: format!("its sha256 is {sum}") });
    }
    std::fs::rename(&part, &path).map_err(disk)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk)?;
    Ok(path)
}

enum Fetch {
    Error(Error),
    Disk(std::io::Error),
}

impl From<std::io::Error> for Fetch {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Appends what is missing to `file`.
async fn fetch(
    model: &SpeechModel,
    url: &Url,
    path: &Path,
    file: &mut File,
    progress: &mut impl FnMut(Progress),
) -> Result<(), Fetch> {
    let offline = |error: reqwest::Error| {
        Fetch::Error(Error::Offline { url: url.clone(), path: path.to_owned(), cause: innermost(&error) })
    };
    let wrong = |what: String| Fetch::Error(Error::Wrong { url: url.clone(), what });
    let mut done = file.metadata()?.len();
    if done > model.bytes {
        file.set_len(0)?;
        done = 0;
    }
    if done == model.bytes {
        return Ok(());
    }
    let client = reqwest::Client::builder().connect_timeout(SILENCE).read_timeout(SILENCE).build().map_err(offline)?;
    let mut request = client.get(url.clone());
    if done > 0 {
        request = request.header(RANGE, format!("bytes={done}-"));
    }
    let response = request.send().await.map_err(offline)?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if begins_at(&response, done) => {}
        StatusCode::OK => {
            file.set_len(0)?;
            done = 0;
        }
        status => return Err(Fetch::Error(Error::Refused { url: url.clone(), status })),
    }
    let mut bytes = response.bytes_stream();
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(offline)?;
        done += chunk.len() as u64;
        if done > model.bytes {
            file.set_len(0)?;
            return Err(wrong(format!("it has more than {} bytes", model.bytes)));
        }
        file.write_all(&chunk)?;
        progress(Progress { done, total: model.bytes });
    }
    if done < model.bytes {
        file.set_len(0)?;
        return Err(wrong(format!("it has {done} bytes, not {}", model.bytes)));
    }
    Ok(())
}

fn begins_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

/// A base without a slash at its end would lose its last part.
fn address(origin: &Url, file: &str) -> Url {
    let mut url = origin.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(file);
    }
    url
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        sum.update(&buffer[..count]);
    }
}
