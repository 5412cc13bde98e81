//! The address of a store over CQL: `cql://[user[:password]@]host[:port][,host...]/keyspace`.

use std::fmt;
use std::str::FromStr;

/// The port of CQL.
const PORT: u16 = 9042;

/// The longest name of a keyspace.
const KEYSPACE_MAX: usize = 48;

/// What an address must look like, for whoever gave another.
const SHAPE: &str = "give cql://[USER[:PASSWORD]@]HOST[:PORT][,HOST...]/KEYSPACE";

/// Where a cluster is, and which keyspace of it is the store.
#[derive(Clone, PartialEq, Eq)]
pub struct CqlAddress {
    /// Who connects, if the cluster asks.
    pub user: Option<String>,
    /// The password in the address; one given apart is safer.
    pub password: Option<String>,
    /// Nodes to ask first, `host:port`; the others are learnt from them.
    pub nodes: Vec<String>,
    /// The keyspace.
    pub keyspace: String,
}

impl FromStr for CqlAddress {
    type Err = String;

    /// Parses what follows `cql:`.
    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("//").ok_or(SHAPE)?;
        let (place, keyspace) = rest.rsplit_once('/').ok_or(SHAPE)?;
        let (credentials, hosts) = match place.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials), hosts),
            None => (None, place),
        };
        let (user, password) = match credentials.map(|c| c.split_once(':').unwrap_or((c, ""))) {
            Some(("", _)) => return Err(SHAPE.to_owned()),
            Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned()).filter(|p| !p.is_empty())),
            None => (None, None),
        };
        let nodes = hosts.split(',').map(node).collect::<Option<Vec<String>>>().ok_or(SHAPE)?;
        if !is_keyspace(keyspace) {
            return Err(format!("a keyspace is 1 to {KEYSPACE_MAX} of a-z, 0-9 and _, a letter first; {SHAPE}"));
        }
        Ok(Self { user, password, nodes, keyspace: keyspace.to_owned() })
    }
}

/// Adds the port where none is given.
fn node(host: &str) -> Option<String> {
    let (name, port) = match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
        _ => (host, PORT),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    (!name.is_empty() && name.chars().all(allowed)).then(|| format!("{name}:{port}"))
}

/// Names are put into statements as they are, so only those that need no quotes pass.
fn is_keyspace(name: &str) -> bool {
    name.len() <= KEYSPACE_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

impl fmt::Display for CqlAddress {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cql://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}/{}", self.nodes.join(","), self.keyspace)
    }
}

impl fmt::Debug for CqlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, user: Option<&str>, password: Option<&str>, nodes: &[&str], keyspace: &str) {
        let address: CqlAddress = text.parse().unwrap();
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (user, password));
        assert_eq!((address.nodes, address.keyspace.as_str()), (nodes.iter().map(|&n| n.into()).collect(), keyspace));
    }

    #[test]
    fn parts_are_found() {
        check("//one/clips", None, None, &["one:9042"], "clips");
        check(
            "//one:9,two.example,[::1],[::1]:7/a_1",
            None,
            None,
            &["one:9", "two.example:9042", "[::1]:9042", "[::1]:7"],
            "a_1",
        );
        check("//me@one/clips", Some("me"), None, &["one:9042"], "clips");
        check("//me:s/e:c@t@one/clips", Some("me"), Some("s/e:c@t"), &["one:9042"], "clips");
    }

    #[test]
    fn others_are_refused() {
        for bad in [
            "",
            "one/clips",
            "//one",
            "//one/",
            "//one/Clips",
            "//one/9",
            "///clips",
            "//@one/clips",
            "//one,/clips",
            "//one:x/clips",
        ] {
            assert!(bad.parse::<CqlAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn password_is_not_shown() {
        let address: CqlAddress = "//me:secret@one/clips".parse().unwrap();
        assert_eq!(address.to_string(), "cql://me@one:9042/clips");
        assert!(!format!("{address:?}").contains("secret"));
    }
}
