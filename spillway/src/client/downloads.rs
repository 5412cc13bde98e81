//! Saves the files of clips.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::api::Api;
use super::reply::ClipReply;

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

/// Saves the files of `clips` as `stem-1.mp4` and so on in `folder`, which is made if it is missing. Returns what was
/// saved, clip by clip, and why that is not all, if it is not.
pub async fn save_clips(
    api: &Api,
    clips: &[ClipReply],
    folder: &Path,
    stem: &str,
) -> (Vec<Saved>, Option<anyhow::Error>) {
    let mut all = Vec::new();
    let result = save_all(api, clips, folder, stem, &mut all).await;
    (all, result.err())
}

async fn save_all(
    api: &Api,
    clips: &[ClipReply],
    folder: &Path,
    stem: &str,
    all: &mut Vec<Saved>,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder).await.with_context(|| format!("make the folder {}", folder.display()))?;
    for (number, clip) in (1..).zip(clips) {
        let path = |extension: &str| folder.join(format!("{stem}-{number}.{extension}"));
        let mut saved = Saved::default();
        let result = async {
            saved.video = save(api, clip.links.video.as_deref(), path("mp4")).await?;
            saved.captions = save(api, clip.links.captions.as_deref(), path("vtt")).await?;
            saved.poster = save(api, clip.links.poster.as_deref(), path("jpg")).await?;
            anyhow::Ok(())
        };
        let result = result.await;
        all.push(saved);
        result?;
    }
    Ok(())
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
        while let Some(chunk) = api.next_bytes(&mut response).await? {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::reply::ClipLinksReply;

    fn clip(video: &str) -> ClipReply {
        let links = ClipLinksReply { video: Some(video.to_owned()), captions: None, poster: None };
        ClipReply { id: String::new(), start_s: 0.0, end_s: 1.0, score: 1.0, reasons: Vec::new(), links }
    }

    #[tokio::test]
    async fn what_was_saved_is_told_when_the_rest_was_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 1024];
                let length = socket.read(&mut request).await.expect("a request");
                let found = request[..length].starts_with(b"GET /good");
                let status = if found { "200 OK" } else { "404 Not Found" };
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
                socket.write_all(answer.as_bytes()).await.expect("writes");
            }
        });
        let api = Api::new(server.parse().expect("a URL"), None).expect("a client");
        let folder = tempfile::tempdir().expect("a folder");
        let (saved, error) = save_clips(&api, &[clip("/good"), clip("/bad")], folder.path(), "talk").await;
        let videos: Vec<_> = saved.into_iter().map(|saved| saved.video).collect();
        assert_eq!(videos, [Some(folder.path().join("talk-1.mp4")), None]);
        assert!(error.expect("an error").to_string().contains("talk-2.mp4"));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no part of a file stays");
        serving.abort();
    }
}
