//! What goes wrong with a request, told in words with what to do: as a page, or as `application/problem+json` (RFC 9457).

use askama::Template;
use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use crate::wants::Wants;

/// The most bytes that are read of what is said in plain text.
const MOST_PLAIN: usize = 8 << 10;

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

    fn told(&self, status: StatusCode) -> Told {
        let (_, code, title) = self.row();
        let kind = format!("urn:spillway:problem:{code}");
        Told { kind, title, status: status.as_u16(), detail: self.to_string(), code, back: None }
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
    /// The page of ours that the viewer comes from.
    #[serde(skip)]
    back: Option<String>,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = self.row().0;
        let mut response = status.into_response();
        response.extensions_mut().insert(self.told(status));
        if status.is_server_error() {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(self)), "a page was not answered");
        }
        response
    }
}

/// Writes what went wrong the way the client wants to read it.
pub async fn told(request: Request, next: Next) -> Response {
    let wants = Wants::of(request.headers());
    let back = came_from(request.headers());
    let mut response = next.run(request).await;
    let status = response.status();
    let told = match response.extensions_mut().remove::<Told>() {
        Some(told) => Told { back, ..told },
        None if is_plain_refusal(&response) => Told { back, ..of_plain(response).await },
        None => return response,
    };
    match (wants, told.render()) {
        (Wants::Html, Ok(page)) => (status, Html(page)).into_response(),
        _ => {
            let mut response = (status, Json(told)).into_response();
            let problem = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, problem);
            response
        }
    }
}

/// Says whether a request was refused before a page saw it, as one whose fields cannot be read: in plain text, or without a
/// word.
fn is_plain_refusal(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    response.status().is_client_error() && kind.is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

async fn of_plain(response: Response) -> Told {
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), MOST_PLAIN).await.unwrap_or_default();
    let said = match String::from_utf8_lossy(&body) {
        said if said.is_empty() => status.canonical_reason().unwrap_or_default().to_owned(),
        said => said.into_owned(),
    };
    let fault = if status == StatusCode::NOT_FOUND { Fault::Nowhere(said) } else { Fault::Refused(said) };
    fault.told(status)
}

/// Returns the path of the page of ours that sent a request.
fn came_from(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let (_, rest) = text(header::REFERER)?.split_once("://")?;
    let path = rest.strip_prefix(text(header::HOST)?)?;
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_pages_of_ours_alone() {
        let back = |referer: &str| {
            let names = [(header::HOST, "host:8080"), (header::REFERER, referer)];
            came_from(&HeaderMap::from_iter(names.map(|(name, value)| (name, HeaderValue::from_str(value).unwrap()))))
        };
        assert_eq!(back("http://host:8080/capacity?users=5").as_deref(), Some("/capacity?users=5"));
        for other in ["http://host:80801/a", "http://evil.example/http://host:8080/", "javascript:alert(1)", ""] {
            assert_eq!(back(other), None, "{other}");
        }
    }
}
