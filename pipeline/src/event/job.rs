//! Whose work a message is, and what was asked for.

use std::time::Duration;

use crate::id::{ParseError, TenantId, VideoId};
use crate::lane::Lane;

/// Whose work a message is; the first field of every message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Job {
    #[prost(string, tag = "1")]
    tenant: String,
    #[prost(string, tag = "2")]
    video: String,
    #[prost(enumeration = "Lane", tag = "3")]
    lane: i32,
    /// What was asked for.
    #[prost(message, required, tag = "4")]
    pub options: Options,
    /// It was accepted while the service was degraded: optional work is left out, whoever comes to it.
    #[prost(bool, tag = "5")]
    pub degraded: bool,
    /// How many lanes lower than its length says it goes, because its tenant had more than its share unfinished.
    #[prost(uint32, tag = "6")]
    pub lanes_lower: u32,
}

impl Job {
    /// Makes the job of `video`.
    pub fn new(tenant: &TenantId, video: VideoId, lane: Lane, options: Options) -> Self {
        let (tenant, video) = (tenant.to_string(), video.to_string());
        Self { tenant, video, lane: lane as i32, options, degraded: false, lanes_lower: 0 }
    }

    /// Returns the owner. Messages are checked when read, so this cannot fail.
    pub fn tenant(&self) -> TenantId {
        self.tenant.parse().expect("checked when the message was read")
    }

    /// Returns the video. Messages are checked when read, so this cannot fail.
    pub fn video(&self) -> VideoId {
        self.video.parse().expect("checked when the message was read")
    }

    /// Returns the same job in another lane.
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { lane: lane as i32, ..self.clone() }
    }

    /// Checks the ids inside.
    pub(super) fn check(&self) -> Result<(), ParseError> {
        TenantId::check(&self.tenant)?;
        self.video.parse::<VideoId>()?;
        Ok(())
    }
}

/// The shape of the clips.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Aspect {
    /// 9:16.
    Vertical = 0,
    /// 1:1.
    Square = 1,
    /// 4:5.
    Portrait = 2,
    /// 16:9.
    Wide = 3,
}

impl Aspect {
    /// Returns width and height as small whole numbers.
    pub const fn ratio(self) -> (u32, u32) {
        match self {
            Self::Vertical => (9, 16),
            Self::Square => (1, 1),
            Self::Portrait => (4, 5),
            Self::Wide => (16, 9),
        }
    }

    /// Returns the name used in the API: `9:16`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vertical => "9:16",
            Self::Square => "1:1",
            Self::Portrait => "4:5",
            Self::Wide => "16:9",
        }
    }

    /// Finds the aspect called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Vertical, Self::Square, Self::Portrait, Self::Wide].into_iter().find(|a| a.as_str() == name)
    }
}

/// What happens with the words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Captions {
    /// No captions.
    None = 0,
    /// A WebVTT file beside the clip.
    File = 1,
    /// Drawn into the picture, and the file.
    Burn = 2,
}

impl Captions {
    /// Returns the name used in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::File => "file",
            Self::Burn => "burn",
        }
    }

    /// Finds the kind called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::File, Self::Burn].into_iter().find(|c| c.as_str() == name)
    }
}

/// What the user asked for; [`Options::default`] is what is made when nothing is said.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Options {
    /// How many clips at the most, 1-20.
    #[prost(uint32, tag = "1", default = "3")]
    pub clips: u32,
    /// The shortest clip, in milliseconds.
    #[prost(uint32, tag = "2", default = "10000")]
    pub min_clip_ms: u32,
    /// The longest clip, in milliseconds.
    #[prost(uint32, tag = "3", default = "30000")]
    pub max_clip_ms: u32,
    /// The shape.
    #[prost(enumeration = "Aspect", tag = "4")]
    pub aspect: i32,
    /// The height of the picture, in pixels, even.
    #[prost(uint32, tag = "5", default = "1280")]
    pub height: u32,
    /// What happens with the words.
    #[prost(enumeration = "Captions", tag = "6", default = "File")]
    pub captions: i32,
    /// Plan each ten minutes on their own, so that first clips come early.
    #[prost(bool, tag = "7")]
    pub early: bool,
    /// The spoken language, ISO 639-1, or `auto`.
    #[prost(string, tag = "8", default = "en")]
    pub language: String,
    /// Asks for the priority lane, for tenants with a right to it.
    #[prost(bool, tag = "9")]
    pub priority: bool,
    /// Where to tell that the video ended.
    #[prost(string, optional, tag = "10")]
    pub callback_url: Option<String>,
}

impl Options {
    /// Checks ranges and combinations; to be called once where options enter.
    ///
    /// # Errors
    /// Names the option that is wrong and what it may be.
    pub fn check(&self) -> Result<(), OptionsError> {
        let bad = |option, expected| Err(OptionsError { option, expected });
        if !(1..=20).contains(&self.clips) {
            return bad("clips", "a whole number from 1 to 20");
        }
        if !(3_000..=180_000).contains(&self.min_clip_ms) {
            return bad("min_clip_s", "3 to 180 seconds");
        }
        if !(self.min_clip_ms..=180_000).contains(&self.max_clip_ms) {
            return bad("max_clip_s", "at least min_clip_s, at most 180 seconds");
        }
        if !(240..=2160).contains(&self.height) || self.height % 2 == 1 {
            return bad("height", "an even number of pixels from 240 to 2160");
        }
        let letters = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase());
        if self.language != "auto" && !(self.language.len() == 2 && letters(&self.language)) {
            return bad("language", "a two-letter code such as en, or auto");
        }
        Ok(())
    }

    /// Returns the shortest clip.
    pub fn min_clip(&self) -> Duration {
        Duration::from_millis(self.min_clip_ms.into())
    }

    /// Returns the longest clip.
    pub fn max_clip(&self) -> Duration {
        Duration::from_millis(self.max_clip_ms.into())
    }

    /// Returns width and height of the clips in pixels, both even.
    pub fn frame_size(&self) -> (u32, u32) {
        let (wide, high) = self.aspect().ratio();
        let width = (u64::from(self.height) * u64::from(wide) / u64::from(high)) as u32;
        (width + width % 2, self.height)
    }
}

/// An option outside what is admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} must be {expected}")]
pub struct OptionsError {
    /// The option's name in the API.
    pub option: &'static str,
    /// What it may be.
    pub expected: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn defaults_are_admitted_and_survive_the_wire() {
        let options = Options::default();
        assert_eq!(options.check(), Ok(()));
        assert_eq!((options.clips, options.captions(), options.frame_size()), (3, Captions::File, (720, 1280)));
        assert_eq!(Options::decode(&*options.encode_to_vec()).as_ref(), Ok(&options));
    }

    #[test]
    fn frame_sizes_are_even() {
        for height in (240..=2160).step_by(2) {
            for aspect in [Aspect::Vertical, Aspect::Square, Aspect::Portrait, Aspect::Wide] {
                let (w, h) = Options { height, aspect: aspect as i32, ..Options::default() }.frame_size();
                assert!(w % 2 == 0 && h % 2 == 0 && w > 0);
            }
        }
    }
}
