//! `POST /v1/videos`: a raw body, a form, or JSON with a URL becomes a video.

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use pipeline::blob;
use pipeline::event::VideoSource;
use pipeline::id::{TenantId, VideoId};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::accept::{self, Identity, Submission};
use crate::admit;
use crate::app::{App, Limits};
use crate::bounded::{Progress, bounded};
use crate::extract::{Caller, Query};
use crate::file::Binary;
use crate::incoming::Incoming;
use crate::members::Members;
use crate::metrics;
use crate::name;
use crate::options::{OptionFields, Value};
use crate::problem::{self, Faults, Kind, Problem};
use crate::source_url;
use crate::status::VideoBody;
use crate::tenants::Account;
use crate::upload::{self, Received, Target};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The largest JSON body, in bytes.
const MAX_JSON_BYTES: usize = 64 << 10;

/// The largest form field that is no file, in bytes.
const MAX_FIELD_BYTES: usize = 4 << 10;

/// The most bytes of a form beside its file: every option at its largest is far less.
const MAX_BESIDE_FILE_BYTES: u64 = 1 << 20;

/// A video to be fetched from a URL, with any of the options.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes the body, which is read member by member")]
pub struct UrlSubmission {
    /// Where the video is: http or https.
    #[schema(format = "uri", max_length = 2048)]
    pub url: String,
    /// How the clips are to be made.
    #[serde(flatten)]
    pub options: OptionFields,
}

/// A video as the file of a form, with any of the options as fields before or after it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes the body, which is read field by field")]
pub struct FormSubmission {
    /// The video; any name of the field will do as long as it brings a file name.
    #[schema(format = "binary")]
    pub file: String,
    /// How the clips are to be made.
    #[serde(flatten)]
    pub options: OptionFields,
}

/// Submits a video.
///
/// The body is the video itself (any content type but the two others), a form with one file, or JSON with a `url`.
/// Options come in the query, as form fields (before or after the file) or as JSON members. The answer comes when
/// the bytes are safe. A repeated `Idempotency-Key` answers with the video it made the first time.
#[utoipa::path(
    post, path = "/v1/videos", tag = "videos", operation_id = "submit_video",
    params(OptionFields, ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 printable ASCII characters; the same key is the same video.", max_length = 255)),
    request_body(content(
        (Binary = "application/octet-stream"),
        (FormSubmission = "multipart/form-data"),
        (UrlSubmission = "application/json"),
    )),
    responses(
        (status = 202, description = "Accepted, and safe from now on", body = VideoBody, headers(("Location" = String, description = "Path of the video"))),
        (status = 400, description = "Malformed, or an unknown or repeated option", body = problem::Body, content_type = "application/problem+json"),
        (status = 408, description = "The upload stalled", body = problem::Body, content_type = "application/problem+json"),
        (status = 410, description = "The video of this key was deleted", body = problem::Body, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = problem::Body, content_type = "application/problem+json"),
        (status = 422, description = "Empty, a wrong option, a refused URL, or a key used for another request", body = problem::Body, content_type = "application/problem+json"),
        (status = 429, description = "A quota of the tenant is used up", body = problem::Body, content_type = "application/problem+json", headers(("Retry-After" = u32, description = "After how many seconds there is room again"))),
        (status = 507, description = "No space is left", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn submit(
    State(app): State<App>,
    Caller(account): Caller,
    Query(query): Query,
    request: Request,
) -> Response {
    let begun_at = Instant::now();
    let (parts, body) = request.into_parts();
    let incoming = Incoming::new(&parts.headers, body);
    let taken = take(app, &account, query, Request::from_parts(parts, incoming.body())).await;
    if taken.as_ref().is_err_and(|p| !matches!(p.kind(), Kind::UploadTimeout | Kind::UploadInterrupted)) {
        incoming.linger().await;
    }
    let response = taken.into_response();
    metrics::submission(response.status(), begun_at.elapsed());
    response
}

async fn take(
    app: App,
    account: &Account,
    query: Vec<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = account.tenant.clone();
    let identity = Identity::of(&tenant, idempotency_key(request.headers())?.as_deref());
    let mut fields = OptionFields::default();
    for (name, value) in &query {
        fields.set(name, Value::Text(value))?;
    }
    let known = if identity.is_keyed() { app.store.video(&tenant, identity.video).await? } else { None };
    let admission = match &known {
        Some(_) => None,
        None => Some(admit::admit(&app, account, identity.video, content_length(request.headers())).await?),
    };
    let target = || match &known {
        Some(_) => Target::Discard,
        None => Target::Store(&app.blobs, source_key(&tenant, identity.video)),
    };
    let intake = Intake { app: &app, target: &target, hashed: identity.is_keyed() };
    let media_type = media_type(request.headers());
    let brings_bytes = media_type != "application/json";
    let _under_way = admission.as_ref().filter(|_| brings_bytes).map(|_| app.load.upload_begins());
    let content = match media_type.as_str() {
        "application/json" => from_json(&app.limits, request, &mut fields).await?,
        "multipart/form-data" => intake.form(request, &mut fields).await?,
        _ => intake.raw(request, &fields).await?,
    };
    let options = match fields.finish() {
        Ok(options) => options,
        Err(problem) => {
            content.discard(&app).await;
            return Err(problem);
        }
    };
    let video = match (known, admission.zip(content.source)) {
        (Some(known), _) => {
            accept::check_same(&known, &options, content.body_sha256)?;
            known
        }
        (None, Some((admission, source))) => {
            let name = name::tidy(fields.name.as_deref().or(content.name.as_deref()).unwrap_or_default());
            let body_sha256 = content.body_sha256;
            accept::accept(&app, Submission { tenant, identity, admission, options, name, source, body_sha256 }).await?
        }
        (None, None) => return Err(Problem::new(Kind::MissingVideo, "The request brings no video.")),
    };
    let body = VideoBody::of(&app, &video).await?;
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, body.links.this.clone())], Json(body)).into_response())
}

