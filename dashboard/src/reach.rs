//! How a command line reaches what a page shows: what it must be told of brokers, store and API, where that is not what it
//! takes by itself. Passwords, TLS and keys are not among it: they stay in the environment.

use std::fmt::{Display, Write};

use pipeline::kafka::BrokerArgs;
use pipeline::store::StoreLocation;

/// Where the command line looks for the API unless it is told.
pub const USUAL_SERVER: &str = "http://127.0.0.1:8080";

/// Where this process found what it works with.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Where topics lie.
    pub brokers: BrokerArgs,
    /// Where the store is.
    pub store: StoreLocation,
    /// Where others find the API.
    pub api: ApiAt,
}

/// Where others find the API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ApiAt {
    /// At the address of the pages.
    Pages,
    /// At an address that is not known here.
    Elsewhere,
}

/// What the command lines of a page end with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flags {
    brokers: String,
    store: String,
    server: String,
}

impl Flags {
    /// Returns what is to be said of `reach` by who sees the pages at `site`, such as `http://127.0.0.1:8080`.
    pub fn of(reach: &Reach, site: &str) -> Self {
        let mut brokers = String::new();
        add(&mut brokers, "--brokers", &reach.brokers.brokers, BrokerArgs::USUAL);
        add(&mut brokers, "--topic-prefix", &reach.brokers.topic_prefix, "");
        let mut store = brokers.clone();
        add(&mut store, "--store", &told(&reach.store), "");
        let mut server = String::new();
        if reach.api == ApiAt::Pages {
            add(&mut server, "--server", site, USUAL_SERVER);
        }
        Self { brokers, store, server }
    }

    /// Completes a command that asks the brokers.
    pub fn brokers(&self, command: impl Display) -> String {
        format!("{command}{}", self.brokers)
    }

    /// Completes a command that asks the brokers and the store.
    pub fn store(&self, command: impl Display) -> String {
        format!("{command}{}", self.store)
    }

    /// Completes a command that asks the API.
    pub fn server(&self, command: impl Display) -> String {
        format!("{command}{}", self.server)
    }
}

fn add(flags: &mut String, flag: &str, value: &str, usual: &str) {
    if value != usual {
        // Writing to a text cannot fail.
        let _ = write!(flags, " {flag} {}", quoted(value));
    }
}

/// Says where a store is, for whoever works in another folder too.
fn told(store: &StoreLocation) -> String {
    match store {
        StoreLocation::Sqlite(path) => {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            StoreLocation::Sqlite(path).to_string()
        }
        StoreLocation::Cql(_) => store.to_string(),
    }
}

/// Writes a text so that a shell takes it for one word.
pub fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.,:/=@%+-".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(brokers: &str, store: &str, api: ApiAt) -> Reach {
        Reach { brokers: BrokerArgs::new(brokers), store: store.parse().unwrap(), api }
    }

    #[test]
    fn what_the_command_line_takes_by_itself_is_not_said() {
        let flags = Flags::of(&reach("127.0.0.1:9092", "sqlite:/d/s.db", ApiAt::Pages), USUAL_SERVER);
        assert_eq!(flags.brokers("spillway workers list"), "spillway workers list");
        assert_eq!(flags.server("spillway watch --all"), "spillway watch --all");
        // No store is usual.
        assert_eq!(flags.store("replay"), "replay --store sqlite:/d/s.db");
    }

    #[test]
    fn what_is_elsewhere_is_said_in_words_of_a_shell() {
        let mut reach = reach("a:1,b:2", "sqlite:/my data/it's.db", ApiAt::Pages);
        reach.brokers.topic_prefix = "one.".to_owned();
        let flags = Flags::of(&reach, "https://clips.example");
        assert_eq!(flags.brokers("list"), "list --brokers a:1,b:2 --topic-prefix one.");
        assert_eq!(
            flags.store("replay"),
            "replay --brokers a:1,b:2 --topic-prefix one. --store 'sqlite:/my data/it'\\''s.db'"
        );
        assert_eq!(flags.server("watch ID"), "watch ID --server https://clips.example");
        assert_eq!(Flags::of(&reach, "http://$(id)").server("watch"), "watch --server 'http://$(id)'");
        reach.api = ApiAt::Elsewhere;
        assert_eq!(Flags::of(&reach, "https://clips.example").server("watch ID"), "watch ID");
        assert_eq!([quoted(""), quoted("a;b")], ["''", "'a;b'"]);
    }

    #[test]
    fn passwords_of_a_store_are_not_shown() {
        let reach = reach("a:1", "cql://me:secret@host/videos", ApiAt::Pages);
        let told = Flags::of(&reach, USUAL_SERVER).store("replay");
        assert!(told.contains("host") && !told.contains("secret"), "{told}");
    }
}
