//! Errors as callers see them: `application/problem+json` (RFC 9457) with a stable `code`, made in this one place.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::failure::Code;
use pipeline::id::TenantId;
use pipeline::{blob, store};
use utoipa::{IntoResponses, ToSchema};

/// What kind of thing went wrong; owns status, code and title.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The request cannot be read.
    MalformedRequest,
    /// An option or parameter is not known.
    UnknownOption,
    /// An option was given twice.
    DuplicateOption,
    /// An option or parameter has the wrong type or value.
    InvalidOption,
    /// The `Idempotency-Key` is not one.
    InvalidIdempotencyKey,
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused,
    /// Neither a file nor a URL.
    MissingVideo,
    /// More than one file.
    SeveralFiles,
    /// The upload has no bytes.
    EmptyFile,
    /// The upload has more bytes than are admitted.
    TooLarge,
    /// The URL is of no admitted shape.
    UrlRefused,
    /// No bytes came for too long, or the upload took too long.
    UploadTimeout,
    /// The upload broke off.
    UploadInterrupted,
    /// A key is needed, and there is none or a wrong one.
    Unauthorized,
    /// A quota of the tenant is used up.
    QuotaExceeded,
    /// No such path.
    NotFound,
    /// No such video of this tenant.
    VideoNotFound,
    /// No such clip of this video, or no such file of it.
    ClipNotFound,
    /// No window of the video is analysed yet.
    AnalysisNotReady,
    /// The video of this `Idempotency-Key` was deleted.
    VideoDeleted,
    /// The path has no such method.
    MethodNotAllowed,
    /// No byte of the range is in the file.
    RangeNotSatisfiable,
    /// No room for more.
    StorageFull,
    /// Disk or memory is short.
    Overloaded,
    /// Store, blobs or broker cannot be reached.
    Unavailable,
    /// A bug or damaged data.
    Internal,
}

impl Kind {
    /// Returns the status it answers with.
    pub const fn status(self) -> StatusCode {
        self.row().0
    }

    /// Returns the stable name callers branch on.
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::MalformedRequest => (S::BAD_REQUEST, "malformed_request", "The request cannot be read"),
            Self::UnknownOption => (S::BAD_REQUEST, "unknown_option", "There is no such option"),
            Self::DuplicateOption => (S::BAD_REQUEST, "duplicate_option", "An option is given twice"),
            Self::InvalidOption => (S::UNPROCESSABLE_ENTITY, "invalid_option", "An option has no admitted value"),
            Self::InvalidIdempotencyKey => {
                (S::BAD_REQUEST, "invalid_idempotency_key", "The Idempotency-Key is not admitted")
            }
            Self::IdempotencyKeyReused => {
                (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The Idempotency-Key named another request")
            }
            Self::MissingVideo => (S::UNPROCESSABLE_ENTITY, "missing_video", "The request brings no video"),
            Self::SeveralFiles => (S::UNPROCESSABLE_ENTITY, "several_files", "The request brings several files"),
            Self::EmptyFile => (S::UNPROCESSABLE_ENTITY, Code::EmptyFile.as_str(), "The upload is empty"),
            Self::TooLarge => (S::PAYLOAD_TOO_LARGE, Code::TooLarge.as_str(), "The upload is too large"),
            Self::UrlRefused => (S::UNPROCESSABLE_ENTITY, Code::UrlRefused.as_str(), "The URL is not admitted"),
            Self::UploadTimeout => (S::REQUEST_TIMEOUT, "upload_timeout", "The upload took too long"),
            Self::UploadInterrupted => (S::BAD_REQUEST, "upload_interrupted", "The upload broke off"),
            Self::Unauthorized => (S::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Self::QuotaExceeded => (S::TOO_MANY_REQUESTS, "quota_exceeded", "A quota is used up"),
            Self::NotFound => (S::NOT_FOUND, "not_found", "There is nothing here"),
            Self::VideoNotFound => (S::NOT_FOUND, "video_not_found", "There is no such video"),
            Self::ClipNotFound => (S::NOT_FOUND, "clip_not_found", "There is no such clip"),
            Self::AnalysisNotReady => (S::NOT_FOUND, "analysis_not_ready", "There is no analysis yet"),
            Self::VideoDeleted => (S::GONE, "video_deleted", "The video was deleted"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not admitted here"),
            Self::RangeNotSatisfiable => {
                (S::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The range is outside the file")
            }
            Self::StorageFull => (S::INSUFFICIENT_STORAGE, "storage_full", "There is no room for more videos"),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", "The service takes no more videos now"),
            Self::Unavailable => (S::SERVICE_UNAVAILABLE, "unavailable", "The service cannot do this now"),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal_error", "Something is wrong on our side"),
        }
    }
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    option: Option<String>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    cause: Option<anyhow::Error>,
}

/// The body of every error.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// A URI that names the kind of problem: `urn:spillway:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:spillway:problem:unknown_option")]
    kind: String,
    /// The kind of problem in words; always the same for a code.
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// What is wrong with this request and what to do.
    detail: String,
    /// The stable name of the kind of problem, for programs.
    #[schema(example = "unknown_option")]
    code: &'static str,
    /// The option or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    option: Option<String>,
}

/// What any request may be answered when something behind the API is wrong, for its description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes answers")]
pub enum Faults {
    /// A bug or damaged data
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Body),
    /// A key is needed, and there is none or a wrong one; only where the operator keeps a file of tenants
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Body),
    /// The store or another dependency is away, or disk or memory is short; try again
    #[response(
        status = 503, content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "After how many seconds")),
    )]
    Unavailable(Body),
}

