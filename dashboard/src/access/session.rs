//! Keys, sessions and the token that every change must carry.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use pipeline::secret::Secret;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::args::DashboardArgs;

/// How long a session lasts after it was begun.
pub const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// The most sessions there are at once; the oldest give way.
const MOST_SESSIONS: usize = 10_000;
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

type Hash = [u8; 32];

/// Who may see and change what.
pub struct Access {
    keys: Vec<(Hash, Role)>,
    /// What tokens against forged requests are made of.
    secret: [u8; 32],
    sessions: Mutex<HashMap<String, (Role, Instant)>>,
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
            keys.push((Sha256::digest(key.reveal()).into(), role));
        }
        Ok(Self { keys, secret: rand::random(), sessions: Mutex::default() })
    }

    /// Says whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns what the owner of `key` may do.
    pub fn role_of(&self, key: &str) -> Option<Role> {
        // Whoever times the comparison learns of hashes, from which no key follows.
        let hash: Hash = Sha256::digest(key.trim()).into();
        self.keys.iter().find(|(known, _)| *known == hash).map(|(_, role)| *role)
    }

    /// Begins a session; returns what names it.
    pub fn begin(&self, role: Role) -> String {
        let name = hex(&rand::random::<[u8; 32]>());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, (_, begun)| begun.elapsed() < SESSION_LASTS);
        if sessions.len() >= MOST_SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, (_, begun))| *begun).map(|(name, _)| name.clone())
        {
            sessions.remove(&oldest);
        }
        sessions.insert(name.clone(), (role, Instant::now()));
        name
    }

    /// Returns what whoever is in `session` may do.
    pub fn role_in(&self, session: &str) -> Option<Role> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(session).filter(|(_, begun)| begun.elapsed() < SESSION_LASTS).map(|(role, _)| *role)
    }

    /// Ends a session.
    pub fn end(&self, session: &str) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
    }

    /// Returns the token that changes in `session` must carry; without keys there is one session, called "".
    pub fn token(&self, session: &str) -> String {
        hex(&Sha256::new().chain_update(self.secret).chain_update(session).finalize())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