/// What the request brought.
struct Content {
    /// Nothing when the bytes were only looked at.
    source: Option<VideoSource>,
    name: Option<String>,
    body_sha256: Option<[u8; 32]>,
}

impl Content {
    fn uploaded(received: Received, name: Option<String>) -> Self {
        Self { source: received.blob.map(VideoSource::Upload), name, body_sha256: received.sha256 }
    }

    /// Removes what was stored for a submission that is refused after all.
    async fn discard(&self, app: &App) {
        if let Some(source) = &self.source {
            accept::remove_source(app, source).await;
        }
    }
}

/// How bytes are taken in.
struct Intake<'a> {
    app: &'a App,
    target: &'a (dyn Fn() -> Target<'a> + Sync),
    hashed: bool,
}

impl Intake<'_> {
    async fn raw(&self, request: Request, fields: &OptionFields) -> Result<Content, Problem> {
        // All options came in the query: a wrong one is told before the bytes are taken.
        fields.finish()?;
        upload::check_length(&self.app.limits, content_length(request.headers()), 0)?;
        let body = request.into_body().into_data_stream();
        let received = upload::receive(&self.app.limits, (self.target)(), self.hashed, body).await?;
        Ok(Content::uploaded(received, None))
    }

    async fn form(&self, request: Request, fields: &mut OptionFields) -> Result<Content, Problem> {
        let unreadable = |e: axum::extract::multipart::MultipartRejection| {
            Problem::new(Kind::MalformedRequest, format!("The form cannot be read: {}", e.body_text()))
        };
        upload::check_length(&self.app.limits, content_length(request.headers()), MAX_BESIDE_FILE_BYTES)?;
        let (parts, body) = request.into_parts();
        let (body, progress) = bounded(&self.app.limits, body);
        let request = Request::from_parts(parts, body);
        let mut form = Multipart::from_request(request, &()).await.map_err(unreadable)?;
        let mut content: Option<Content> = None;
        let read = self.fields(&mut form, &progress, fields, &mut content).await;
        match (read, content) {
            (Ok(()), Some(content)) => Ok(content),
            (Ok(()), None) => Err(Problem::new(Kind::MissingVideo, "The form has no file; send one with a file name.")),
            (Err(problem), content) => {
                if let Some(content) = content {
                    content.discard(self.app).await;
                }
                Err(problem)
            }
        }
    }

    async fn fields(
        &self,
        form: &mut Multipart,
        progress: &Progress,
        fields: &mut OptionFields,
        content: &mut Option<Content>,
    ) -> Result<(), Problem> {
        while let Some(mut field) = form.next_field().await? {
            progress.mark();
            let Some(file_name) = field.file_name().map(str::to_owned) else {
                let name = field.name().unwrap_or_default().to_owned();
                let mut text = Vec::new();
                while let Some(chunk) = field.chunk().await? {
                    text.extend_from_slice(&chunk);
                    if text.len() > MAX_FIELD_BYTES {
                        let detail = format!("The field has more than {MAX_FIELD_BYTES} bytes.");
                        return Err(Problem::of_option(Kind::InvalidOption, &name, detail));
                    }
                }
                let text = String::from_utf8(text)
                    .map_err(|_| Problem::of_option(Kind::InvalidOption, &name, "The field must be text in UTF-8."))?;
                fields.set(&name, Value::Text(text.trim()))?;
                continue;
            };
            if content.is_some() {
                return Err(Problem::new(Kind::SeveralFiles, "Send one file in a request; submit each on its own."));
            }
            let chunks = stream::try_unfold(field, |mut field| async {
                let chunk: Option<Bytes> = field.chunk().await?;
                progress.mark();
                Ok::<_, axum::extract::multipart::MultipartError>(chunk.map(|chunk| (chunk, field)))
            });
            let chunks = Box::pin(chunks);
            let received = upload::receive(&self.app.limits, (self.target)(), self.hashed, chunks).await?;
            *content = Some(Content::uploaded(received, Some(file_name)));
        }
        Ok(())
    }
}

