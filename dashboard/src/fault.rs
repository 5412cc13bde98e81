//! What goes wrong with a request, told in words with what to do: as a page, or as `application/problem+json` (RFC 9457).

use askama::Template;
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use crate::asset;
use crate::wants::Wants;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody is known by what came with it.
    #[error("Log in, or send a key with the request: Authorization: Bearer KEY.")]
    Unknown,
    /// It changes something, and its sender may only read.
    #[error("This key may look and not change anything; log in with the key of an operator.")]
    ReadOnly,
    /// It changes something and does not come from a page of ours.
    #[error("The page that sent this is too old or not ours. Reload it and try again; nothing was changed.")]
    Forged,
    /// Without keys, it names this host by a name that anybody could make point here.
    #[error(
        "Without keys this page is shown under the address of this host only, such as http://127.0.0.1:8080. To reach it under a name, set --operator-key."
    )]
    ForeignHost,
    /// There is no such thing.
    #[error("{0}")]
    Nowhere(String),
    /// It asks for something that is not admitted.
    #[error("{0}")]
    Refused(String),
    /// What it needs is away.
    #[error("{what} does not answer. The page works again as soon as it does.")]
    Away {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: anyhow::Error,
    },
    /// A bug.
    #[error("Something is wrong on our side; the log says what.")]
    Internal(#[source] anyhow::Error),
}

impl Fault {
    const fn row(&self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unknown => (S::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Self::ReadOnly => (S::FORBIDDEN, "read_only", "You may look only"),
            Self::Forged => (S::FORBIDDEN, "forged", "The request is not from a page of ours"),
            Self::ForeignHost => (S::MISDIRECTED_REQUEST, "foreign_host", "Not under this name"),
            Self::Nowhere(_) => (S::NOT_FOUND, "not_found", "There is nothing here"),
            Self::Refused(_) => (S::UNPROCESSABLE_ENTITY, "refused", "That cannot be done"),
            Self::Away { .. } => (S::SERVICE_UNAVAILABLE, "unavailable", "The service cannot do this now"),
            Self::Internal(_) => (S::INTERNAL_SERVER_ERROR, "internal_error", "Something is wrong on our side"),
        }
    }
}

impl From<pipeline::store::Error> for Fault {
    fn from(error: pipeline::store::Error) -> Self {
        match error {
            pipeline::store::Error::Unavailable(source) => Self::Away { what: "The store", source },
            pipeline::store::Error::Corrupt(source) => Self::Internal(source),
        }
    }
}

/// What a client is told.
#[derive(Clone, Serialize, Template)]
#[template(path = "fault.html")]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip)]
    style: &'static str,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, code, title) = self.row();
        let detail = self.to_string();
        if status.is_server_error() {
            tracing::warn!(code, error = format!("{:#}", anyhow::Error::from(self)), "a page was not answered");
        }
        let kind = format!("urn:spillway:problem:{code}");
        let told = Told { kind, title, status: status.as_u16(), detail, code, style: asset::style_path() };
        let mut response = status.into_response();
        response.extensions_mut().insert(told);
        response
    }
}

/// Writes what went wrong the way the client wants to read it.
pub async fn told(request: Request, next: Next) -> Response {
    let wants = Wants::of(request.headers());
    let mut response = next.run(request).await;
    let Some(told) = response.extensions_mut().remove::<Told>() else { return response };
    let (status, page) = (response.status(), told.render());
    match (wants, page) {
        (Wants::Html, Ok(page)) => (status, Html(page)).into_response(),
        _ => {
            let mut response = (status, Json(told)).into_response();
            let problem = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, problem);
            response
        }
    }
}
