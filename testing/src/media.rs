//! Videos made with the `ffmpeg` and `espeak-ng` commands, once a process, in its own folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::folder::new_folder;

const SPEECH: &str = "What would you do with ten more hours every week? That is the question we asked two hundred \
    teams last year. Most of them gave the same answer. They would talk to the people who use what they build.";

/// Returns a talk of 14 seconds, three segments, 320x180, with two clips in it.
pub fn talk() -> &'static Path {
    static TALK: OnceLock<PathBuf> = OnceLock::new();
    TALK.get_or_init(|| {
        let voice = folder().join("voice.wav");
        run("espeak-ng", &["-v", "en-us", "-s", "150", "-w", &voice.to_string_lossy(), SPEECH]);
        let sound = format!("-i {}", voice.display());
        let picture = "-f lavfi -i testsrc2=s=320x180:r=25:d=14";
        make(&format!("{picture} {sound} -c:v libx264 -preset veryfast -g 50 -c:a aac -shortest"), "talk.mp4")
    })
}

/// Returns ten minutes of small picture and a tone: a hundred segments that are cheap to work on.
pub fn long() -> PathBuf {
    let picture = "-f lavfi -i testsrc2=s=160x90:r=10:d=600";
    let codecs = "-c:v libx264 -preset ultrafast -g 20 -c:a aac -b:a 32k";
    make(&format!("{picture} -f lavfi -i sine=f=300:d=600 {codecs}"), "long.mp4")
}

/// Makes the file `name` with the `ffmpeg` command; arguments are parted at spaces.
pub fn make(arguments: &str, name: &str) -> PathBuf {
    let path = folder().join(name);
    let target = path.to_string_lossy();
    let mut words = vec!["-v", "error", "-nostdin", "-y"];
    words.extend(arguments.split_whitespace());
    words.push(&target);
    run("ffmpeg", &words);
    path
}

/// Returns what `ffprobe` says of a file.
pub fn probe(path: &Path) -> Value {
    let path = path.to_string_lossy();
    let said = run("ffprobe", &["-v", "error", "-show_streams", "-show_format", "-of", "json", &path]);
    serde_json::from_slice(&said).expect("JSON")
}

/// Runs a program and returns what it prints.
#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let ran = Command::new(program).args(arguments).output();
    let ran = ran.unwrap_or_else(|error| panic!("{program} cannot be started, is it installed? {error}"));
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// Returns a folder of this run alone.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| new_folder("media").expect("a folder for media"))
}
