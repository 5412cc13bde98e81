//! Turns words into captions: cues of at most two short lines, as a WebVTT file and as ASS to be drawn into the picture.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipeline::event::Word;

/// A pause this long between two words begins a new cue, in microseconds.
const PAUSE_US: i64 = 700_000;

/// The longest cue, in microseconds.
const LONGEST_US: i64 = 4_000_000;

/// A cue stays at least this long where nothing follows, in microseconds.
const SHORTEST_US: i64 = 700_000;

/// A cue stays this long after its last word where nothing follows, in microseconds.
const LINGER_US: i64 = 300_000;

/// Average width of a bold letter over the letter size, measured on English text in DejaVu Sans Bold.
const LETTER_WIDTH: f64 = 0.62;

/// Where fonts lie; what libass looks through by way of fontconfig.
const FONT_FOLDERS: [&str; 2] = ["/usr/share/fonts", "/usr/local/share/fonts"];

/// Text shown for a while. Times count from the clip's start, in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    start_us: i64,
    end_us: i64,
    lines: Vec<String>,
}

/// How captions fit into a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    width: u32,
    height: u32,
    letter_px: u32,
    line_letters: usize,
}

impl Layout {
    /// Fits large letters into a picture of the given size, in pixels.
    pub fn new(width: u32, height: u32) -> Self {
        let letter = (f64::from(width) / 11.0).min(f64::from(height) / 13.0).max(12.0);
        let line_letters = (f64::from(width) * 0.86 / (letter * LETTER_WIDTH)) as usize;
        Self { width, height, letter_px: letter as u32, line_letters: line_letters.clamp(8, 42) }
    }
}

/// Groups the words that are heard between `start_us` and `end_us` of the source into cues.
pub fn cues(words: &[Word], start_us: i64, end_us: i64, layout: &Layout) -> Vec<Cue> {
    let heard = words.iter().filter(|w| w.end_us > start_us && w.start_us < end_us && !clean(&w.text).is_empty());
    let mut groups: Vec<Vec<&Word>> = Vec::new();
    for word in heard {
        match groups.last_mut() {
            Some(group) if continues(group, word, layout) => group.push(word),
            _ => groups.push(vec![word]),
        }
    }
    let mut cues: Vec<Cue> = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let next_us = groups.get(index + 1).and_then(|g| g.first()).map_or(end_us, |w| w.start_us.min(end_us));
        let wished = (last.end_us + LINGER_US).max(first.start_us + SHORTEST_US);
        let (from, until) =
            (first.start_us.max(start_us), wished.min(next_us).max(first.start_us.max(start_us) + 1000));
        let texts: Vec<String> = group.iter().map(|w| clean(&w.text)).collect();
        cues.push(Cue { start_us: from - start_us, end_us: until - start_us, lines: lines(&texts) });
    }
    cues
}

/// Says whether `word` still fits into the cue that `group` makes.
fn continues(group: &[&Word], word: &Word, layout: &Layout) -> bool {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return false };
    let ended = last.text.trim_end().ends_with(['.', '!', '?', '…']);
    if ended || word.start_us - last.end_us > PAUSE_US || word.end_us - first.start_us > LONGEST_US {
        return false;
    }
    let texts: Vec<String> = group.iter().chain([&word]).map(|w| clean(&w.text)).collect();
    lines(&texts).iter().all(|line| line.chars().count() <= layout.line_letters)
}

/// Sets words in one line, or in two of nearly the same length when there are several.
fn lines(words: &[String]) -> Vec<String> {
    let one = words.join(" ");
    if one.chars().count() <= 12 || words.len() < 2 {
        return vec![one];
    }
    let longest = |at: &usize| {
        let length = |part: &[String]| part.iter().map(|w| w.chars().count() + 1).sum::<usize>();
        length(&words[..*at]).max(length(&words[*at..]))
    };
    let at = (1..words.len()).min_by_key(longest).unwrap_or(1);
    vec![words[..at].join(" "), words[at..].join(" ")]
}

