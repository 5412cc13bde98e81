//! A new video: a file or a URL with options, sent on to the API as it comes. Forms of browsers without scripts come as
//! multipart, whose first field is the token; the script sends the bytes of the file alone, with the token in a header.

mod field;
mod form;

use std::collections::BTreeMap;

use askama::Template;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use pipeline::id::TenantId;
use serde::Serialize;
use tokio::time::timeout;
use url::form_urlencoded::{self, Serializer};

use crate::access::Viewer;
use crate::answer::answer_as;
use crate::app::{Api, App};
use crate::fault::Fault;
use crate::form::check_headers;
use crate::frame::Frame;
use crate::problem::Problem;
use field::Field;
use form::{LINGER, Outcome, Sent};

/// The bytes of a file as they are.
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

#[derive(Template, Serialize)]
#[template(path = "new.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// Whose it can be.
    tenants: Vec<String>,
    /// The options of the API.
    options: Vec<Field>,
    /// What was sent and refused, to be mended.
    #[serde(skip)]
    sent: Sent,
    /// Why it was refused.
    problem: Option<Problem>,
}

/// Shows the form.
///
/// # Errors
/// When the API does not describe itself.
pub async fn show(State(app): State<App>, viewer: Viewer) -> Result<Response, Fault> {
    page(&app, viewer, Sent::default(), None).await
}

async fn page(app: &App, viewer: Viewer, sent: Sent, problem: Option<Problem>) -> Result<Response, Fault> {
    let tenants = app.api.tenants();
    let tenant = tenants.first().cloned().unwrap_or_else(TenantId::default_tenant);
    let options = field::of_api(&app.api, tenant, &sent.options).await?;
    let wants = viewer.wants;
    let frame = Frame::new(app, viewer, "/new", "New video", "bar");
    let status = problem.as_ref().map(|problem| StatusCode::from_u16(problem.status).unwrap_or_default());
    let tenants = tenants.iter().map(ToString::to_string).collect();
    answer_as(status.unwrap_or_default(), wants, &Page { frame, tenants, options, sent, problem })
}

/// Takes a video.
///
/// # Errors
/// When the viewer may not send one, or the form cannot be read.
pub async fn submit(State(app): State<App>, viewer: Viewer, request: Request) -> Result<Response, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("multipart/form-data") {
        return bytes(&app.api, &viewer, request).await;
    }
    match form::take(&app.api, &viewer, request).await? {
        Outcome::Accepted(video) => Ok(Redirect::to(&format!("{video}?done=accepted")).into_response()),
        Outcome::Refused(sent, problem) => page(&app, viewer, *sent, Some(problem)).await,
    }
}

/// Sends on a body that is the video itself. The API's answer is given back with the place of the video's page.
async fn bytes(api: &Api, viewer: &Viewer, request: Request) -> Result<Response, Fault> {
    if let Err(fault) = check_headers(viewer, request.headers()) {
        let mut left = request.into_body().into_data_stream();
        // Whoever is cut off while sending does not hear why.
        let _ = timeout(LINGER, async { while let Some(Ok(_)) = left.next().await {} }).await;
        return Err(fault);
    }
    let query = request.uri().query().unwrap_or_default();
    let mut options: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let tenant = tenant(api, options.remove("tenant").as_deref())?;
    let length = request.headers().get(header::CONTENT_LENGTH).cloned();
    let mut asked = ask(&options, request.into_body())?;
    asked.headers_mut().insert(header::CONTENT_TYPE, BYTES);
    if let Some(length) = length {
        asked.headers_mut().insert(header::CONTENT_LENGTH, length);
    }
    let mut response = api.ask(tenant.clone(), asked).await;
    if let Some(place) = place(&tenant, &response)
        && let Ok(place) = HeaderValue::from_str(&place)
    {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Returns whose video it is to be: with one tenant nobody needs to say.
fn tenant(api: &Api, named: Option<&str>) -> Result<TenantId, Fault> {
    let tenants = api.tenants();
    match (named.filter(|name| !name.is_empty()), &*tenants) {
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Fault::Refused("Say whose video it is: choose a tenant.".to_owned())),
        (Some(name), _) => {
            let known = tenants.into_iter().find(|tenant| tenant.as_str() == name);
            known.ok_or_else(|| Fault::Refused("There is no tenant of that name.".to_owned()))
        }
    }
}

/// Makes the request that submits a video with `options`; those that are empty are not said.
fn ask(options: &BTreeMap<String, String>, body: Body) -> Result<Request, Fault> {
    let mut query = Serializer::new(String::new());
    for (name, value) in options.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let request = Request::post(format!("/v1/videos?{}", query.finish())).body(body);
    request.map_err(|error| Fault::Internal(error.into()))
}

/// Returns the path of the page of a video that was accepted.
fn place(tenant: &TenantId, response: &Response) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let video = location.strip_prefix("/v1/videos/").filter(|_| response.status() == StatusCode::ACCEPTED)?;
    Some(format!("/videos/{tenant}/{video}"))
}

impl Page {
    fn is_chosen(&self, tenant: &str) -> bool {
        self.sent.tenant == tenant
    }

    /// Says what is wrong.
    fn wrong(&self) -> String {
        self.problem.as_ref().map_or_else(String::new, |problem| format!("{}. {}", problem.title, problem.detail))
    }

    /// Says whether an option is the one that is wrong.
    fn is_wrong(&self, field: &Field) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.option.as_ref() == Some(&field.name))
    }
}
