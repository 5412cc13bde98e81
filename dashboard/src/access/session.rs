//! Keys, sessions and the token that every change must carry. Nobody keeps a session: what names it says what its owner may
//! do and until when, signed with what follows from their key. So whoever has the same keys takes it, another process and a
//! restarted one too, and with a new key all that the old one began are over.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use jiff::{SignedDuration, Timestamp};
use pipeline::secret::Secret;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::args::DashboardArgs;

/// How long a session lasts after it was begun.
pub const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(12);
/// The shortest key.
const SHORTEST_KEY: usize = 16;

/// What somebody may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See everything.
    Reader,
    /// Change things too.
    Operator,
}

impl Role {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
        }
    }
}

/// What is known of a key.
struct Key {
    role: Role,
    hash: [u8; 32],
    /// Signs the sessions that it begins: who has another key can make none of them.
    signs: hmac::Key,
}

/// Who may see and change what.
pub struct Access {
    keys: Vec<Key>,
    /// Signs the token of those who need no key.
    open: hmac::Key,
    /// Sessions that were ended here, without their signatures, until they would end by themselves.
    ended: Mutex<HashMap<String, Timestamp>>,
}

/// Somebody's session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// What they may do.
    pub role: Role,
    /// What their changes must carry.
    pub token: String,
}

/// What names a session, taken apart.
struct Name<'a> {
    /// All of it but the signature.
    said: &'a str,
    signature: &'a str,
    role: &'a str,
    until: Timestamp,
}

impl Access {
    /// Takes the keys in.
    ///
    /// # Errors
    /// When a file cannot be read, or a key is so short that it can be guessed.
    pub fn new(args: &DashboardArgs) -> Result<Self> {
        let found = [
            (Secret::find(args.operator_key.as_ref(), args.operator_key_file.as_deref())?, Role::Operator),
            (Secret::find(args.reader_key.as_ref(), args.reader_key_file.as_deref())?, Role::Reader),
        ];
        let mut keys = Vec::new();
        for (key, role) in found {
            let Some(key) = key else { continue };
            let long_enough = key.reveal().chars().count() >= SHORTEST_KEY;
            ensure!(long_enough, "the key of {}s needs at least {SHORTEST_KEY} characters", role.as_str());
            let hash = Sha256::digest(key.reveal()).into();
            keys.push(Key { role, hash, signs: hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes()) });
        }
        let open = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        Ok(Self { keys, open, ended: Mutex::default() })
    }

    /// Says whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns what the owner of `key` may do.
    pub fn role_of(&self, key: &str) -> Option<Role> {
        // Whoever times the comparison learns of hashes, from which no key follows.
        let hash: [u8; 32] = Sha256::digest(key.trim()).into();
        self.keys.iter().find(|known| known.hash == hash).map(|known| known.role)
    }

    /// Begins a session; returns what names it, or nothing if there is no key of `role`.
    pub fn begin(&self, role: Role, now: Timestamp) -> Option<String> {
        let key = self.keys.iter().find(|key| key.role == role)?;
        let until_s = (now + SESSION_LASTS).as_second();
        let said = format!("{}.{until_s}.{}", role.as_str(), hex(&rand::random::<[u8; 16]>()));
        let signature = sign(&key.signs, "session", &said);
        Some(format!("{said}.{signature}"))
    }

    /// Returns the session of this name, if somebody with a key began it and it is not over.
    pub fn session(&self, name: &str, now: Timestamp) -> Option<Session> {
        let name = Name::read(name)?;
        let key = self.keys.iter().find(|key| key.role.as_str() == name.role)?;
        let signature = sign(&key.signs, "session", name.said);
        if !is_same(&signature, name.signature) {
            return None;
        }
        let is_over = now >= name.until || self.ended().contains_key(name.said);
        (!is_over).then(|| Session { role: key.role, token: sign(&key.signs, "changes", name.said) })
    }

    /// Ends a session: this process takes it no more.
    pub fn end(&self, name: &str, now: Timestamp) {
        let Some(name) = self.session(name, now).and_then(|_| Name::read(name)) else { return };
        let mut ended = self.ended();
        ended.retain(|_, until| *until > now);
        ended.insert(name.said.to_owned(), name.until);
    }

    /// Returns the token that changes must carry where nobody needs a key.
    pub fn open_token(&self) -> String {
        sign(&self.open, "changes", "")
    }

    fn ended(&self) -> std::sync::MutexGuard<'_, HashMap<String, Timestamp>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Name<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (said, signature) = name.rsplit_once('.')?;
        let (role, rest) = said.split_once('.')?;
        let (until_s, _) = rest.split_once('.')?;
        Some(Self { said, signature, role, until: Timestamp::from_second(until_s.parse().ok()?).ok()? })
    }
}

/// Compares secrets; how long that takes tells nothing of where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn sign(key: &hmac::Key, what: &str, said: &str) -> String {
    hex(hmac::sign(key, format!("{what} {said}").as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: &str = "the key of an operator";
    const READER: &str = "the key of a reader";

    fn access(operator: &str, reader: &str) -> Access {
        let secret = |text: &str| text.parse().ok();
        let (operator_key, reader_key) = (secret(operator), secret(reader));
        let (operator_key_file, reader_key_file, slot_price, reports) = (None, None, None, None);
        let args = DashboardArgs { operator_key, operator_key_file, reader_key, reader_key_file, slot_price, reports };
        Access::new(&args).unwrap()
    }

    #[test]
    fn a_session_counts_wherever_the_keys_are_the_same_and_until_it_is_over() {
        let (here, there) = (access(OPERATOR, READER), access(OPERATOR, READER));
        let now = Timestamp::from_second(1_000_000).unwrap();
        for role in [Role::Operator, Role::Reader] {
            let name = here.begin(role, now).unwrap();
            let session = here.session(&name, now).unwrap();
            assert_eq!((session.role, Some(&session)), (role, there.session(&name, now).as_ref()));
            assert_ne!(session.token, here.session(&here.begin(role, now).unwrap(), now).unwrap().token);
            let last = now + SESSION_LASTS;
            assert!(here.session(&name, last - SignedDuration::from_secs(1)).is_some());
            assert_eq!(here.session(&name, last), None);
            here.end(&name, now);
            assert_eq!(here.session(&name, now), None);
        }
        let name = here.begin(Role::Operator, now).unwrap();
        assert_eq!(access("another key of operators", READER).session(&name, now), None, "the key was changed");
    }

    #[test]
    fn nobody_makes_a_session_without_the_key_that_begins_it() {
        let access = access(OPERATOR, READER);
        let now = Timestamp::from_second(1_000_000).unwrap();
        let name = access.begin(Role::Reader, now).unwrap();
        let (said, signature) = name.rsplit_once('.').unwrap();
        let later = said.replacen(&(now + SESSION_LASTS).as_second().to_string(), "99999999999", 1);
        assert_ne!(said, later);
        let forged = [
            name.replacen("reader", "operator", 1),
            format!("{later}.{signature}"),
            format!("{said}.{}", signature.to_uppercase()),
            format!("{said}."),
            "operator.99999999999.".to_owned(),
            String::new(),
        ];
        for forged in forged {
            assert_eq!(access.session(&forged, now), None, "{forged}");
        }
        assert_eq!(self::access(OPERATOR, READER).open_token().len(), 64);
    }
}
