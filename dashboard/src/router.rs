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
use crate::{asset, fault, live, page};

/// Everything comes from here, no script stands in a page, and nobody may put a page of ours into theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Returns the routes of the pages over `app`.
pub fn router(app: App) -> Router {
    let compress = DefaultPredicate::new().and(NotForContentType::const_new("video/"));
    Router::new()
        .route("/logout", post(access::logout))
        .route("/live", get(live::follow))
        .merge(page::routes())
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
