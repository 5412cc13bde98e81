//! What is sent: lines that stand for videos when the stages are emulated, else real videos, given or made.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use planning::plan::lengths::Lengths;
use tokio::process::Command;

use crate::token::Token;

/// The contents of uploads, one a kind.
#[derive(Clone, Debug)]
pub struct Material {
    /// The bytes of each kind. Cheap to clone.
    pub bodies: Vec<Bytes>,
    /// How often each kind is sent beside the others.
    pub weights: Vec<f64>,
    /// What it is, in words.
    pub words: String,
}

impl Material {
    /// Makes uploads of `bytes` bytes that say how long the video would be.
    pub fn tokens(lengths: &Lengths, bytes: usize) -> Self {
        let body = |(length, _): &(Duration, f64)| Token { length_s: length.as_secs_f64() }.upload(bytes);
        Self {
            bodies: lengths.0.iter().map(body).collect(),
            weights: lengths.0.iter().map(|(_, weight)| *weight).collect(),
            words: format!("uploads of {} KiB that stand for videos of {lengths}", bytes / 1024),
        }
    }

    /// Reads videos.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn files(files: &[PathBuf]) -> Result<Self> {
        let body = |file: &PathBuf| {
            let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
            anyhow::ensure!(!bytes.is_empty(), "{} is empty", file.display());
            Ok(Bytes::from(bytes))
        };
        let bodies = files.iter().map(body).collect::<Result<Vec<_>>>()?;
        let words = format!("{} videos, {:.1} MiB on average", bodies.len(), mean_mib(&bodies));
        Ok(Self { weights: vec![1.0; bodies.len()], bodies, words })
    }

    /// Makes test pictures with a tone by the `ffmpeg` command, in `folder`.
    ///
    /// # Errors
    /// When the command is missing or fails.
    pub async fn made(lengths: &Lengths, folder: &Path) -> Result<Self> {
        let mut bodies = Vec::new();
        for (number, (length, _)) in lengths.0.iter().enumerate() {
            let file = folder.join(format!("made-{number}.mp4"));
            make(*length, number, &file).await?;
            bodies.push(Bytes::from(std::fs::read(&file).context("read a video that was made")?));
        }
        let words = format!("test pictures with a tone, of {lengths}, {:.1} MiB on average", mean_mib(&bodies));
        Ok(Self { bodies, weights: lengths.0.iter().map(|(_, weight)| *weight).collect(), words })
    }
}

async fn make(length: Duration, number: usize, file: &Path) -> Result<()> {
    let seconds = length.as_secs_f64();
    let picture = format!("testsrc2=s=320x180:r=25:d={seconds}");
    let sound = format!("sine=f={}:d={seconds}", 220 * (number + 1));
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac", "-b:a", "32k"]).arg(file);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ran = command.output().await.context("start ffmpeg, or give videos with --video: is it installed?")?;
    if !ran.status.success() {
        bail!("ffmpeg made no video: {}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    Ok(())
}

fn mean_mib(bodies: &[Bytes]) -> f64 {
    let bytes: usize = bodies.iter().map(Bytes::len).sum();
    bytes as f64 / f64::from(1 << 20) / bodies.len().max(1) as f64
}