impl Problem {
    /// Makes a problem with one sentence about this request. What passes says when to come back.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let problem = Self { kind, detail: detail.into(), option: None, headers: Vec::new(), cause: None };
        match kind {
            Kind::Unavailable | Kind::StorageFull => {
                problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("5"))
            }
            _ => problem,
        }
    }

    /// Names the option or parameter that is wrong.
    pub fn of_option(kind: Kind, option: &str, detail: impl Into<String>) -> Self {
        Self { option: Some(shorten(option)), ..Self::new(kind, detail) }
    }

    /// Says that there is no such video; the same for an id that is not one and for another tenant's.
    pub fn no_video() -> Self {
        Self::new(Kind::VideoNotFound, "No video of yours has this id; list them with GET /v1/videos.")
    }

    /// Says that there is no such clip.
    pub fn no_clip() -> Self {
        Self::new(Kind::ClipNotFound, "The video has no such clip or file; list them with GET /v1/videos/{id}/clips.")
    }

    /// Says that there is no such tenant, to code that asks for it.
    pub fn no_tenant(tenant: &TenantId) -> Self {
        Self::new(Kind::NotFound, format!("There is no tenant {tenant}."))
    }

    /// Returns what kind of problem it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn caused(kind: Kind, detail: &str, cause: anyhow::Error) -> Self {
        Self { cause: Some(cause), ..Self::new(kind, detail) }
    }
}

/// Says that an option or parameter came more than once, in whatever way.
pub(crate) fn repeated(name: &str) -> Problem {
    let detail = format!("{} is given twice; give it once.", shorten(name));
    Problem::of_option(Kind::DuplicateOption, name, detail)
}

/// Keeps what a caller sent short when it is sent back.
pub(crate) fn shorten(text: &str) -> String {
    const CHARS: usize = 64;
    let mut chars = text.chars().filter(|c| !c.is_control());
    let short: String = chars.by_ref().take(CHARS).collect();
    if chars.next().is_some() { format!("{short}...") } else { short }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.row();
        match &self.cause {
            Some(cause) if status == StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(code, error = %format_args!("{cause:#}"), "request failed");
            }
            Some(cause) => tracing::warn!(code, error = %format_args!("{cause:#}"), "request failed"),
            None => tracing::debug!(code, detail = self.detail, "request refused"),
        }
        let kind = format!("urn:spillway:problem:{code}");
        let body = Body { kind, title, status: status.as_u16(), detail: self.detail, code, option: self.option };
        let mut response = (status, Json(body)).into_response();
        let content_type = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) => {
                Self::caused(Kind::Unavailable, "The store cannot be reached; try again shortly.", error.into())
            }
            store::Error::Corrupt(_) => {
                Self::caused(Kind::Internal, "Stored data cannot be read; see the server's log.", error.into())
            }
        }
    }
}

impl From<blob::Error> for Problem {
    fn from(error: blob::Error) -> Self {
        match error {
            blob::Error::Full => Self::caused(
                Kind::StorageFull,
                "No space is left for videos; try again when some were deleted.",
                error.into(),
            ),
            blob::Error::Unavailable(_) => {
                Self::caused(Kind::Unavailable, "The blob store cannot be reached; try again shortly.", error.into())
            }
            blob::Error::NotFound => Self::caused(
                Kind::Internal,
                "A file that should be there is missing; see the server's log.",
                error.into(),
            ),
        }
    }
}

impl From<pipeline::failure::Failure> for Problem {
    fn from(failure: pipeline::failure::Failure) -> Self {
        Self::caused(Kind::Unavailable, "The broker cannot be reached; try again shortly.", failure.into())
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self::caused(Kind::Internal, "Something is wrong on our side; see the server's log.", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_507_and_says_when_to_come_back() {
        let response = Problem::from(blob::Error::Full).into_response();
        assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn what_the_caller_sent_comes_back_short_and_printable() {
        assert_eq!(shorten("a\u{1b}[31mb"), "a[31mb");
        assert_eq!(shorten(&"x".repeat(1000)).len(), 67);
    }
}
