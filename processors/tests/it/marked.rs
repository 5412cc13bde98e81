//! Videos whose frames say which they are and where each pixel came from, and whose sound clicks at known frames.
//!
//! Twelve bands from top to bottom show the bits of the frame's number in luma; chroma tells the place: U grows from
//! left to right, V from top to bottom.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::f32::consts::TAU;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use pipeline::event::MediaInfo;
use pipeline::outbox::Pulse;
use processors::media::probe::{self, Limits};
use tokio_util::sync::CancellationToken;

/// Bands, one a bit.
const BANDS: u32 = 12;

/// A click sounds at the start of every tenth frame.
pub const CLICK_EVERY: u32 = 10;

/// What to generate.
pub struct Marked<'a> {
    pub width: u32,
    pub height: u32,
    pub rate: (u32, u32),
    pub frames: u32,
    /// Arguments between the inputs and the output file.
    pub encode: &'a [&'a str],
    /// Ends in the container's usual suffix.
    pub name: &'a str,
    pub sound: bool,
}

impl Default for Marked<'_> {
    fn default() -> Self {
        Self {
            width: 640,
            height: 360,
            rate: (30, 1),
            frames: 150,
            encode: &["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-g", "48", "-c:a", "aac"],
            name: "source.mp4",
            sound: true,
        }
    }
}

impl Marked<'_> {
    /// Makes the video in `folder`.
    pub fn make(&self, folder: &Path) -> PathBuf {
        let path = folder.join(self.name);
        let wave = folder.join("clicks.wav");
        let size = format!("{}x{}", self.width, self.height);
        let rate = format!("{}/{}", self.rate.0, self.rate.1);
        let mut command = Command::new("ffmpeg");
        // SVT-AV1 writes to the terminal whatever FFmpeg is told.
        command.env("SVT_LOG", "1");
        command
            .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &size, "-r", &rate, "-i", "-"]);
        if self.sound {
            fs::write(&wave, self.clicks()).unwrap();
            command.arg("-i").arg(&wave);
        }
        let mut child = command.args(self.encode).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        for index in 0..self.frames {
            pipe.write_all(&self.frame(index)).unwrap();
        }
        drop(pipe);
        assert!(child.wait().unwrap().success());
        path
    }

    fn frame(&self, index: u32) -> Vec<u8> {
        let (w, h) = (self.width as usize, self.height as usize);
        let mut bytes = Vec::with_capacity(w * h * 3 / 2);
        for y in 0..h {
            let band = y * BANDS as usize / h;
            bytes.extend(std::iter::repeat_n(if index >> band & 1 == 1 { 200 } else { 60 }, w));
        }
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        for _ in 0..half_h {
            bytes.extend((0..half_w).map(|x| (60 + x * 140 / half_w) as u8));
        }
        for y in 0..half_h {
            bytes.extend(std::iter::repeat_n((60 + y * 140 / half_h) as u8, half_w));
        }
        bytes
    }

    /// A wave file, 48 kHz mono, 6 ms of 2 kHz at every click.
    fn clicks(&self) -> Vec<u8> {
        let frame_s = f64::from(self.rate.1) / f64::from(self.rate.0);
        let total = (f64::from(self.frames) * frame_s * 48_000.0) as usize;
        let mut samples = vec![0_i16; total];
        for index in (0..self.frames).step_by(CLICK_EVERY as usize) {
            let from = (f64::from(index) * frame_s * 48_000.0).round() as usize;
            for offset in 0..288.min(total - from) {
                samples[from + offset] = ((offset as f32 * TAU * 2000.0 / 48_000.0).cos() * 20_000.0) as i16;
            }
        }
        wave(&samples)
    }
}

/// Wraps samples (48 kHz, mono) in a wave file.
fn wave(samples: &[i16]) -> Vec<u8> {
    let length = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16_u32.to_le_bytes());
    bytes.extend([1_u16, 1].iter().flat_map(|v| v.to_le_bytes()));
    bytes.extend([48_000_u32, 96_000].iter().flat_map(|v| v.to_le_bytes()));
    bytes.extend([2_u16, 16].iter().flat_map(|v| v.to_le_bytes()));
    bytes.extend(b"data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
    bytes
}

