//! How the clips are to be made, on the command line.

use std::time::Duration;

/// How the clips are to be made; the server has defaults for all of it.
#[derive(clap::Args, Clone, Debug)]
pub struct OptionArgs {
    /// Most clips a video (or, with --early, its ten-minute windows together), 1 to 20 [server's default: 3].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    clips: Option<u32>,
    /// Shortest clip, 3s to 3m, such as `10s` [server's default: 10s].
    #[arg(long, value_name = "DURATION", value_parser = parse_length)]
    min_clip: Option<Duration>,
    /// Longest clip, 3s to 3m, such as `30s` [server's default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = parse_length)]
    max_clip: Option<Duration>,
    /// Shape of the picture [server's default: 9:16].
    #[arg(long, value_parser = ["9:16", "1:1", "4:5", "16:9"])]
    aspect: Option<String>,
    /// Height of the picture in pixels, even, 240 to 2160 [server's default: 1280].
    #[arg(long, value_name = "PIXELS", value_parser = parse_height)]
    height: Option<u32>,
    /// What happens with the words: no captions, a WebVTT file, or drawn into the picture too [server's default: file].
    #[arg(long, value_parser = ["none", "file", "burn"])]
    captions: Option<String>,
    /// Plan each ten minutes of a longer video on their own, so that first clips come early.
    #[arg(long)]
    early: bool,
    /// Spoken language, ISO 639-1, or `auto` [server's default: en].
    #[arg(long, value_name = "CODE", value_parser = parse_language)]
    language: Option<String>,
    /// Ask for the priority lane; without a right to it the video goes to the lane of its length.
    #[arg(long)]
    priority: bool,
}

impl OptionArgs {
    /// Returns the options that were given, as the server names them.
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let seconds = |d: &Duration| d.as_secs_f64().to_string();
        let given = [
            ("clips", self.clips.map(|n| n.to_string())),
            ("min_clip_s", self.min_clip.as_ref().map(seconds)),
            ("max_clip_s", self.max_clip.as_ref().map(seconds)),
            ("aspect", self.aspect.clone()),
            ("height", self.height.map(|n| n.to_string())),
            ("captions", self.captions.clone()),
            ("early", self.early.then(|| "true".to_owned())),
            ("language", self.language.clone()),
            ("priority", self.priority.then(|| "true".to_owned())),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

// What the server would refuse as well, told before anything is uploaded.

fn parse_length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|e| e.to_string())?;
    let admitted = Duration::from_secs(3)..=Duration::from_secs(180);
    if admitted.contains(&length) { Ok(length) } else { Err("give 3s to 3m".to_owned()) }
}

fn parse_height(text: &str) -> Result<u32, String> {
    let height = text.parse::<u32>().ok().filter(|pixels| (240..=2160).contains(pixels) && pixels % 2 == 0);
    height.ok_or_else(|| "give an even number from 240 to 2160".to_owned())
}

fn parse_language(text: &str) -> Result<String, String> {
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_lowercase());
    if is_code || text == "auto" {
        Ok(text.to_owned())
    } else {
        Err("give two letters, such as en, or auto".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: OptionArgs,
    }

    #[test]
    fn nonsense_is_refused_before_anything_is_uploaded() {
        let is_taken = |flag: &str, value: &str| Line::try_parse_from(["x", flag, value]).is_ok();
        for (flag, good, bad) in [
            ("--clips", &["1", "20"][..], &["0", "21", "-1", "many"][..]),
            ("--height", &["240", "1280", "2160"], &["238", "721", "2162", "tall"]),
            ("--min-clip", &["3s", "3m"], &["2s", "181s", "10"]),
            ("--max-clip", &["30s"], &["1h"]),
            ("--language", &["en", "auto"], &["english", "EN", ""]),
        ] {
            assert!(good.iter().all(|value| is_taken(flag, value)), "{flag}");
            assert!(!bad.iter().any(|value| is_taken(flag, value)), "{flag}");
        }
    }
}
