//! The door: a key is shown once, then a cookie counts, and the viewer is where they wanted to be.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::Timestamp;
use url::form_urlencoded::Serializer;

use super::cookie;
use super::session::SESSION_LASTS;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::form::{Form, Own};

#[derive(Template)]
#[template(path = "login.html")]
struct Door<'a> {
    was_wrong: bool,
    /// Where the viewer is led behind it.
    next: &'a str,
}

/// Returns the path of the door that leads to `next` of this site.
pub(super) fn door_to(next: &str) -> String {
    if next == "/" {
        return "/login".to_owned();
    }
    format!("/login?{}", Serializer::new(String::new()).append_pair("next", next).finish())
}

/// Shows the door.
pub async fn show(asked: Asked) -> Result<Response, Fault> {
    door(false, within(asked.get("next").unwrap_or_default()))
}

/// Lets in who shows a key.
pub async fn login(State(app): State<App>, headers: HeaderMap, shown: Form) -> Result<Response, Fault> {
    let next = within(shown.get("next"));
    let role = app.access.role_of(shown.get("key"));
    let Some(session) = role.and_then(|role| app.access.begin(role, Timestamp::now())) else {
        tracing::warn!("a key that is nobody's at the door");
        return door(true, next).map(|page| (StatusCode::FORBIDDEN, page).into_response());
    };
    let cookie = cookie::make(&headers, &session, SESSION_LASTS.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
}

/// Ends the session, if a page of ours asks for it.
pub async fn logout(State(app): State<App>, headers: HeaderMap, _: Own) -> Response {
    if let Some(session) = cookie::read(&headers) {
        app.access.end(&session, Timestamp::now());
    }
    ([(header::SET_COOKIE, cookie::make(&headers, "", 0))], Redirect::to("/login")).into_response()
}

fn door(was_wrong: bool, next: &str) -> Result<Response, Fault> {
    Ok(Html(Door { was_wrong, next }.render().map_err(|error| Fault::Internal(error.into()))?).into_response())
}

/// Returns `next` if it is a path of this site, else that of the first page. Browsers take two slashes, or a backslash for
/// one of them, for the start of another host, and leave out what cannot be seen.
fn within(next: &str) -> &str {
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_path = next.starts_with('/') && !next.starts_with("//");
    if is_plain && is_path { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_leads_to_pages_of_ours_alone() {
        for ours in ["/", "/capacity?users=500&peak=%C3%A9#answer", "/videos/a/b"] {
            assert_eq!(within(ours), ours);
        }
        let others =
            ["", "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "evil", "/\t/evil"];
        for other in others {
            assert_eq!(within(other), "/", "{other:?}");
        }
        assert_eq!(door_to("/capacity?users=500"), "/login?next=%2Fcapacity%3Fusers%3D500");
        assert_eq!(door_to("/"), "/login");
    }
}