/// Runs a program and returns what it printed.
#[track_caller]
pub fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Asks ffprobe for one value of a stream (`v:0`, `a:0`), or of the container when the stream is empty.
#[track_caller]
pub fn ffprobe(file: &Path, stream: &str, entry: &str) -> String {
    let file = file.to_str().unwrap();
    let mut arguments = vec!["-v", "error", "-show_entries", entry, "-of", "default=nw=1:nk=1"];
    if !stream.is_empty() {
        arguments.extend(["-select_streams", stream]);
    }
    arguments.push(file);
    String::from_utf8(output("ffprobe", &arguments)).unwrap().trim().to_owned()
}

/// The source times of all frames in the order they are shown, in microseconds, and the first one's container time.
pub fn frame_times(file: &Path) -> (Vec<i64>, i64) {
    let text = ffprobe(file, "v:0", "frame=best_effort_timestamp_time");
    let mut times: Vec<i64> =
        text.lines().filter_map(|l| l.parse::<f64>().ok()).map(|s| (s * 1e6).round() as i64).collect();
    times.sort_unstable();
    let origin = times[0];
    (times.iter().map(|t| t - origin).collect(), origin)
}

/// Measures a file as `fetch` does.
#[track_caller]
pub fn media_info(file: &Path) -> MediaInfo {
    let limits = Limits { duration: Duration::from_secs(3600), frame_rate: 120.0 };
    let bytes = fs::metadata(file).unwrap().len();
    let pulse = Pulse::new(CancellationToken::new());
    probe::probe(File::open(file).unwrap(), bytes, &limits, &pulse).unwrap()
}

/// A decoded picture, 8 bit 4:2:0.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    bytes: Vec<u8>,
}

impl Picture {
    /// Luma at a place given in shares of the picture.
    pub fn luma(&self, x: f64, y: f64) -> u8 {
        let at = |share: f64, length: usize| ((share * length as f64) as usize).min(length - 1);
        self.bytes[at(y, self.height) * self.width + at(x, self.width)]
    }

    /// The frame number its bands show, when all of the source's height is visible between `top` and `bottom` (shares).
    pub fn number(&self, top: f64, bottom: f64) -> u32 {
        (0..BANDS)
            .map(|band| top + (f64::from(band) + 0.5) / f64::from(BANDS) * (bottom - top))
            .enumerate()
            .map(|(bit, y)| u32::from(self.luma(0.5, y) > 130) << bit)
            .sum()
    }

    /// Mean of U and V over a strip (x and y in shares), turned back into shares of the source.
    pub fn place(&self, x: (f64, f64), y: (f64, f64)) -> (f64, f64) {
        let (w, h) = (self.width / 2, self.height / 2);
        let (columns, rows) = (range(x, w), range(y, h));
        let mean = |plane: usize| {
            let base = self.width * self.height + plane * w * h;
            let sum: f64 = rows
                .clone()
                .flat_map(|r| columns.clone().map(move |c| (r, c)))
                .map(|(r, c)| f64::from(self.bytes[base + r * w + c]))
                .sum();
            sum / (rows.len() * columns.len()) as f64
        };
        ((mean(0) - 59.5) / 140.0, (mean(1) - 59.5) / 140.0)
    }

    /// Whether white letters or their dark outlines are in a region (shares): brighter or darker than any band.
    pub fn extremes(&self, x: (f64, f64), y: (f64, f64)) -> (bool, bool) {
        let columns = range(x, self.width);
        let mut points = range(y, self.height).flat_map(|r| self.bytes[r * self.width..][columns.clone()].iter());
        (points.clone().any(|p| *p > 225), points.any(|p| *p < 35))
    }

