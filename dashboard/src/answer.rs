//! One value, two ways to read it: a page for people, JSON for programs (`Accept: application/json`).

use askama::Template;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use crate::fault::Fault;
use crate::wants::Wants;

/// Answers with `page` as the client wants to read it.
///
/// # Errors
/// When the page cannot be written, which is a bug.
pub fn answer<P: Template + Serialize>(wants: Wants, page: &P) -> Result<Response, Fault> {
    let mut response = match wants {
        Wants::Json => Json(page).into_response(),
        Wants::Html => Html(page.render().map_err(|error| Fault::Internal(error.into()))?).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, header::HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Answers with `page` and a status of its own.
///
/// # Errors
/// As [`answer`].
pub fn answer_as<P: Template + Serialize>(status: StatusCode, wants: Wants, page: &P) -> Result<Response, Fault> {
    Ok((status, answer(wants, page)?).into_response())
}
