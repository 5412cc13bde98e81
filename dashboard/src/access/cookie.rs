//! The cookie that names a session: what a browser is given at the door, and shows with each request.

use axum::http::{HeaderMap, header};

/// The cookie that holds what names a session.
const COOKIE: &str = "spillway_session";

/// Returns what names the session of a request.
pub(super) fn read(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Writes it, for `session` and so many `seconds`: sent along when a link is followed, but not with what other sites send, and
/// over TLS alone where the browser came over it.
pub(super) fn make(headers: &HeaderMap, session: &str, seconds: i64) -> String {
    let over_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let secure = if over_tls { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; spillway_session=abc; c=d"));
        assert_eq!(read(&headers).as_deref(), Some("abc"));
        assert_eq!(read(&HeaderMap::new()), None);
    }
}
