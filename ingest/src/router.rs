//! The paths of the API, their description at `/openapi.json`, and what holds for every answer.

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::{any, get};
use tower_http::trace::TraceLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::{Kind, Problem, shorten};
use crate::{analysis, clips, events, status, submit};

#[derive(OpenApi)]
#[openapi(
    info(title = "spillway", description = "Turns long videos into short vertical clips.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    modifiers(&Keys),
    security((), ("key" = [])),
    tags(
        (name = "videos", description = "What was submitted, and how far it is"),
        (name = "clips", description = "What came of it"),
    )
)]
struct Description;

/// Describes how a tenant is known.
struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("A key of the tenant; none where the operator keeps no file of tenants."));
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer.build()));
    }
}

/// Returns the routes of the API over `app`, beside `others` (health, metrics), for which the same holds.
pub fn router(app: App, others: Router) -> Router {
    let (routes, description) = described().split_for_parts();
    routes
        .route("/openapi.json", get(move || std::future::ready(Json(description))))
        // Pages beside the API answer where there is nothing, but not for what it should have had.
        .route("/v1/{*nothing}", any(not_found))
        .merge(others.with_state(()))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        // Bodies are bounded where they are read: an upload by the operator's limit, anything else by a few KiB.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::map_response(harden))
        .layer(TraceLayer::new_for_http())
        .with_state(app)
}

/// Returns the description of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(submit::submit, status::list))
        .routes(routes!(status::show, status::delete))
        .routes(routes!(status::cancel))
        .routes(routes!(events::follow))
        .routes(routes!(analysis::show))
        .routes(routes!(clips::list))
        .routes(routes!(clips::video_file))
        .routes(routes!(clips::captions_file))
        .routes(routes!(clips::poster_file))
        .routes(routes!(clips::frame_file))
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(Kind::NotFound, format!("There is no path {:?}; see /openapi.json.", shorten(uri.path())))
}

async fn method_not_allowed() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "The path does not take this method; see /openapi.json.")
}

/// What is served was made by strangers: a browser must not guess that it is a page.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("default-src 'none'; sandbox"));
    response
}
