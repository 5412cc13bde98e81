//! The tenants' file: TOML, a table `[[tenant]]` for each. Every mistake is found, not the first alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Account, KeyHash, Quotas};

/// The most shares a tenant may have.
const MAX_WEIGHT: u32 = 1000;

/// SHA-256 of nothing: what a script writes whose key was empty.
const NO_KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A tenant as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    key_sha256: Vec<String>,
    #[serde(default)]
    priority: bool,
    weight: Option<u32>,
    unfinished_videos: Option<u32>,
    videos_per_hour: Option<u32>,
    videos_per_day: Option<u32>,
}

/// Reads the tenants and the hashes of their keys.
///
/// # Errors
/// One line for each mistake.
pub(super) fn parse(text: &str) -> Result<Vec<(Account, Vec<KeyHash>)>, Vec<String>> {
    let table: toml::Table = toml::from_str(text).map_err(|error| vec![syntax(text, &error)])?;
    let mut mistakes: Vec<String> = table
        .keys()
        .filter(|name| *name != "tenant")
        .map(|name| format!("there is no {name:?} here; each tenant is a table [[tenant]]"))
        .collect();
    let entries = match table.get("tenant") {
        Some(toml::Value::Array(entries)) if !entries.is_empty() => entries.as_slice(),
        _ => {
            mistakes.push("there is no tenant; each is a table [[tenant]]".to_owned());
            &[]
        }
    };
    let (mut names, mut keys) = (BTreeSet::new(), BTreeMap::new());
    let mut tenants = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        let name = entry.get("name").and_then(toml::Value::as_str);
        let place = name.map_or_else(|| format!("tenant {}", number + 1), |name| format!("tenant {name:?}"));
        let entry: Entry = match entry.clone().try_into() {
            Ok(entry) => entry,
            Err(error) => {
                mistakes.push(format!("{place}: {}", one_line(error.message())));
                continue;
            }
        };
        let mut wrong = Vec::new();
        if !names.insert(entry.name.clone()) {
            wrong.push("there is another tenant of this name".to_owned());
        }
        let hashes = read_keys(&entry, &mut keys, &mut wrong);
        let account = account(&entry, &mut wrong);
        mistakes.extend(wrong.into_iter().map(|what| format!("{place}: {what}")));
        tenants.extend(account.map(|account| (account, hashes)));
    }
    if mistakes.is_empty() { Ok(tenants) } else { Err(mistakes) }
}

fn account(entry: &Entry, wrong: &mut Vec<String>) -> Option<Account> {
    let quotas = Quotas {
        unfinished_videos: entry.unfinished_videos,
        videos_per_hour: entry.videos_per_hour,
        videos_per_day: entry.videos_per_day,
    };
    let limits = [
        ("unfinished_videos", quotas.unfinished_videos),
        ("videos_per_hour", quotas.videos_per_hour),
        ("videos_per_day", quotas.videos_per_day),
    ];
    for (name, _) in limits.iter().filter(|(_, limit)| *limit == Some(0)) {
        wrong.push(format!("{name} must be 1 or more; to shut a tenant out, remove its keys' hashes"));
    }
    let weight = entry.weight.unwrap_or(1);
    if !(1..=MAX_WEIGHT).contains(&weight) {
        wrong.push(format!("weight must be from 1 to {MAX_WEIGHT}"));
    }
    let tenant = entry.name.parse();
    if tenant.is_err() {
        wrong.push("a name has 1 to 64 of a-z, 0-9, - and _".to_owned());
    }
    Some(Account { tenant: tenant.ok()?, may_prioritise: entry.priority, weight, quotas })
}

/// Reads the hashes of a tenant's keys; `owners` has those of the tenants before it.
fn read_keys(entry: &Entry, owners: &mut BTreeMap<KeyHash, String>, wrong: &mut Vec<String>) -> Vec<KeyHash> {
    let mut hashes = Vec::new();
    for (number, text) in entry.key_sha256.iter().enumerate() {
        let number = number + 1;
        let Some(hash) = read_hash(text) else {
            wrong.push(format!(
                "key_sha256 {number} is no SHA-256 in 64 hexadecimal digits; the key itself does not belong here"
            ));
            continue;
        };
        if text.eq_ignore_ascii_case(NO_KEY) {
            wrong.push(format!("key_sha256 {number} is that of an empty key"));
        }
        match owners.insert(hash, entry.name.clone()) {
            Some(owner) => wrong.push(format!("key_sha256 {number} is a key of {owner:?} too")),
            None => hashes.push(hash),
        }
    }
    hashes
}

fn read_hash(text: &str) -> Option<KeyHash> {
    let mut hash = KeyHash::default();
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in hash.iter_mut().zip((0..text.len()).step_by(2)) {
        *byte = u8::from_str_radix(&text[place..place + 2], 16).ok()?;
    }
    Some(hash)
}

fn syntax(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("line {line}: {}", one_line(error.message()))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[track_caller]
    fn check_mistakes(text: &str, expected: &[&str]) {
        let found = parse(text).map(|tenants| tenants.len()).expect_err("mistakes");
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_said_has_no_limit() {
        let text = format!(
            "[[tenant]]\nname = \"acme\"\nkey_sha256 = [\"{KEY}\"]\npriority = true\nvideos_per_day = 200\n
             [[tenant]]\nname = \"shut-out\"\nkey_sha256 = []\n"
        );
        let tenants = parse(&text).expect("tenants");
        let (acme, keys) = &tenants[0];
        assert_eq!((acme.tenant.as_str(), acme.may_prioritise, acme.weight), ("acme", true, 1));
        assert_eq!(acme.quotas, Quotas { videos_per_day: Some(200), ..Quotas::default() });
        assert_eq!((keys.len(), keys[0][0], tenants[1].1.len()), (1, 0x9f, 0));
    }

    #[test]
    fn every_mistake_has_a_line_that_names_it() {
        check_mistakes("", &["there is no tenant; each is a table [[tenant]]"]);
        check_mistakes("\n[[tenant]\n", &["line 2: unclosed array table, expected `]`"]);
        let text = format!(
            "colour = 1
             [[tenant]]\nname = \"ACME\"\nkey_sha256 = [\"secret\", \"{KEY}\"]\nweight = 0
             [[tenant]]\nname = \"b\"\nkey_sha256 = [\"{KEY}\", \"{NO_KEY}\"]\nvideos_per_hour = 0
             [[tenant]]\nname = \"b\"\nkey_sha256 = []
             [[tenant]]\nname = \"c\"\nkey_sha256 = []\nvideos_a_day = 5
             [[tenant]]\nkey_sha256 = []"
        );
        check_mistakes(
            &text,
            &[
                "there is no \"colour\" here; each tenant is a table [[tenant]]",
                "tenant \"ACME\": key_sha256 1 is no SHA-256 in 64 hexadecimal digits; the key itself does not belong here",
                "tenant \"ACME\": weight must be from 1 to 1000",
                "tenant \"ACME\": a name has 1 to 64 of a-z, 0-9, - and _",
                "tenant \"b\": key_sha256 1 is a key of \"ACME\" too",
                "tenant \"b\": key_sha256 2 is that of an empty key",
                "tenant \"b\": videos_per_hour must be 1 or more; to shut a tenant out, remove its keys' hashes",
                "tenant \"b\": there is another tenant of this name",
                "tenant \"c\": unknown field `videos_a_day`, expected one of `name`, `key_sha256`, `priority`, `weight`, `unfinished_videos`, `videos_per_hour`, `videos_per_day`",
                "tenant 5: missing field `name`",
            ],
        );
    }
}
