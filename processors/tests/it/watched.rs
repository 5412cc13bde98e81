//! Frames of a finished clip, each found again in its frame of the source: where the camera really was.

use std::io::Read;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::made_talk::Area;

/// Decodes a file's frames one at a time, small.
pub struct Small {
    child: Child,
    pipe: ChildStdout,
    width: usize,
    bytes: usize,
}

impl Small {
    /// Opens `file` at the first frame after `from_s`, as brightness only.
    fn gray(file: &Path, from_s: f64, (width, height): (usize, usize)) -> Self {
        let filter = format!("scale={width}:{height}:flags=area");
        Self::open(file, from_s, &filter, "gray", (width, height), 1)
    }

    /// Opens `file` at the first frame after `from_s`, as red, green and blue; `filter` gives frames of this size.
    pub fn rgb(file: &Path, from_s: f64, filter: &str, (width, height): (usize, usize)) -> Self {
        Self::open(file, from_s, filter, "rgb24", (width, height), 3)
    }

    fn open(
        file: &Path,
        from_s: f64,
        filter: &str,
        format: &str,
        (width, height): (usize, usize),
        channels: usize,
    ) -> Self {
        let mut child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-ss", &from_s.to_string(), "-i"])
            .arg(file)
            .args(["-an", "-vf", filter, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", format, "-"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ffmpeg is installed");
        let pipe = child.stdout.take().expect("a pipe");
        Self { child, pipe, width, bytes: width * height * channels }
    }
}

impl Iterator for Small {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut pixels = vec![0; self.bytes];
        self.pipe.read_exact(&mut pixels).ok().map(|()| pixels)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whoever has seen enough does not wait for the rest.
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Where a clip's frame was found in its source's.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Left edge, as a share of the source's width.
    pub x: f64,
    /// How much the two differ there, in steps of brightness a pixel.
    pub differs: f64,
}

/// Height of the frames that are compared. The crop spans the source's height, so both have this one.
const HEIGHT: usize = 180;

/// Only each of so many rows is compared.
const ROWS: usize = 6;

/// Finds each frame of `clip`, which shows all of the source's height, in the source's frames after `from_s`.
pub fn find(clip: &Path, source: &Path, from_s: f64, clip_aspect: f64, source_aspect: f64) -> Vec<Found> {
    let width = |aspect: f64| (HEIGHT as f64 * aspect).round() as usize;
    let shown = Small::gray(clip, 0.0, (width(clip_aspect), HEIGHT));
    let whole = Small::gray(source, from_s, (width(source_aspect), HEIGHT));
    let (narrow, wide) = (shown.width, whole.width);
    shown.zip(whole).map(|(shown, whole)| search(&shown, narrow, &whole, wide)).collect()
}

fn search(shown: &[u8], narrow: usize, whole: &[u8], wide: usize) -> Found {
    let differs = |left: usize| {
        let rows = shown.chunks_exact(narrow).zip(whole.chunks_exact(wide)).step_by(ROWS);
        let row =
            |(a, b): (&[u8], &[u8])| -> u64 { a.iter().zip(&b[left..]).map(|(a, b)| u64::from(a.abs_diff(*b))).sum() };
        rows.map(row).sum::<u64>()
    };
    let all: Vec<u64> = (0..=wide - narrow).map(differs).collect();
    let best = (0..all.len()).min_by_key(|left| all[*left]).expect("the clip is no wider than the source");
    // Between pixels the difference rises evenly to both sides of the lowest point, as the arms of a V.
    let beside = |left: Option<&u64>| left.map_or(f64::INFINITY, |sum| *sum as f64);
    let (before, after) = (beside(best.checked_sub(1).and_then(|i| all.get(i))), beside(all.get(best + 1)));
    let lowest = all[best] as f64;
    let steepest = (before.min(1e18) - lowest).max(after.min(1e18) - lowest).max(1.0);
    let shift = if before.is_finite() && after.is_finite() { (before - after) / steepest / 2.0 } else { 0.0 };
    let compared = (HEIGHT.div_ceil(ROWS) * narrow) as f64;
    Found { x: (best as f64 + shift) / wide as f64, differs: lowest / compared }
}

impl Found {
    /// Returns what the clip shows of a source of `size`, whose height it shows whole.
    pub fn area(&self, size: (f64, f64), clip_aspect: f64) -> Area {
        Area { x: self.x * size.0, y: 0.0, width: size.1 * clip_aspect, height: size.1 }
    }
}
