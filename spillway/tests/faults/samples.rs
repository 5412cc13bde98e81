//! The videos that are submitted, and which clips an undisturbed run makes of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};
use testing::api::{Api, Clip, OPTIONS, VIDEO_LIMIT};
use testing::media;

/// Two seconds longer than the clips that are asked for, so that there is a choice.
const TINY_S: u32 = 6;
/// How clips of a tiny video are made.
const TINY_OPTIONS: &str = "clips=1&min_clip_s=3&max_clip_s=4&height=240";

/// A video and how its clips are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    /// Fourteen seconds of speech in three segments, two clips.
    Talk,
    /// Six seconds of a tone, as cheap to work on as can be, one clip; there are four that differ.
    Tiny(u8),
}

impl Sample {
    /// How many tiny ones there are.
    pub const TINY: u8 = 4;

    /// Returns its file.
    pub fn file(self) -> &'static Path {
        static TINY: LazyLock<Vec<PathBuf>> = LazyLock::new(|| (0..Sample::TINY).map(tiny).collect());
        match self {
            Self::Talk => media::talk(),
            Self::Tiny(number) => &TINY[usize::from(number)],
        }
    }

    /// Returns its file's bytes.
    pub fn bytes(self) -> Vec<u8> {
        std::fs::read(self.file()).expect("read a sample")
    }

    /// Returns how its clips are made, as the API takes it.
    pub fn options(self) -> &'static str {
        match self {
            Self::Talk => OPTIONS,
            Self::Tiny(_) => TINY_OPTIONS,
        }
    }
}

fn tiny(number: u8) -> PathBuf {
    let hz = 200 + 100 * u32::from(number);
    let hue = 60 * u32::from(number);
    let picture = format!("-f lavfi -i testsrc2=s=160x90:r=10:d={TINY_S} -vf hue=h={hue}");
    let sound = format!("-f lavfi -i sine=f={hz}:d={TINY_S}");
    let codecs = "-c:v libx264 -preset ultrafast -g 20 -c:a aac -b:a 32k";
    let (input, filter) = picture.split_once(" -vf ").expect("both");
    media::make(&format!("{input} {sound} -vf {filter} {codecs}"), &format!("tiny-{number}.mp4"))
}

/// What is the same of a clip whenever it is made: how it was planned, and the hashes of its files.
#[derive(Clone, PartialEq, Debug)]
pub struct Print {
    plan: Value,
    files: [String; 3],
}

impl Print {
    fn of(clip: Clip) -> Self {
        Self { plan: clip.plan, files: [&clip.video, &clip.captions, &clip.poster].map(|bytes| sha256(bytes)) }
    }
}

/// Returns what the clips of a video look like.
pub async fn prints(api: &Api, video: &str) -> Vec<Print> {
    api.clips(video).await.into_iter().map(Print::of).collect()
}

/// Returns the SHA-256 of `bytes` in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

static EXPECTED: Mutex<Vec<(Sample, Vec<Print>)>> = Mutex::new(Vec::new());

/// Returns the clips that an undisturbed run makes of `sample`.
///
/// # Panics
/// When none was made: [`learn`] must have been called.
pub fn expected(sample: Sample) -> Vec<Print> {
    known(sample).unwrap_or_else(|| panic!("no undisturbed run of {sample:?}"))
}

/// Makes an undisturbed run of each of `samples` unless there was one.
pub async fn learn(api: &Api, samples: &[Sample]) {
    let mut running = HashMap::new();
    for (index, sample) in samples.iter().enumerate().filter(|(_, sample)| known(**sample).is_none()) {
        running.insert(index, api.upload(sample.file(), sample.options()).await);
    }
    for (index, video) in running {
        api.ended(&video, VIDEO_LIMIT).await;
        api.done(&video).await;
        let made = prints(api, &video).await;
        assert!(!made.is_empty(), "no clip of {:?}", samples[index]);
        EXPECTED.lock().expect("not poisoned").push((samples[index], made));
    }
}

fn known(sample: Sample) -> Option<Vec<Print>> {
    let expected = EXPECTED.lock().expect("not poisoned");
    expected.iter().find(|(known, _)| *known == sample).map(|(_, made)| made.clone())
}
