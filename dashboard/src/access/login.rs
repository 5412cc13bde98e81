//! The door: a key is shown once, then a cookie counts.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::guard::{COOKIE, session};
use super::session::SESSION_LASTS;
use crate::app::App;
use crate::asset;
use crate::fault::Fault;

#[derive(Template)]
#[template(path = "login.html")]
struct Door {
    style: &'static str,
    was_wrong: bool,
}

/// What the door asks for.
#[derive(Deserialize)]
pub struct Shown {
    key: String,
}

/// Shows the door.
pub async fn show() -> Result<Response, Fault> {
    door(false)
}

/// Lets in who shows a key.
pub async fn login(State(app): State<App>, headers: HeaderMap, Form(shown): Form<Shown>) -> Result<Response, Fault> {
    let Some(role) = app.access.role_of(&shown.key) else {
        tracing::warn!("a key that is nobody's at the door");
        return door(true).map(|page| (StatusCode::FORBIDDEN, page).into_response());
    };
    let cookie = cookie(&headers, &app.access.begin(role), SESSION_LASTS.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

/// Ends the session.
pub async fn logout(State(app): State<App>, headers: HeaderMap) -> Response {
    if let Some(session) = session(&headers) {
        app.access.end(&session);
    }
    ([(header::SET_COOKIE, cookie(&headers, "", 0))], Redirect::to("/login")).into_response()
}

fn door(was_wrong: bool) -> Result<Response, Fault> {
    let page =
        Door { style: asset::style_path(), was_wrong }.render().map_err(|error| Fault::Internal(error.into()))?;
    Ok(Html(page).into_response())
}

/// Not sent with requests that other sites make, and over TLS alone where the browser came over it.
fn cookie(headers: &HeaderMap, session: &str, seconds: u64) -> String {
    let over_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    let secure = if over_tls { "; Secure" } else { "" };
    format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}
