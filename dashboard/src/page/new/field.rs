//! The options of the API with their defaults and limits, as it describes them itself at `/openapi.json`.

use std::collections::BTreeMap;

use anyhow::Context;
use axum::body::Body;
use axum::extract::Request;
use pipeline::id::TenantId;
use serde::Serialize;
use serde_json::Value;

use crate::app::Api;
use crate::fault::Fault;

/// The most bytes of the description.
const MOST_BYTES: usize = 4 << 20;

/// An option.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it means.
    pub about: String,
    /// What it may be.
    pub kind: Kind,
    /// What it is when nothing is said; empty if that is nothing.
    pub default: String,
    /// What is in the form.
    #[serde(skip)]
    pub value: String,
}

/// What an option may be.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number.
    Number {
        /// The least.
        min: Option<f64>,
        /// The most.
        max: Option<f64>,
        /// It is a whole multiple of this; any number if nothing is said.
        step: Option<f64>,
    },
    /// One of these.
    Choice(Vec<String>),
    /// Yes or no.
    Truth,
    /// A text.
    Text {
        /// What it must look like.
        pattern: Option<String>,
        /// How many characters it has at the most.
        max_length: Option<u64>,
    },
}

/// Reads which options there are, filled in with those that were `sent`.
///
/// # Errors
/// When the API does not describe itself, which is a bug.
pub async fn of_api(api: &Api, tenant: TenantId, sent: &BTreeMap<String, String>) -> Result<Vec<Field>, Fault> {
    let description = describe(api, tenant).await.map_err(Fault::Internal)?;
    let parameters = description.pointer("/paths/~1v1~1videos/post/parameters").and_then(Value::as_array);
    let parameters = parameters.context("the API describes no options").map_err(Fault::Internal)?;
    let options = parameters.iter().filter(|parameter| parameter["in"] == "query");
    Ok(options.map(|option| Field::of(option, sent)).collect())
}

async fn describe(api: &Api, tenant: TenantId) -> anyhow::Result<Value> {
    let response = api.ask(tenant, Request::get("/openapi.json").body(Body::empty())?).await;
    let body = axum::body::to_bytes(response.into_body(), MOST_BYTES).await?;
    serde_json::from_slice(&body).context("read what the API says of itself")
}

impl Field {
    fn of(option: &Value, sent: &BTreeMap<String, String>) -> Self {
        let (name, schema) = (text(&option["name"]), &option["schema"]);
        let default = match &schema["default"] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let value = sent.get(&name).cloned().unwrap_or_else(|| default.clone());
        Self { about: text(&option["description"]), kind: Kind::of(schema), default, value, name }
    }

    /// Says what it means and what it may be.
    pub fn label(&self) -> String {
        let about = self.about.split(['.', ':']).next().unwrap_or_default().trim().replace('`', "");
        let limits = match &self.kind {
            Kind::Number { min: Some(min), max: Some(max), .. } => format!(" ({min} to {max})"),
            _ => String::new(),
        };
        format!("{about}{limits}")
    }

    /// Returns the flag of `spillway submit` for it, and the unit of its value; some have none.
    pub fn flag(&self) -> Option<(&'static str, &'static str)> {
        Some(match self.name.as_str() {
            "clips" => ("--clips", ""),
            "min_clip_s" => ("--min-clip", "s"),
            "max_clip_s" => ("--max-clip", "s"),
            "aspect" => ("--aspect", ""),
            "height" => ("--height", ""),
            "captions" => ("--captions", ""),
            "early" => ("--early", ""),
            "language" => ("--language", ""),
            "priority" => ("--priority", ""),
            _ => return None,
        })
    }

    /// Says whether it is set to yes.
    pub fn is_set(&self) -> bool {
        self.value == "true"
    }

    /// Says whether it is set to `choice`.
    pub fn is(&self, choice: &str) -> bool {
        self.value == choice
    }
}

impl Kind {
    fn of(schema: &Value) -> Self {
        let is = |kind: &str| match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(|named| named == kind),
            named => named == kind,
        };
        let pattern = schema["pattern"].as_str();
        if is("boolean") {
            Self::Truth
        } else if is("integer") || is("number") {
            let step = schema["multipleOf"].as_f64().or_else(|| is("integer").then_some(1.0));
            Self::Number { min: schema["minimum"].as_f64(), max: schema["maximum"].as_f64(), step }
        } else if let Some(choices) = pattern.and_then(choices) {
            Self::Choice(choices)
        } else {
            Self::Text { pattern: pattern.map(str::to_owned), max_length: schema["maxLength"].as_u64() }
        }
    }
}

/// Returns what a pattern such as `^(a|b)$` admits, if that is a list of words.
fn choices(pattern: &str) -> Option<Vec<String>> {
    let words = pattern.strip_prefix("^(")?.strip_suffix(")$")?;
    let is_plain = words.chars().all(|c| c.is_ascii_alphanumeric() || "|:-_".contains(c));
    is_plain.then(|| words.split('|').map(str::to_owned).collect())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_becomes_what_it_may_be() {
        let kind = |schema: Value| Kind::of(&schema);
        let number = Kind::Number { min: Some(240.0), max: Some(2160.0), step: Some(2.0) };
        let schema = json!({"type": ["integer", "null"], "minimum": 240, "maximum": 2160, "multipleOf": 2});
        assert_eq!(kind(schema), number);
        let choice = Kind::Choice(["9:16", "1:1"].map(str::to_owned).to_vec());
        assert_eq!(kind(json!({"type": "string", "pattern": "^(9:16|1:1)$"})), choice);
        let pattern = "^([a-z]{2}|auto)$";
        let text = Kind::Text { pattern: Some(pattern.to_owned()), max_length: None };
        assert_eq!(kind(json!({"type": "string", "pattern": pattern})), text);
        assert_eq!(kind(json!({"type": "boolean", "default": false})), Kind::Truth);
    }
}
