//! Where the store is, and opening it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;

use super::cql::{ClusterSurvey, Consistency, Cql, CqlAddress, CqlOptions, StoreTls};
use super::sqlite::Sqlite;
use super::{Contents, SharedStore};
use crate::secret::Secret;

/// Copies of a row in a keyspace that is made here.
const REPLICATION: u8 = 3;

/// Where the store is.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// The store: `sqlite:PATH`, one file for the processes of one host, or
    /// `cql://[USER[:PASSWORD]@]HOST[:PORT][,HOST...]/KEYSPACE`, ScyllaDB or Apache Cassandra.
    #[arg(long, env = "SPILLWAY_STORE", value_name = "ADDRESS", hide_env_values = true)]
    pub store: StoreLocation,
    /// The password for CQL; better given by the variable, because others can read a command line.
    #[arg(long, env = "SPILLWAY_STORE_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub store_password: Option<Secret>,
    /// File with the password for CQL, used unless the password itself is given.
    #[arg(long, env = "SPILLWAY_STORE_PASSWORD_FILE", value_name = "FILE")]
    pub store_password_file: Option<PathBuf>,
    /// TLS with the nodes.
    #[command(flatten)]
    pub tls: StoreTls,
    /// Copies of each row, 1 to 9, if the CQL keyspace is made now; one node needs 1.
    #[arg(long, env = "SPILLWAY_STORE_REPLICATION", value_name = "COPIES", default_value_t = REPLICATION,
        value_parser = clap::value_parser!(u8).range(1..=9))]
    pub store_replication: u8,
    /// Copies that answer before a CQL read or write counts.
    #[arg(long, env = "SPILLWAY_STORE_CONSISTENCY", value_enum, default_value_t)]
    pub store_consistency: Consistency,
}

impl StoreArgs {
    /// Says where the store is and leaves the rest as it is by default.
    pub fn at(store: StoreLocation) -> Self {
        Self {
            store,
            store_password: None,
            store_password_file: None,
            tls: StoreTls::default(),
            store_replication: REPLICATION,
            store_consistency: Consistency::default(),
        }
    }
}

/// Where a store is kept. What is shown of it holds no password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocation {
    /// A file of this host.
    Sqlite(PathBuf),
    /// A keyspace of a cluster.
    Cql(CqlAddress),
}

impl FromStr for StoreLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", "")) => Err("name the file: sqlite:PATH".to_owned()),
            Some(("sqlite", path)) => Ok(Self::Sqlite(path.into())),
            Some(("cql", rest)) => rest.parse().map(Self::Cql),
            Some((scheme, _)) => Err(format!("no store is called {scheme}; give sqlite:PATH or cql://HOST/KEYSPACE")),
            None => Err("give sqlite:PATH or cql://HOST/KEYSPACE".to_owned()),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Cql(address) => address.fmt(f),
        }
    }
}

/// Opens the SQLite store in the file at `path`, and makes it if it is missing.
///
/// # Errors
/// When it cannot be opened, or was made by a newer version.
pub fn open_file(path: &Path) -> anyhow::Result<SharedStore> {
    let store = Sqlite::open(path).with_context(|| format!("open the store sqlite:{}", path.display()))?;
    Ok(Arc::new(store))
}

/// Opens the store and makes its tables if they are missing; any number of processes may do so at once.
///
/// # Errors
/// When it cannot be opened, or was made by a newer version.
pub async fn open(args: &StoreArgs) -> anyhow::Result<SharedStore> {
    let address = match &args.store {
        StoreLocation::Sqlite(path) => return open_file(path),
        StoreLocation::Cql(address) => address,
    };
    let store = Cql::open(&cql_options(args, address)?).await.with_context(|| format!("open the store {address}"))?;
    Ok(Arc::new(store))
}

/// What was found of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survey {
    /// The version of its tables; none if they are still to be made.
    pub version: Option<i64>,
    /// The version this program makes and knows.
    pub known_version: i64,
    /// What was found of its cluster, if it is one.
    pub cluster: Option<ClusterSurvey>,
}

/// Looks at the store and changes nothing.
///
/// # Errors
/// When it cannot be reached or read.
pub async fn survey(args: &StoreArgs) -> anyhow::Result<Survey> {
    match &args.store {
        StoreLocation::Sqlite(path) => {
            let version = Sqlite::version(path).with_context(|| format!("read the store {}", args.store))?;
            Ok(Survey { version, known_version: Sqlite::VERSION, cluster: None })
        }
        StoreLocation::Cql(address) => {
            let looked = Cql::survey(&cql_options(args, address)?).await;
            let (version, cluster) = looked.with_context(|| format!("reach the store {address}"))?;
            Ok(Survey {
                version: version.map(i64::from),
                known_version: i64::from(Cql::VERSION),
                cluster: Some(cluster),
            })
        }
    }
}

fn cql_options(args: &StoreArgs, address: &CqlAddress) -> anyhow::Result<CqlOptions> {
    let given = Secret::find(args.store_password.as_ref(), args.store_password_file.as_deref())?;
    Ok(CqlOptions {
        address: address.clone(),
        password: given.map(|secret| secret.reveal().to_owned()).or_else(|| address.password.clone()),
        tls: args.tls.clone(),
        replication: args.store_replication,
        consistency: args.store_consistency,
    })
}

/// Refuses a store that is being made anew.
///
/// # Errors
/// When a rebuild of it has not ended, or it is away.
pub async fn check_whole(store: &SharedStore) -> anyhow::Result<()> {
    match store.contents().await? {
        Contents::Unfinished => anyhow::bail!("a rebuild of the store has not ended; call `spillway rebuild` again"),
        Contents::Nothing | Contents::Used => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_stores_there_are_parse() {
        assert_eq!("sqlite:/a/b.db".parse(), Ok(StoreLocation::Sqlite("/a/b.db".into())));
        assert!(matches!("cql://one,two:99/clips".parse(), Ok(StoreLocation::Cql(_))));
        for bad in ["", "sqlite:", "/a/b.db", "mysql://host"] {
            let error = bad.parse::<StoreLocation>().expect_err(bad);
            assert!(error.contains("sqlite:PATH"), "{error}");
        }
        let error = "cql://host".parse::<StoreLocation>().expect_err("no keyspace");
        assert!(error.contains("KEYSPACE"), "{error}");
    }

    #[test]
    fn password_is_not_shown() {
        let args = StoreArgs {
            store_password: "secret".parse().ok(),
            ..StoreArgs::at("cql://me:secret@one/clips".parse().unwrap())
        };
        assert!(!format!("{args:?} {}", args.store).contains("secret"));
    }
}
