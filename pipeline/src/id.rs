//! Names of things. Every id derives from its input (UUIDv5), so that a replay produces the same ids and
//! overwrites instead of duplicating; only a new video has a random one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

/// The namespace under which every derived id is made; changing it would make replays duplicate.
const NAMESPACE: Uuid = Uuid::from_u128(0x7f4d_3f8e_52a1_5c0e_9b1d_2d61_5de1_9a70);

/// Names who owns a video: 1-64 of `a-z`, `0-9`, `-`, `_`. Part of every key, so tenants cannot see each other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Returns the tenant used while no keys are configured.
    pub fn default_tenant() -> Self {
        Self("default".into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether `text` is an id.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check(text: &str) -> Result<(), ParseError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
        let is_id = !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed);
        if is_id { Ok(()) } else { Err(ParseError { what: "tenant" }) }
    }
}

impl FromStr for TenantId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For whom a request is made, as an extension of it, by code of the same process: nothing that comes over a connection can
/// be one. The API then asks for no key. Who sets it has made sure that its own caller may ask for this tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnBehalfOf(pub TenantId);

/// Names a submitted video.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VideoId(Uuid);

impl VideoId {
    /// Makes a random id, for a video submitted without an idempotency key.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Derives the id of the video that `key` (an `Idempotency-Key`) names for `tenant`.
    pub fn from_idempotency_key(tenant: &TenantId, key: &str) -> Self {
        Self(derive(&["video", tenant.as_str(), key]))
    }

    /// Returns the 16 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// Names a clip: the same span of the same video always has the same id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClipId(Uuid);

impl ClipId {
    /// Derives the id of the clip of `video` that spans the given source times, in microseconds.
    pub fn derive(video: VideoId, start_us: i64, end_us: i64) -> Self {
        Self(derive(&["clip", &video.to_string(), &start_us.to_string(), &end_us.to_string()]))
    }
}

/// Names a unit of work: one input of one stage. The key of its claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(Uuid);

impl UnitId {
    /// Derives the id of the unit that is `stage` working on the input called `key` of `video`.
    pub fn derive(stage: &str, tenant: &TenantId, video: VideoId, key: &str) -> Self {
        Self(derive(&["unit", stage, tenant.as_str(), &video.to_string(), key]))
    }
}

/// Names something that happened; published twice, it is logged once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(Uuid);

impl EventId {
    /// Derives the id of what `parts` describe; the same parts always name the same event.
    pub fn derive(parts: &[&str]) -> Self {
        Self(derive(parts))
    }
}

/// A text that is not an id of the named kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what} id")]
pub struct ParseError {
    what: &'static str,
}

/// Hashes length-prefixed parts, so that `["ab", "c"]` and `["a", "bc"]` differ.
fn derive(parts: &[&str]) -> Uuid {
    let mut name = Vec::new();
    for part in parts {
        name.extend_from_slice(&(part.len() as u64).to_be_bytes());
        name.extend_from_slice(part.as_bytes());
    }
    Uuid::new_v5(&NAMESPACE, &name)
}

macro_rules! uuid_text {
    ($($type:ident $what:literal),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.parse().map(Self).map_err(|_| ParseError { what: $what })
            }
        }
    )*};
}

uuid_text!(VideoId "video", ClipId "clip", UnitId "unit", EventId "event");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_restricted_to_what_is_safe_in_a_key() {
        for bad in ["", "A", "a/b", "..", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad:?}");
        }
        assert_eq!("team-7_b".parse::<TenantId>().map(|t| t.to_string()), Ok("team-7_b".into()));
    }

    #[test]
    fn derived_ids_are_stable_and_unambiguous() {
        assert_ne!(derive(&["ab", "c"]), derive(&["a", "bc"]));
        let video: VideoId = "00000000-0000-0000-0000-000000000001".parse().expect("a uuid");
        assert_eq!(ClipId::derive(video, 1, 2), ClipId::derive(video, 1, 2));
        assert_eq!(ClipId::derive(video, 0, 15_000_000).to_string(), "85ebff51-66fd-5e11-bf71-3efb17dfc435");
    }
}