/// Drops what is not text: line ends, control characters, surplus space.
fn clean(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes cues as WebVTT.
pub fn web_vtt(cues: &[Cue]) -> String {
    let mut text = String::from("WEBVTT\n");
    for (index, cue) in cues.iter().enumerate() {
        let _ = write!(text, "\n{}\n{} --> {}\n", index + 1, vtt_time(cue.start_us), vtt_time(cue.end_us));
        for line in &cue.lines {
            let safe = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(text, "{safe}");
        }
    }
    text
}

/// Writes cues as ASS for a picture of the size of `layout`, in letters of `font`.
pub fn ass(cues: &[Cue], layout: &Layout, font: &str) -> String {
    let Layout { width, height, letter_px, .. } = *layout;
    let outline = (letter_px / 14).max(2);
    let (side, bottom) = (width * 7 / 100, height * 20 / 100);
    let font = clean(font).replace(',', " ");
    let mut text = format!(
        "[Script Info]\nScriptType: v4.00+\nPlayResX: {width}\nPlayResY: {height}\nWrapStyle: 0\n\
         ScaledBorderAndShadow: yes\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, \
         SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, \
         Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n\
         Style: Words,{font},{letter_px},&H00FFFFFF,&H00FFFFFF,&H00101010,&H80000000,-1,0,0,0,100,100,0,0,1,\
         {outline},{shadow},2,{side},{side},{bottom},1\n\n[Events]\n\
         Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n",
        shadow = outline / 2
    );
    for cue in cues {
        let lines: Vec<String> = cue.lines.iter().map(|line| ass_text(line)).collect();
        let (from, until) = (ass_time(cue.start_us), ass_time(cue.end_us));
        let _ = writeln!(text, "Dialogue: 0,{from},{until},Words,,0,0,0,,{}", lines.join("\\N"));
    }
    text
}

/// Words come from a transcriber: braces and backslashes in them would be commands.
fn ass_text(line: &str) -> String {
    line.replace('\\', "\u{29f5}").replace('{', "(").replace('}', ")")
}

fn vtt_time(us: i64) -> String {
    let ms = (us + 500) / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

fn ass_time(us: i64) -> String {
    let cs = (us + 5000) / 10_000;
    format!("{}:{:02}:{:02}.{:02}", cs / 360_000, cs / 6000 % 60, cs / 100 % 60, cs % 100)
}

/// No font is installed, so captions cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[error("no font found in {0}; install one, for example the package fonts-dejavu-core, to burn captions in")]
pub struct NoFont(String);

/// Checks that there is a font: without one the renderer draws nothing and says nothing.
///
/// # Errors
/// [`NoFont`] names the folders looked through.
pub fn find_font(home: Option<&Path>) -> Result<(), NoFont> {
    let mut folders: Vec<PathBuf> = FONT_FOLDERS.iter().map(PathBuf::from).collect();
    folders.extend(home.map(|home| home.join(".local/share/fonts")));
    folders.extend(home.map(|home| home.join(".fonts")));
    if folders.iter().any(|folder| holds_font(folder, 4)) {
        return Ok(());
    }
    let shown: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
    Err(NoFont(shown.join(", ")))
}

fn holds_font(folder: &Path, depth: u32) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let font = path.extension().is_some_and(|e| ["ttf", "otf", "ttc"].iter().any(|x| e.eq_ignore_ascii_case(x)));
        font || (depth > 0 && path.is_dir() && holds_font(&path, depth - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[(&str, i64, i64)]) -> Vec<Word> {
        let word = |&(text, start_ms, end_ms): &(&str, i64, i64)| Word {
            start_us: start_ms * 1000,
            end_us: end_ms * 1000,
            text: text.to_owned(),
            confidence: 1.0,
        };
        texts.iter().map(word).collect()
    }

    #[test]
    fn words_are_grouped_by_sentence_pause_and_room() {
        let spoken = words(&[
            ("Before", 0, 900),
            ("We", 1000, 1200),
            ("begin.", 1200, 1500),
            ("Now", 1600, 1800),
            ("far", 3000, 3200),
            ("more", 3200, 3400),
            ("words", 3400, 3600),
            ("than", 3600, 3800),
            ("fit", 3800, 4000),
            ("into", 4000, 4200),
            ("two", 4200, 4400),
            ("lines", 4400, 4600),
            ("here", 4600, 4800),
        ]);
        let layout = Layout::new(720, 1280);
        let cues = cues(&spoken, 1_000_000, 5_000_000, &layout);
        let texts: Vec<String> = cues.iter().map(|c| c.lines.join("|")).collect();
        assert_eq!(texts, ["We begin.", "Now", "far more words|than fit into", "two lines|here"], "{layout:?}");
        assert!(cues.windows(2).all(|pair| pair[0].end_us <= pair[1].start_us && pair[0].start_us < pair[0].end_us));
        assert_eq!((cues[0].start_us, cues[3].end_us), (0, 4_000_000));
    }

    #[test]
    fn hostile_words_stay_text() {
        let spoken = words(&[("<b>&{\\p1}-->\n\nWEBVTT", 0, 500)]);
        let cues = cues(&spoken, 0, 1_000_000, &Layout::new(720, 1280));
        insta::assert_snapshot!(web_vtt(&cues), @r"
        WEBVTT

        1
        00:00:00.000 --> 00:00:00.800
        &lt;b&gt;&amp;{\p1}--&gt; WEBVTT
        ");
        let script = ass(&cues, &Layout::new(720, 1280), "DejaVu Sans");
        assert!(script.ends_with(",,0,0,0,,<b>&(⧵p1)--> WEBVTT\n"), "{script}");
        assert!(!script.contains('{'));
    }
}
