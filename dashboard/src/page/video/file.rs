//! A clip's files, under paths of ours: the API is asked for them on behalf of whose they are.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};

use super::read;
use crate::app::App;
use crate::fault::Fault;

/// The files there are.
const FILES: [&str; 4] = ["video.mp4", "captions.vtt", "poster.jpg", "frame.jpg"];
/// What of a request says which bytes are wanted.
const WISHES: [HeaderName; 3] = [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH];

/// Gives a file, whole or in ranges, as the API does.
///
/// # Errors
/// When there is no such file.
pub async fn serve(
    State(app): State<App>,
    Path((tenant, video, clip, file)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Fault> {
    let (tenant, video) = read(&tenant, &video)?;
    let clip: Option<pipeline::id::ClipId> = clip.parse().ok();
    let (Some(clip), Some(file)) = (clip, FILES.into_iter().find(|known| *known == file)) else {
        return Err(Fault::Nowhere("The video has no such clip or file.".to_owned()));
    };
    let mut asked = Request::builder()
        .method(request.method())
        .uri(format!("/v1/videos/{video}/clips/{clip}/{file}"))
        .body(Body::empty())
        .map_err(|error| Fault::Internal(error.into()))?;
    for name in WISHES {
        if let Some(value) = request.headers().get(&name) {
            asked.headers_mut().insert(name, value.clone());
        }
    }
    Ok(app.api.ask(tenant, asked).await.into_response())
}
