//! One thing that was looked at, and what was found.

use serde::Serialize;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Row {
    /// What was looked at.
    pub(super) what: &'static str,
    /// Where it is.
    #[serde(rename = "where")]
    pub(super) place: String,
    pub(super) ok: bool,
    /// What was found, in one line.
    pub(super) detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl Row {
    pub(super) fn right(what: &'static str, place: impl ToString, detail: impl Into<String>) -> Self {
        Self { what, place: place.to_string(), ok: true, detail: detail.into(), advice: None }
    }

    pub(super) fn wrong(
        what: &'static str,
        place: impl ToString,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { what, place: place.to_string(), ok: false, detail: detail.into(), advice: Some(advice.into()) }
    }
}

/// Says all of an error in one line.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns `1 broker`, `3 brokers`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
