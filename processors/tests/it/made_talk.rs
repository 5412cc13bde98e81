//! The talk of `scripts/make-talk`, and what is known of it before anything looks: which picture lies where in each
//! frame.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use pipeline::event::Face;
use serde::Deserialize;
use sha2::{Digest, Sha256};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/make-talk");

/// Frames a second of the talk.
pub const RATE: f64 = 30.0;

/// Size of the talk's picture in pixels.
pub const SIZE: (f64, f64) = (1280.0, 720.0);

/// Returns the folder of the material; it is fetched when it is not there.
pub fn material() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| PathBuf::from(make_talk("--material").trim()))
}

/// Makes the talk, once for each version of the script.
pub fn talk() -> &'static Talk {
    static TALK: OnceLock<Talk> = OnceLock::new();
    TALK.get_or_init(|| {
        let script = std::fs::read(SCRIPT).expect("read the script");
        let version: String = Sha256::digest(script).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("talk-{version}.mp4"));
        make_talk(&file.display().to_string());
        let told = std::fs::read_to_string(file.with_extension("mp4.shots")).expect("the script tells of the shots");
        let shots = told.lines().map(|line| serde_json::from_str(line).expect("a shot")).collect();
        Talk { file, shots }
    })
}

fn make_talk(argument: &str) -> String {
    let made = Command::new("bash").args([SCRIPT, argument]).output().expect("bash is installed");
    let why = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "scripts/make-talk {argument}: {why}");
    String::from_utf8(made.stdout).expect("text")
}

/// The file and its shots in order.
pub struct Talk {
    pub file: PathBuf,
    shots: Vec<Shot>,
}

/// One shot: a picture that lies somewhere.
#[derive(Deserialize)]
pub struct Shot {
    pub name: String,
    seconds: f64,
    /// Name of the picture among the material.
    pub picture: String,
    scale: f64,
    from_s: f64,
    mirrored: bool,
    x: [f64; 2],
    y: [f64; 2],
    moves_s: f64,
    /// Cuts that the picture itself has, in seconds after the shot's start.
    cuts_s: Vec<f64>,
}

/// Where a picture lies in one frame of the talk.
pub struct Lies<'a> {
    pub shot: &'a Shot,
    /// Which frame of the picture, from the first one shown of it.
    pub frame: usize,
    corner: (f64, f64),
}

/// A rectangle in pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Talk {
    /// Returns what is shown in frame `index`; nothing after the last.
    pub fn at(&self, index: usize) -> Option<Lies<'_>> {
        let mut first = 0;
        for shot in &self.shots {
            let frames = (shot.seconds * RATE).ceil() as usize;
            if index < first + frames {
                let inside_s = (index - first) as f64 / RATE;
                let along = (inside_s / shot.moves_s).min(1.0);
                let place = |[from, to]: [f64; 2]| from + (to - from) * along;
                let frame = index - first + (shot.from_s * RATE).round() as usize;
                return Some(Lies { shot, frame, corner: (place(shot.x), place(shot.y)) });
            }
            first += frames;
        }
        None
    }

    /// Returns the first frame after each cut.
    pub fn cuts(&self) -> Vec<usize> {
        let mut cuts = Vec::new();
        let mut first = 0;
        for shot in &self.shots {
            cuts.push(first);
            cuts.extend(shot.cuts_s.iter().map(|at| first + (at * RATE).round() as usize));
            first += (shot.seconds * RATE).ceil() as usize;
        }
        cuts.remove(0);
        cuts
    }
}

impl Lies<'_> {
    /// Says where a part of the picture, `width` pixels wide, lies in the frame.
    pub fn place(&self, part: Area, width: f64) -> Area {
        let scale = self.shot.scale;
        let left = if self.shot.mirrored { width - part.x - part.width } else { part.x };
        let (x, y) = (self.corner.0 + left * scale, self.corner.1 + part.y * scale);
        Area { x, y, width: part.width * scale, height: part.height * scale }.inside()
    }
}

impl From<&Face> for Area {
    fn from(face: &Face) -> Self {
        let [x, y, width, height] = [face.x, face.y, face.width, face.height].map(f64::from);
        Self { x, y, width, height }
    }
}

impl Area {
    /// Returns the part that the frame shows.
    fn inside(self) -> Self {
        let (left, right) = (self.x.clamp(0.0, SIZE.0), (self.x + self.width).clamp(0.0, SIZE.0));
        let (top, bottom) = (self.y.clamp(0.0, SIZE.1), (self.y + self.height).clamp(0.0, SIZE.1));
        Self { x: left, y: top, width: right - left, height: bottom - top }
    }

    /// Says whether all of `other` is inside, but for `rim` pixels.
    pub fn holds(&self, other: &Self, rim: f64) -> bool {
        let across = self.x - rim <= other.x && other.x + other.width <= self.x + self.width + rim;
        across && self.y - rim <= other.y && other.y + other.height <= self.y + self.height + rim
    }

    /// Returns the share of the union that both cover.
    pub fn overlap(&self, other: &Self) -> f64 {
        let across = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let down = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let shared = across.max(0.0) * down.max(0.0);
        shared / (self.width * self.height + other.width * other.height - shared)
    }
}
