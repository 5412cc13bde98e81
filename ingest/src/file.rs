//! Answers with a file of the blob store: whole or in ranges, read piece by piece.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use pipeline::blob::{self, Blobs};
use pipeline::event::BlobRef;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};

use crate::problem::{self, Kind, Problem};
use crate::ranges::{self, Wanted};

/// How much is read at once, in bytes.
const CHUNK_BYTES: u64 = 256 << 10;

/// Separates the parts of an answer with several ranges; no part of it can occur in a header value.
const BOUNDARY: &str = "spillway-7f4d3f8e52a15c0e9b1d2d615de19a70";

/// Bytes, in the description of the API.
pub struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
    }
}

impl ToSchema for Binary {}

/// What a request for a file may say of the bytes it wants, for the description of the API.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes headers")]
pub struct Wishes {
    /// The bytes wanted.
    #[param(rename = "Range")]
    range: Option<String>,
    /// The ETag the range is meant for.
    #[param(rename = "If-Range")]
    if_range: Option<String>,
    /// The ETags that are there already.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// A picture or the bytes of it that were wanted, for the description of the API.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes answers")]
pub enum Picture {
    /// All of the picture
    #[response(
        status = 200, content_type = "image/jpeg",
        headers(("ETag" = String, description = "Tells versions apart")),
    )]
    Whole(Binary),
    /// The bytes wanted
    #[response(
        status = 206, content_type = "image/jpeg",
        headers(
            ("ETag" = String, description = "Tells versions apart"),
            ("Content-Range" = String, description = "Which bytes these are, and how long the file is"),
        ),
    )]
    Part(Binary),
}

/// What a request for a file may be answered beside the file, for the description of the API.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only describes answers")]
pub enum NoFile {
    /// It is there already
    #[response(status = 304, headers(("ETag" = String, description = "Tells versions apart")))]
    NotModified,
    /// No such clip, or it has no such file
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(problem::Body),
    /// No byte of the range is in the file
    #[response(
        status = 416, content_type = "application/problem+json",
        headers(("Content-Range" = String, description = "How long the file is")),
    )]
    Unsatisfiable(problem::Body),
}

/// A file as it is offered.
pub struct File {
    /// Where it is.
    pub blob: BlobRef,
    /// Its media type.
    pub content_type: &'static str,
    /// Its strong entity tag, with quotes; changes whenever the bytes do.
    pub etag: String,
    /// The name to save it under: ASCII without quotes.
    pub name: String,
}

/// Answers a GET or HEAD for `file`.
///
/// # Errors
/// When the range is outside the file, or the blob store is away.
pub async fn answer(blobs: &Blobs, file: File, request: &HeaderMap) -> Result<Response, Problem> {
    let length = file.blob.bytes;
    let mut headers = HeaderMap::new();
    set(&mut headers, header::ETAG, &file.etag);
    // A deleted video must not live on in caches: they ask each time, and get 304 while it is there.
    set(&mut headers, header::CACHE_CONTROL, "private, no-cache");
    set(&mut headers, header::ACCEPT_RANGES, "bytes");
    let (status, body) = match ranges::wanted(request, &file.etag, length) {
        Wanted::NotModified => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Wanted::Unsatisfiable => {
            let whole = HeaderValue::try_from(format!("bytes */{length}"));
            let problem = Problem::new(Kind::RangeNotSatisfiable, format!("The file has {length} bytes."));
            return Err(match whole {
                Ok(value) => problem.with_header(header::CONTENT_RANGE, value),
                Err(_) => problem,
            });
        }
        Wanted::Whole => {
            set(&mut headers, header::CONTENT_TYPE, file.content_type);
            set(&mut headers, header::CONTENT_LENGTH, &length.to_string());
            (StatusCode::OK, Body::from_stream(read(blobs.clone(), file.blob.key, 0..length)))
        }
        Wanted::Parts(parts) => match <[Range<u64>; 1]>::try_from(parts) {
            Ok([part]) => {
                set(&mut headers, header::CONTENT_TYPE, file.content_type);
                set(&mut headers, header::CONTENT_RANGE, &content_range(&part, length));
                set(&mut headers, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
                (StatusCode::PARTIAL_CONTENT, Body::from_stream(read(blobs.clone(), file.blob.key, part)))
            }
            Err(parts) => {
                let several = format!("multipart/byteranges; boundary={BOUNDARY}");
                set(&mut headers, header::CONTENT_TYPE, &several);
                let (bytes, body) = multipart(blobs, &file, parts);
                set(&mut headers, header::CONTENT_LENGTH, &bytes.to_string());
                (StatusCode::PARTIAL_CONTENT, body)
            }
        },
    };
    set(&mut headers, header::CONTENT_DISPOSITION, &format!("inline; filename=\"{}\"", file.name));
    Ok((status, headers, body).into_response())
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// Builds the body of several ranges, and its length.
fn multipart(blobs: &Blobs, file: &File, parts: Vec<Range<u64>>) -> (u64, Body) {
    let length = file.blob.bytes;
    let mut total = 0;
    let mut pieces = Vec::new();
    for part in parts {
        let kind = file.content_type;
        let range = content_range(&part, length);
        let head = format!("\r\n--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n");
        total += head.len() as u64 + (part.end - part.start);
        pieces.push((head, part));
    }
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    total += tail.len() as u64;
    let (blobs, key) = (blobs.clone(), file.blob.key.clone());
    let body = stream::iter(pieces).flat_map(move |(head, part)| {
        let bytes = read(blobs.clone(), key.clone(), part);
        stream::once(async { Ok(Bytes::from(head)) }).chain(bytes).boxed()
    });
    (total, Body::from_stream(body.chain(stream::once(async { Ok(Bytes::from(tail)) }))))
}

/// Reads `range` of an object, a piece whenever the last one was taken.
pub fn read(blobs: Blobs, key: String, range: Range<u64>) -> impl Stream<Item = Result<Bytes, blob::Error>> + Send {
    stream::try_unfold((blobs, key, range), |(blobs, key, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest.end.min(rest.start + CHUNK_BYTES);
        let bytes = blobs.get_range(&key, rest.start..end).await?;
        Ok(Some((bytes, (blobs, key, end..rest.end))))
    })
}
