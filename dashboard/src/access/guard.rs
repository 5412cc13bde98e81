//! Lets requests in, and changes only from a page of ours.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;

use super::cookie;
use super::login::door_to;
use super::session::{Access, Role, Session};
use crate::app::App;
use crate::fault::Fault;
use crate::reach::USUAL_SERVER;
use crate::wants::Wants;

/// Who looks at a page.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// What they may do.
    pub role: Role,
    /// What their changes must carry, as the field `csrf` or the header `X-CSRF-Token`.
    pub token: String,
    /// Whether there are keys, so that they can leave.
    pub has_session: bool,
    /// Whether they are a program, whose changes need no token: no page can make it send its key.
    pub is_program: bool,
    /// What they want to read.
    pub wants: Wants,
    /// Where they see these pages, such as `http://127.0.0.1:8080`.
    pub site: String,
}

impl Viewer {
    /// Lets an operator go on.
    ///
    /// # Errors
    /// When the viewer may only read.
    pub fn may_change(&self) -> Result<(), Fault> {
        if self.role == Role::Operator { Ok(()) } else { Err(Fault::ReadOnly) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or(Fault::Unknown)
    }
}

/// Finds out who sends the request; who may not see anything is led to the door.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let wants = Wants::of(request.headers());
    if app.access.is_open() && !is_own_host(request.headers()) {
        return Fault::ForeignHost.into_response();
    }
    let Some(viewer) = viewer(&app.access, request.headers(), wants) else {
        let is_page = request.method() == Method::GET && wants == Wants::Html && !is_script(request.headers());
        let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
        return if is_page { Redirect::to(&door_to(wanted)).into_response() } else { Fault::Unknown.into_response() };
    };
    request.extensions_mut().insert(viewer);
    next.run(request).await
}

fn viewer(access: &Access, headers: &HeaderMap, wants: Wants) -> Option<Viewer> {
    let site = site(headers);
    if access.is_open() {
        let token = access.open_token();
        return Some(Viewer { role: Role::Operator, token, has_session: false, is_program: false, wants, site });
    }
    if let Some(key) = bearer(headers) {
        let role = access.role_of(key)?;
        return Some(Viewer { role, token: String::new(), has_session: false, is_program: true, wants, site });
    }
    let Session { role, token } = access.session(&cookie::read(headers)?, Timestamp::now())?;
    Some(Viewer { role, token, has_session: true, is_program: false, wants, site })
}

/// Returns where the request found these pages: as its proxy says, where it came through one over TLS.
fn site(headers: &HeaderMap) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = header("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    header("host").map_or_else(|| USUAL_SERVER.to_owned(), |host| format!("{scheme}://{host}"))
}

/// Says whether a script of a page asks, which follows a stream and would take the door for one.
fn is_script(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

/// Says whether the request names this host by address or as `localhost`: a name that a stranger's page made point here
/// would let that page read ours.
fn is_own_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_hosts_are_addresses_and_localhost() {
        let is_own = |host: &str| is_own_host(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]));
        for own in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7", "LOCALHOST"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
