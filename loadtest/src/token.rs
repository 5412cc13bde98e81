//! What a load test sends in the place of a video when the stages are emulated: a line that says how long the video would
//! be, then filler up to the size of an upload.

use bytes::Bytes;

/// What the line begins with.
const MARK: &str = "spillway-loadtest";
/// The longest line; the filler begins after it.
pub const TOKEN_BYTES: usize = 64;

/// What is said of a video.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Token {
    /// Its length, in seconds.
    pub length_s: f64,
}

impl Token {
    /// Returns an upload of `bytes` bytes, a line at least.
    pub fn upload(self, bytes: usize) -> Bytes {
        let mut body = format!("{MARK} {:.3}\n", self.length_s).into_bytes();
        body.resize(bytes.max(TOKEN_BYTES), b'.');
        body.into()
    }

    /// Reads an upload's first bytes.
    pub fn read(head: &[u8]) -> Option<Self> {
        let line = head.split(|byte| *byte == b'\n').next()?;
        let length = std::str::from_utf8(line).ok()?.strip_prefix(MARK)?.trim().parse::<f64>().ok()?;
        (length.is_finite() && length > 0.0).then_some(Self { length_s: length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_what_is_sent_and_nothing_else_is() {
        let sent = Token { length_s: 90.5 }.upload(1000);
        assert_eq!((sent.len(), Token::read(&sent[..TOKEN_BYTES])), (1000, Some(Token { length_s: 90.5 })));
        for other in [&b"\0\0\0\x18ftypmp42"[..], b"", b"spillway-loadtest x\n", b"spillway-loadtest -1\n"] {
            assert_eq!(Token::read(other), None);
        }
    }
}
