//! `GET /v1/videos/{id}/analysis`: what was found in a video, its windows joined into one.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use pipeline::blob::Blobs;
use serde_json::{Map, Value};

use crate::app::App;
use crate::extract::{Tenant, VideoPath};
use crate::file;
use crate::problem::{self, Faults, Kind, Problem};

/// Shows what was found: shots, face tracks, words, loudness, all with source times in seconds.
///
/// While the video is worked on, and where windows failed, this is what is known of it so far.
#[utoipa::path(
    get, path = "/v1/videos/{video}/analysis", tag = "videos", operation_id = "show_analysis",
    params(("video" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "An object with the arrays `shots`, `tracks`, `words` and `loudness`", body = Object, content_type = "application/json"),
        (status = 404, description = "No such video, or no analysis of it yet", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn show(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(video): VideoPath,
) -> Result<Response, Problem> {
    let video = app.store.video(&tenant, video).await?.ok_or_else(Problem::no_video)?;
    let windows: Vec<String> = video.state.analyses.iter().filter(|key| !key.is_empty()).cloned().collect();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let Some((first, others)) = windows.split_first() else {
        let detail = match video.state().is_final() {
            true => "The video ended before any part of it was analysed; its state and error say why.",
            false => "No part of the video is analysed yet; follow its events until one says analyzed.",
        };
        return Err(Problem::new(Kind::AnalysisNotReady, detail));
    };
    if others.is_empty() {
        // A video planned as a whole has one window, however long it is: passed on as it is, piece by piece.
        let bytes = app.blobs.size(first).await?;
        let body = Body::from_stream(file::read(app.blobs.clone(), first.clone(), 0..bytes));
        return Ok((json, [(header::CONTENT_LENGTH, bytes)], body).into_response());
    }
    // Read before the answer begins, so that a missing window is an error and not half a document.
    let members = read(&app.blobs, first).await?.into_iter().map(|(name, _)| name).collect();
    Ok((json, Body::from_stream(joined(app.blobs.clone(), members, windows))).into_response())
}

/// Writes one object, member by member, each joined from all windows: only one window, ten minutes of video, is in
/// memory at a time.
fn joined(
    blobs: Blobs,
    members: Vec<String>,
    windows: Vec<String>,
) -> impl futures::Stream<Item = Result<Bytes, anyhow::Error>> {
    let steps: Vec<(usize, usize)> =
        (0..members.len()).flat_map(|member| (0..windows.len()).map(move |window| (member, window))).collect();
    let state = (blobs, members, windows, steps.into_iter(), Member::default());
    stream::try_unfold(state, |(blobs, members, windows, mut steps, mut so_far)| async move {
        let Some((member, window)) = steps.next() else { return Ok(None) };
        let name = &members[member];
        let value = read(&blobs, &windows[window]).await?.remove(name).unwrap_or(Value::Null);
        let mut text = Vec::new();
        if window == 0 {
            so_far = Member::default();
            text.extend_from_slice(if member == 0 { b"{" } else { b"," });
            serde_json::to_writer(&mut text, name)?;
            text.push(b':');
        }
        so_far.add(name, value, &mut text)?;
        if window + 1 == windows.len() {
            so_far.close(&mut text)?;
            if member + 1 == members.len() {
                text.push(b'}');
            }
        }
        Ok(Some((Bytes::from(text), (blobs, members, windows, steps, so_far))))
    })
}

/// A member that is being written: an array goes on from window to window. Anything else is small enough to be kept
/// until the last window: arrays inside an object go on likewise, and else the last window has the say (`end_s`), but
/// for `start_s`, which is the first one's.
#[derive(Default)]
struct Member {
    is_array: bool,
    elements: usize,
    kept: Option<Value>,
}

impl Member {
    fn add(&mut self, name: &str, value: Value, text: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let Value::Array(elements) = value else {
            match &mut self.kept {
                Some(kept) if name != "start_s" => go_on(kept, value),
                Some(_) => {}
                None => self.kept = Some(value),
            }
            return Ok(());
        };
        if !self.is_array {
            text.push(b'[');
        }
        self.is_array = true;
        for element in elements {
            if self.elements > 0 {
                text.push(b',');
            }
            self.elements += 1;
            serde_json::to_writer(&mut *text, &element)?;
        }
        Ok(())
    }

    fn close(&self, text: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match &self.kept {
            _ if self.is_array => text.push(b']'),
            kept => serde_json::to_writer(text, kept)?,
        }
        Ok(())
    }
}

/// Lets `later`, of the next window, go on where `value` ended.
fn go_on(value: &mut Value, later: Value) {
    match (value, later) {
        (Value::Array(elements), Value::Array(more)) => elements.extend(more),
        (Value::Object(members), Value::Object(more)) => {
            for (name, later) in more {
                match members.get_mut(&name) {
                    Some(member) => go_on(member, later),
                    None => {
                        members.insert(name, later);
                    }
                }
            }
        }
        (value, later) => *value = later,
    }
}

async fn read(blobs: &Blobs, key: &str) -> Result<Map<String, Value>, anyhow::Error> {
    let bytes = blobs.get(key).await?;
    // Minutes of words and tracks are megabytes of JSON.
    Ok(tokio::task::spawn_blocking(move || serde_json::from_slice(&bytes)).await??)
}
