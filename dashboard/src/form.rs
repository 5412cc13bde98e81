//! A change that a viewer asks for: who may not change anything, and what no page of ours sent, changes nothing.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;

use crate::access::Viewer;
use crate::fault::Fault;

/// The most bytes of a form.
const MOST_BYTES: usize = 256 << 10;
/// The header that carries the token of what is no form.
const TOKEN: &str = "x-csrf-token";

/// A form that may be acted on: its pairs, in order.
pub struct Change {
    fields: Vec<(String, String)>,
}

impl Change {
    /// Returns a field, empty if it was not given.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns all values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Change {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        let viewer = Viewer::from_request_parts(&mut parts, state).await?;
        let body: Bytes = axum::body::to_bytes(body, MOST_BYTES)
            .await
            .map_err(|_| Fault::Refused(format!("A form has at most {MOST_BYTES} bytes.")))?;
        let fields: Vec<_> = url::form_urlencoded::parse(&body).into_owned().collect();
        let token = fields.iter().find(|(key, _)| key == "csrf").map(|(_, value)| value.as_str());
        check_token(&viewer, token.or_else(|| carried(&parts.headers)))?;
        Ok(Self { fields })
    }
}

/// Checks a change that is no form: its token is in a header.
///
/// # Errors
/// When the viewer may only read, or the request is not from a page of ours.
pub fn check_headers(viewer: &Viewer, headers: &HeaderMap) -> Result<(), Fault> {
    check_token(viewer, carried(headers))
}

fn carried(headers: &HeaderMap) -> Option<&str> {
    headers.get(TOKEN).and_then(|value| value.to_str().ok())
}

/// Checks a change by the token that came with it.
///
/// # Errors
/// When the viewer may only read, or the request is not from a page of ours.
pub fn check_token(viewer: &Viewer, token: Option<&str>) -> Result<(), Fault> {
    viewer.may_change()?;
    // The token is a hash of a secret: how long a comparison takes tells nothing that helps to guess it.
    if viewer.is_program || token == Some(&*viewer.token) { Ok(()) } else { Err(Fault::Forged) }
}
