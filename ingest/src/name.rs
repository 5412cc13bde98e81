//! Names of files are hostile text: made harmless on entry, and safe for headers on the way out.

/// The longest name, in characters.
const MAX_CHARS: usize = 200;

/// Returns the last part of a path without what could mislead a terminal, a log or a page; may be empty.
pub fn tidy(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !c.is_control() && !is_direction(*c)).take(MAX_CHARS).collect();
    let plain = plain.trim();
    if plain.chars().all(|c| c == '.') { String::new() } else { plain.to_owned() }
}

/// Marks that turn the direction of text around and so hide a name's true end.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Decodes `%20` and the like in a URL's path.
pub fn percent_decoded(segment: &str) -> String {
    // A path has no form encoding, so a plus stays a plus.
    let guarded = segment.replace('+', "%2B").replace(['&', '='], "_");
    url::form_urlencoded::parse(guarded.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// Returns a stem of letters, digits, `-` and `_` that is safe in a header and on every file system.
pub fn stem(name: &str) -> String {
    const MAX_STEM: usize = 60;
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let safe: String = stem.chars().map(safe).take(MAX_STEM).collect();
    let safe = safe.trim_matches('_');
    if safe.is_empty() { "video".to_owned() } else { safe.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_control_characters_do_not_survive() {
        assert_eq!(tidy("../../etc/passwd"), "passwd");
        assert_eq!(tidy("C:\\videos\\talk.mp4"), "talk.mp4");
        assert_eq!(tidy("a\r\nSet-Cookie: x\u{202e}4pm.exe"), "aSet-Cookie: x4pm.exe");
        assert_eq!(tidy(".."), "");
        assert_eq!(tidy(&"x".repeat(999)).len(), 200);
    }

    #[test]
    fn stems_are_plain() {
        assert_eq!(stem("Über \"talk\".final.mp4"), "ber__talk__final");
        assert_eq!(stem("日本.mp4"), "video");
        assert_eq!(stem(""), "video");
    }

    #[test]
    fn url_segments_are_decoded() {
        assert_eq!(percent_decoded("a%20b+c.mp4"), "a b+c.mp4");
        assert_eq!(percent_decoded(""), "");
    }
}
