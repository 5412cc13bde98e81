//! What handlers take from a request: the tenant, ids in the path, parameters in the query.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use pipeline::id::{ClipId, OnBehalfOf, TenantId, VideoId};

use crate::app::App;
use crate::problem::{Kind, Problem, shorten};
use crate::tenants::Account;

/// Who sent the request: for whom code of this process asks, else whose key it has; without a file of tenants everybody is
/// the default one.
pub struct Caller(pub Arc<Account>);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match parts.extensions.get() {
            Some(OnBehalfOf(tenant)) => app.tenants.account(tenant).map(Self).ok_or_else(|| Problem::no_tenant(tenant)),
            None => app.tenants.enter(&parts.headers).map(Self),
        }
    }
}

/// Whose request it is.
pub struct Tenant(pub TenantId);

impl FromRequestParts<App> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(account) = Caller::from_request_parts(parts, app).await?;
        Ok(Self(account.tenant.clone()))
    }
}

/// The `{video}` of the path. What is no id names no video, hence 404.
pub struct VideoPath(pub VideoId);

impl<S: Send + Sync> FromRequestParts<S> for VideoPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = parameter(parts, state, "video").await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or_else(Problem::no_video)
    }
}

/// The `{clip}` of the path.
pub struct ClipPath(pub ClipId);

impl<S: Send + Sync> FromRequestParts<S> for ClipPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = parameter(parts, state, "clip").await;
        id.and_then(|id| id.parse().ok()).map(Self).ok_or_else(Problem::no_clip)
    }
}

async fn parameter<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Option<String> {
    let parameters = RawPathParams::from_request_parts(parts, state).await.ok()?;
    parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The query's pairs, percent-decoded, in order.
pub struct Query(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()))
    }
}

/// Refuses a parameter that the path does not know.
pub fn unknown_parameter(name: &str, known: &str) -> Problem {
    let detail = format!("There is no parameter {:?} here; there are: {known}.", shorten(name));
    Problem::of_option(Kind::UnknownOption, name, detail)
}
