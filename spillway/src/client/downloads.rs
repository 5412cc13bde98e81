//! Saves the files of clips.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::api::{Api, ClipReply};

/// How often a file is tried.
const ATTEMPTS: u32 = 3;

/// Where a clip's files were saved.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Saved {
    /// The video.
    pub video: Option<PathBuf>,
    /// The captions.
    pub captions: Option<PathBuf>,
    /// A still picture.
    pub poster: Option<PathBuf>,
}

/// Saves the files of `clips` as `stem-1.mp4` and so on in `folder`, which is made if it is missing.
///
/// # Errors
/// When a file cannot be fetched or written.
pub async fn save_clips(api: &Api, clips: &[ClipReply], folder: &Path, stem: &str) -> anyhow::Result<Vec<Saved>> {
    fs::create_dir_all(folder).await.with_context(|| format!("make the folder {}", folder.display()))?;
    let mut all = Vec::new();
    for (number, clip) in (1..).zip(clips) {
        let path = |extension: &str| folder.join(format!("{stem}-{number}.{extension}"));
        all.push(Saved {
            video: save(api, clip.links.video.as_deref(), path("mp4")).await?,
            captions: save(api, clip.links.captions.as_deref(), path("vtt")).await?,
            poster: save(api, clip.links.poster.as_deref(), path("jpg")).await?,
        });
    }
    Ok(all)
}

async fn save(api: &Api, link: Option<&str>, path: PathBuf) -> anyhow::Result<Option<PathBuf>> {
    let Some(link) = link else { return Ok(None) };
    let mut attempt = 1;
    loop {
        match fetch(api, link, &path).await {
            Ok(()) => return Ok(Some(path)),
            Err(error) if attempt == ATTEMPTS => return Err(error.context(format!("save {}", path.display()))),
            Err(_) => attempt += 1,
        }
    }
}

/// Writes beside the final name first: what has that name is whole.
async fn fetch(api: &Api, link: &str, path: &Path) -> anyhow::Result<()> {
    let partial = path.with_added_extension("part");
    let mut response = api.file(link).await?;
    let mut file = fs::File::create(&partial).await?;
    let written = async {
        while let Some(chunk) = response.chunk().await? {
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        fs::rename(&partial, path).await?;
        anyhow::Ok(())
    };
    let result = written.await;
    if result.is_err() {
        drop(fs::remove_file(&partial).await);
    }
    result
}
