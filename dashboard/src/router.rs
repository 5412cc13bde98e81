//! The paths of the pages, and what holds for every answer.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use crate::access::{self, guard};
use crate::app::App;
use crate::fault::Fault;
use crate::page::Route;
use crate::{asset, fault, live, page};

/// Everything comes from here, no script stands in a page, and nobody may put a page of ours into theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Returns the routes of the pages over `app`.
pub fn router(app: App) -> Router {
    let compress = DefaultPredicate::new().and(NotForContentType::const_new("video/"));
    let within = within().into_iter().fold(Router::new(), |router, (path, answers)| router.route(path, answers));
    within
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .route("/login", get(access::show).post(access::login))
        .route("/static/{hash}/{name}", get(asset::serve))
        // No fallback: an API beside the pages has one of its own.
        .route("/{*nothing}", any(nowhere))
        .layer(middleware::from_fn(fault::told))
        .layer(CompressionLayer::new().compress_when(compress))
        .layer(middleware::from_fn(harden))
        .with_state(app)
}

/// Returns what answers those alone who were let in.
fn within() -> Vec<Route> {
    let mut routes = page::routes();
    routes.extend([("/logout", post(access::logout)), ("/live", get(live::follow))]);
    routes
}

/// Returns every path that asks who is there, with what differs in braces.
pub fn paths() -> Vec<&'static str> {
    within().into_iter().map(|(path, _)| path).collect()
}

async fn nowhere() -> Fault {
    Fault::Nowhere("There is no page at this address.".to_owned())
}

async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let set = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in set {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
