//! Who may come in, and what each may take: one tenant without a key, or those of a file, each with its keys. The file
//! is read again when it changes; one with mistakes changes nothing.

mod file;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::{HeaderMap, HeaderValue, header};
use pipeline::id::TenantId;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A tenant and what it may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Who it is.
    pub tenant: TenantId,
    /// Whether it may ask for the priority lane.
    pub may_prioritise: bool,
    /// How many fair shares it has.
    pub weight: u32,
    /// What it may take at the most.
    pub quotas: Quotas,
}

/// What a tenant may take at the most; nothing said is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quotas {
    /// Videos that have not ended, those being uploaded too.
    pub unfinished_videos: Option<u32>,
    /// Videos accepted within any hour.
    pub videos_per_hour: Option<u32>,
    /// Videos accepted within any 24 hours.
    pub videos_per_day: Option<u32>,
}

/// SHA-256 of a key.
type KeyHash = [u8; 32];

/// All tenants, as they are now.
pub struct Tenants {
    file: Option<PathBuf>,
    known: RwLock<Arc<Known>>,
}

struct Known {
    /// What the file holds, to see whether it changed.
    text: String,
    /// Without a file, everybody.
    anybody: Option<Arc<Account>>,
    by_key: HashMap<KeyHash, Arc<Account>>,
    accounts: Vec<Arc<Account>>,
}

impl Tenants {
    /// Lets everybody in as the default tenant.
    pub fn anybody(may_prioritise: bool) -> Self {
        let tenant = TenantId::default_tenant();
        let account = Arc::new(Account { tenant, may_prioritise, weight: 1, quotas: Quotas::default() });
        let (by_key, accounts) = (HashMap::new(), vec![account.clone()]);
        let known = Known { text: String::new(), anybody: Some(account), by_key, accounts };
        Self { file: None, known: RwLock::new(Arc::new(known)) }
    }

    /// Reads the tenants of the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or with one line for each mistake in it.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let known = Arc::new(Known::read(path)?);
        Ok(Self { file: Some(path.to_owned()), known: RwLock::new(known) })
    }

    /// Returns who sent a request with these `headers`.
    ///
    /// # Errors
    /// When a key is needed and there is none, or it is nobody's.
    pub fn enter(&self, headers: &HeaderMap) -> Result<Arc<Account>, Problem> {
        let known = self.known();
        if let Some(account) = &known.anybody {
            return Ok(account.clone());
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, key) = given.split_once(' ').unwrap_or((given, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthorized("Send a key with the request: Authorization: Bearer KEY."));
        }
        // Whoever times the look-up learns of hashes, from which no key follows.
        let hash: KeyHash = Sha256::digest(key.trim()).into();
        let account = known.by_key.get(&hash);
        account.cloned().ok_or_else(|| unauthorized("The key is nobody's; check it, or ask for a new one."))
    }

    /// Returns what `tenant` may take, if there is such a tenant.
    pub fn account(&self, tenant: &TenantId) -> Option<Arc<Account>> {
        self.known().accounts.iter().find(|account| account.tenant == *tenant).cloned()
    }

    /// Says whether there is nobody to share with.
    pub fn is_one(&self) -> bool {
        self.known().anybody.is_some()
    }

    /// Returns every tenant there is.
    pub fn ids(&self) -> Vec<TenantId> {
        self.known().accounts.iter().map(|account| account.tenant.clone()).collect()
    }

    /// Returns how many keys there are.
    pub fn keys(&self) -> usize {
        self.known().by_key.len()
    }

    /// Takes the file in again if it changed; says whether it did.
    ///
    /// # Errors
    /// When it cannot be read or has mistakes; all stays as it was.
    pub fn refresh(&self) -> anyhow::Result<bool> {
        let Some(path) = &self.file else { return Ok(false) };
        let text = std::fs::read_to_string(path).with_context(|| format!("read the tenants in {}", path.display()))?;
        if text == self.known().text {
            return Ok(false);
        }
        let known = Arc::new(Known::parse(path, text)?);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(true)
    }

    /// Follows the file until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let mut complaint = String::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            match self.refresh() {
                Ok(true) => tracing::info!(tenants = self.ids().len(), keys = self.keys(), "tenants read again"),
                Ok(false) => complaint.clear(),
                // Told once, not each time it is looked at.
                Err(error) if complaint != format!("{error:#}") => {
                    complaint = format!("{error:#}");
                    tracing::error!(error = complaint, "tenants stay as they were");
                }
                Err(_) => {}
            }
        }
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Known {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read the tenants in {}", path.display()))?;
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: String) -> anyhow::Result<Self> {
        let parsed = match file::parse(&text) {
            Ok(parsed) => parsed,
            Err(mistakes) => {
                let lines: Vec<String> = mistakes.iter().map(|m| format!("{}: {m}", path.display())).collect();
                bail!("the tenants cannot be used:\n{}", lines.join("\n"));
            }
        };
        let (mut by_key, mut accounts) = (HashMap::new(), Vec::new());
        for (account, keys) in parsed {
            let account = Arc::new(account);
            by_key.extend(keys.into_iter().map(|key| (key, account.clone())));
            accounts.push(account);
        }
        Ok(Self { text, anybody: None, by_key, accounts })
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Kind::Unauthorized, detail).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
