//! What forms send. A change is taken from a page of ours alone, and from who may change something.

use std::ops::Deref;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;

use crate::access::{Viewer, is_same};
use crate::fault::Fault;

/// The most bytes of a form.
const MOST_BYTES: usize = 256 << 10;
/// The header that carries the token of what is no form.
const TOKEN: &str = "x-csrf-token";

/// A form, whoever sent it: its pairs, in order.
pub struct Form {
    fields: Vec<(String, String)>,
}

impl Form {
    /// Returns a field, empty if it was not given.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Returns all values of a field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let body: Bytes = axum::body::to_bytes(request.into_body(), MOST_BYTES)
            .await
            .map_err(|_| Fault::Refused(format!("A form has at most {MOST_BYTES} bytes.")))?;
        Ok(Self { fields: url::form_urlencoded::parse(&body).into_owned().collect() })
    }
}

/// A form that a page of ours sent; who sent it may do no more than look.
pub struct Own(Form);

impl<S: Send + Sync> FromRequest<S> for Own {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        let viewer = Viewer::from_request_parts(&mut parts, state).await?;
        let headers = parts.headers.clone();
        let form = Form::from_request(Request::from_parts(parts, body), state).await?;
        check_own(&viewer, form.all("csrf").next().or_else(|| carried(&headers)))?;
        Ok(Self(form))
    }
}

/// A form that may be acted on.
pub struct Change(Own);

impl<S: Send + Sync> FromRequest<S> for Change {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        Viewer::from_request_parts(&mut parts, state).await?.may_change()?;
        Own::from_request(Request::from_parts(parts, body), state).await.map(Self)
    }
}

impl Deref for Change {
    type Target = Form;

    fn deref(&self) -> &Form {
        &self.0.0
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
    check_own(viewer, token)
}

fn check_own(viewer: &Viewer, token: Option<&str>) -> Result<(), Fault> {
    let is_own = token.is_some_and(|token| is_same(token, &viewer.token));
    if viewer.is_program || is_own { Ok(()) } else { Err(Fault::Forged) }
}
