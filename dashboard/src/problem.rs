//! What the API refuses, as it says it (`application/problem+json`, RFC 9457).

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 64 << 10;

/// Why the API did not do what it was asked.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem in words.
    pub title: String,
    /// What is wrong with this request and what to do.
    pub detail: String,
    /// The stable name of the kind of problem.
    pub code: String,
    /// The option that is wrong, if one is.
    pub option: Option<String>,
}

impl Problem {
    /// Reads why the API refused.
    pub async fn read(response: Response) -> Self {
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), MOST_BYTES).await.unwrap_or_default();
        serde_json::from_slice(&body).unwrap_or_else(|_| Self::unreadable(status))
    }

    fn unreadable(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            title: "The service did not say why".to_owned(),
            detail: format!("It answered {status}; its log says more."),
            code: "unknown".to_owned(),
            option: None,
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let said = format!("{}. {}", problem.title, problem.detail);
        match problem.status {
            404 => Self::Nowhere(problem.detail),
            500.. => Self::Away { what: "The API", source: anyhow::anyhow!(said) },
            _ => Self::Refused(said),
        }
    }
}