async fn from_json(limits: &Limits, request: Request, fields: &mut OptionFields) -> Result<Content, Problem> {
    let read = axum::body::to_bytes(request.into_body(), MAX_JSON_BYTES);
    let read = tokio::time::timeout(limits.upload_idle, read).await;
    let text = read.map_err(|_| upload::timed_out())?.map_err(|_| {
        let detail = format!("The JSON body broke off or has more than {MAX_JSON_BYTES} bytes.");
        Problem::new(Kind::MalformedRequest, detail)
    })?;
    let Members(members) = serde_json::from_slice(&text)
        .map_err(|e| Problem::new(Kind::MalformedRequest, format!("The body is not JSON with a url: {e}.")))?;
    let mut url = None;
    for (name, value) in &members {
        if name != "url" {
            fields.set(name, Value::Json(value))?;
            continue;
        }
        if url.is_some() {
            return Err(problem::repeated(name));
        }
        let text =
            value.as_str().ok_or_else(|| Problem::of_option(Kind::InvalidOption, "url", "url must be a text."))?;
        let checked = source_url::check(text);
        url = Some(checked.map_err(|why| Problem::of_option(Kind::UrlRefused, "url", format!("url must be {why}.")))?);
    }
    let url = url.ok_or_else(|| {
        Problem::of_option(Kind::MissingVideo, "url", "The JSON body has no url; give one, or send the video itself.")
    })?;
    let hash: [u8; 32] = Sha256::digest(format!("url:{url}")).into();
    let name = url.path_segments().and_then(|mut s| s.next_back()).map(name::percent_decoded);
    Ok(Content { source: Some(VideoSource::Url(url.into())), name, body_sha256: Some(hash) })
}

/// Each upload has a key of its own, so that a second one under the same `Idempotency-Key` never touches the first.
fn source_key(tenant: &TenantId, video: VideoId) -> String {
    blob::key(tenant, video, blob::Kind::Source, &Uuid::new_v4().to_string())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let printable = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    let key = printable.ok_or_else(|| {
        Problem::new(Kind::InvalidIdempotencyKey, "An Idempotency-Key has 1 to 255 printable ASCII characters.")
    })?;
    Ok(Some(key.to_owned()))
}
