//! The shape of a URL that is admitted at the door. Where it leads is checked by whoever fetches it.

use url::Url;

/// The longest URL, in bytes.
const MAX_BYTES: usize = 2048;

/// Checks the shape of a URL given by a caller and returns it without its fragment.
///
/// # Errors
/// What it must be.
pub fn check(text: &str) -> Result<Url, &'static str> {
    if text.len() > MAX_BYTES {
        return Err("an http or https URL of at most 2048 bytes");
    }
    let mut url: Url = text.parse().map_err(|_| "an http or https URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL without user name and password");
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_pass() {
        for bad in ["", "talk.mp4", "file:///etc/passwd", "ftp://a/b", "concat:a|b", "http://", "http://me:pw@host/a"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("http://host/{}", "a".repeat(2048))).is_err());
        assert_eq!(check("https://host/a.mp4?x=1#t=3").map(String::from), Ok("https://host/a.mp4?x=1".to_owned()));
    }
}