    /// Mean difference in luma between a line and the next: none where all lies upright, much where two moments are
    /// woven into one frame.
    pub fn combing(&self) -> f64 {
        let lines: Vec<&[u8]> = self.bytes[..self.width * self.height].chunks_exact(self.width).collect();
        let apart = |pair: &[&[u8]]| pair[0].iter().zip(pair[1]).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>();
        lines.windows(2).map(apart).sum::<f64>() / ((self.height - 1) * self.width) as f64
    }

    /// Mean luma over a region (shares).
    pub fn mean(&self, x: (f64, f64), y: (f64, f64)) -> f64 {
        let (columns, rows) = (range(x, self.width), range(y, self.height));
        let sum: f64 =
            rows.clone().map(|r| columns.clone().map(|c| f64::from(self.bytes[r * self.width + c])).sum::<f64>()).sum();
        sum / (rows.len() * columns.len()) as f64
    }
}

fn range(share: (f64, f64), length: usize) -> std::ops::Range<usize> {
    let from = (share.0 * length as f64) as usize;
    from..((share.1 * length as f64) as usize).clamp(from + 1, length)
}

/// Decodes every frame of a clip.
pub fn pictures(file: &Path) -> Vec<Picture> {
    let number = |entry: &str| ffprobe(file, "v:0", entry).parse::<usize>().unwrap();
    let (width, height) = (number("stream=width"), number("stream=height"));
    let raw = output(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            file.to_str().unwrap(),
            "-map",
            "0:v:0",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ],
    );
    raw.chunks_exact(width * height * 3 / 2).map(|bytes| Picture { width, height, bytes: bytes.to_vec() }).collect()
}

/// Decodes a clip's sound: the left channel at 48 kHz.
pub fn samples(file: &Path) -> Vec<f32> {
    let raw = output(
        "ffmpeg",
        &["-v", "error", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-f", "f32le", "-ar", "48000", "-"],
    );
    raw.chunks_exact(8).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The times at which clicks begin, in seconds.
pub fn click_times(samples: &[f32]) -> Vec<f64> {
    let mut times = Vec::new();
    let mut quiet_until = 0;
    for (index, sample) in samples.iter().enumerate() {
        if sample.abs() > 0.2 {
            if index >= quiet_until {
                times.push(index as f64 / 48_000.0);
            }
            quiet_until = index + 2400;
        }
    }
    times
}

/// Decodes a source's sound mixed to one channel at 48 kHz.
pub fn samples_mono(file: &Path) -> Vec<f32> {
    let raw = output(
        "ffmpeg",
        &["-v", "error", "-i", file.to_str().unwrap(), "-map", "0:a:0", "-f", "f32le", "-ar", "48000", "-ac", "1", "-"],
    );
    raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// Checks that every click lies within 20 ms of a frame that clicks, and that every such frame of `shown`, at `rate`
/// frames a second, has one; returns how many.
#[track_caller]
pub fn check_clicks(file: &Path, rate: f64, shown: &[u32]) -> usize {
    let length = shown.len() as f64 / rate;
    // Clicks at the very ends are faded.
    let inside = |t: &&f64| **t > 0.03 && **t < length - 0.06;
    let heard = click_times(&samples(file));
    let clicks =
        |slot: &usize| shown[*slot].is_multiple_of(CLICK_EVERY) && (*slot == 0 || shown[*slot - 1] != shown[*slot]);
    let due: Vec<f64> = (0..shown.len()).filter(clicks).map(|slot| slot as f64 / rate).collect();
    let apart = |all: &[f64], t: f64| all.iter().map(|other| (other - t).abs()).fold(f64::INFINITY, f64::min);
    let of_due = due.iter().filter(inside).map(|t| apart(&heard, *t));
    let worst = of_due.chain(heard.iter().filter(inside).map(|t| apart(&due, *t))).fold(0.0, f64::max);
    let count = due.iter().filter(inside).count();
    println!("{count} clicks, at most {:.1} ms from their pictures", worst * 1e3);
    assert!(worst < 0.02, "heard {heard:?}, due {due:?}");
    count
}
