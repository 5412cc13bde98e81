//! A form as a browser sends it without scripts: fields first, the token before all others, then the file, which is handed
//! on piece by piece.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::stream;
use pipeline::id::TenantId;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{BYTES, ask, place, tenant};
use crate::access::Viewer;
use crate::app::Api;
use crate::fault::Fault;
use crate::form::check_token;
use crate::problem::Problem;

/// The most bytes of a field that is no file, and the most fields.
const FIELD_BYTES: usize = 4 << 10;
const FIELDS: usize = 40;
/// How long a browser may take for a field that is no file.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what is left of a refused form or file is read on.
pub const LINGER: Duration = Duration::from_secs(2);
/// Pieces of a file that are read ahead.
const AHEAD: usize = 2;

/// What a form said beside its file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sent {
    /// Whose video it is to be.
    pub tenant: String,
    /// Where it is to be fetched from; empty for a file.
    pub url: String,
    /// Options by name, as they came.
    pub options: BTreeMap<String, String>,
}

/// What became of a form.
pub enum Outcome {
    /// The path of the video's page.
    Accepted(String),
    /// Why not, with what the form said.
    Refused(Box<Sent>, Problem),
}

/// Takes a form and sends what it says on to `api`.
///
/// # Errors
/// When the viewer may not change anything, the form is not from a page of ours, or it cannot be read.
pub async fn take(api: &Api, viewer: &Viewer, mut request: Request) -> Result<Outcome, Fault> {
    viewer.may_change()?;
    // How large a file may be, the API says.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| unreadable(&error.body_text()))?;
    let taken = read(api, viewer, &mut form).await;
    if !matches!(taken, Ok(Outcome::Accepted(_))) {
        linger(form).await;
    }
    taken
}

/// Reads what is left of a form that is refused for a moment, without keeping any: a browser that is cut off while it
/// sends does not show why.
async fn linger(mut form: Multipart) {
    let reading = async {
        while let Ok(Some(mut field)) = form.next_field().await {
            while let Ok(Some(_)) = field.chunk().await {}
        }
    };
    // What comes later than that is cut off.
    let _ = timeout(LINGER, reading).await;
}

async fn read(api: &Api, viewer: &Viewer, form: &mut Multipart) -> Result<Outcome, Fault> {
    // Programs need no token, so their first field is as good as any.
    let token = match viewer.is_program {
        true => None,
        false => match next(form).await? {
            Some(field) if field.name() == Some("csrf") => Some(text(field).await?),
            _ => None,
        },
    };
    check_token(viewer, token.as_deref())?;
    let mut sent = Sent::default();
    for _ in 0..FIELDS {
        let Some(mut field) = next(form).await? else { break };
        let Some(file_name) = field.file_name().map(str::to_owned) else {
            let name = field.name().unwrap_or_default().to_owned();
            let value = text(field).await?.trim().to_owned();
            match name.as_str() {
                "tenant" => sent.tenant = value,
                "url" => sent.url = value,
                _ => drop(sent.options.insert(name, value)),
            }
            continue;
        };
        // A browser sends the field of a file though none was chosen.
        let Some(begin) = chunk(&mut field).await?.filter(|chunk| !chunk.is_empty()) else { continue };
        if !sent.url.is_empty() {
            return Ok(refused(sent, "several_files", "Give a file or a URL, not both."));
        }
        return upload(api, sent, file_name, begin, field).await;
    }
    if sent.url.is_empty() {
        return Ok(refused(sent, "missing_video", "Choose a file, or give a URL."));
    }
    let tenant = tenant(api, Some(&sent.tenant))?;
    let mut asked = ask(&sent.options, Body::from(serde_json::json!({ "url": sent.url }).to_string()))?;
    asked.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let response = api.ask(tenant.clone(), asked).await;
    Ok(outcome(sent, &tenant, response).await)
}

/// Hands a file on while it comes: `begin`, then the rest of `field`.
async fn upload(
    api: &Api,
    sent: Sent,
    file_name: String,
    begin: Bytes,
    mut field: Field<'_>,
) -> Result<Outcome, Fault> {
    let tenant = tenant(api, Some(&sent.tenant))?;
    let mut options = sent.options.clone();
    let name = options.entry("name".to_owned()).or_default();
    if name.is_empty() {
        *name = file_name;
    }
    let (give, taken) = mpsc::channel::<Result<Bytes, axum::Error>>(AHEAD);
    let chunks = stream::unfold(taken, |mut taken| async { taken.recv().await.map(|chunk| (chunk, taken)) });
    let mut asked = ask(&options, Body::from_stream(chunks))?;
    asked.headers_mut().insert(header::CONTENT_TYPE, BYTES);
    let handing_on = async move {
        let mut piece = Some(Ok(begin));
        while let Some(chunk) = piece {
            let is_last = chunk.is_err();
            // Whoever does not take it any more has answered.
            if give.send(chunk).await.is_err() || is_last {
                break;
            }
            piece = field.chunk().await.map_err(axum::Error::new).transpose();
        }
    };
    let (response, ()) = tokio::join!(api.ask(tenant.clone(), asked), handing_on);
    Ok(outcome(sent, &tenant, response).await)
}

async fn outcome(sent: Sent, tenant: &TenantId, response: Response) -> Outcome {
    match place(tenant, &response) {
        Some(place) => Outcome::Accepted(place),
        None => Outcome::Refused(Box::new(sent), Problem::read(response).await),
    }
}

fn refused(sent: Sent, code: &str, detail: &str) -> Outcome {
    let title = "The form brings no video that can be taken".to_owned();
    let problem = Problem { status: 422, title, detail: detail.to_owned(), code: code.to_owned(), option: None };
    Outcome::Refused(Box::new(sent), problem)
}

async fn next(form: &mut Multipart) -> Result<Option<Field<'_>>, Fault> {
    let next = timeout(PATIENCE, form.next_field()).await.map_err(|_| slow())?;
    next.map_err(|error| unreadable(&error.body_text()))
}

async fn chunk(field: &mut Field<'_>) -> Result<Option<Bytes>, Fault> {
    let chunk = timeout(PATIENCE, field.chunk()).await.map_err(|_| slow())?;
    chunk.map_err(|error| unreadable(&error.body_text()))
}

async fn text(mut field: Field<'_>) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    while let Some(more) = chunk(&mut field).await? {
        bytes.extend_from_slice(&more);
        if bytes.len() > FIELD_BYTES {
            return Err(Fault::Refused(format!("A field of the form has at most {FIELD_BYTES} bytes.")));
        }
    }
    String::from_utf8(bytes).map_err(|_| unreadable("a field is no text"))
}

fn unreadable(why: &str) -> Fault {
    Fault::Refused(format!("The form cannot be read: {why}."))
}

fn slow() -> Fault {
    Fault::Refused("The form came too slowly; send it again.".to_owned())
}

#[cfg(test)]
mod tests;
