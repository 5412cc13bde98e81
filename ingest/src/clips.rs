//! `GET /v1/videos/{id}/clips` and the files of each clip.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use pipeline::event::{BlobRef, Clip, Framing, Word};
use pipeline::id::VideoId;
use utoipa::ToSchema;

use crate::app::App;
use crate::extract::{ClipPath, Tenant, VideoPath};
use crate::file::{self, Binary, File, NoFile, Picture, Wishes};
use crate::name;
use crate::problem::{self, Faults, Problem};

/// A clip: when, why and how it was cut.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Clip)]
pub struct ClipBody {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Where it begins in the source, in seconds.
    start_s: f64,
    /// Where it ends in the source, in seconds.
    end_s: f64,
    /// How good it is, 0 to 1.
    score: f64,
    /// Why it was chosen, most important first.
    reasons: Vec<ReasonBody>,
    /// How it is cropped: one framing a shot, in order, without gaps.
    crop: Vec<FramingBody>,
    /// What is said.
    transcript: String,
    /// What is said, word by word.
    words: Vec<WordBody>,
    /// Whether it was made with less work, because the service was under more load than it should be when the video was
    /// accepted: faces were looked for in small pictures alone, so that small ones may be missed, and the encoder was
    /// faster, which costs sharpness or bytes.
    degraded: bool,
    /// Its files.
    links: ClipLinks,
}

/// One reason for a choice, with its number.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonBody {
    /// What was looked at.
    #[schema(example = "speech")]
    name: String,
    /// What was measured, in the unit the text names.
    value: f64,
    /// What it added to the score.
    contribution: f64,
    /// One sentence for a person.
    text: String,
}

/// How the camera behaves in one shot, or part of one.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Framing)]
pub struct FramingBody {
    /// Where it begins in the source, in seconds.
    start_s: f64,
    /// Where it ends in the source, in seconds.
    end_s: f64,
    /// `still`, `pan`, `follow` or `pad`.
    mode: &'static str,
    /// Width of the crop, in pixels of the source as a person sees it.
    width: f64,
    /// Height of the crop, likewise.
    height: f64,
    /// Where its top left corner is; linear between two.
    keyframes: Vec<KeyframeBody>,
    /// Why, in one sentence.
    reason: String,
}

/// Where the crop is at one time.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Keyframe)]
pub struct KeyframeBody {
    /// Source time, in seconds.
    at_s: f64,
    /// Left edge, in pixels of the source.
    x: f64,
    /// Top edge, in pixels of the source.
    y: f64,
}

/// A spoken word.
#[derive(serde::Serialize, ToSchema)]
#[schema(as = Word)]
pub struct WordBody {
    /// When it begins in the source, in seconds.
    start_s: f64,
    /// When it ends, in seconds.
    end_s: f64,
    /// As it is written.
    text: String,
    /// How sure the transcriber is, 0 to 1.
    confidence: f32,
}

/// Paths of a clip's files.
#[derive(serde::Serialize, ToSchema)]
pub struct ClipLinks {
    /// The video, mp4.
    #[schema(required = true)]
    video: Option<String>,
    /// The captions, WebVTT.
    #[schema(required = true)]
    captions: Option<String>,
    /// A still picture, JPEG.
    #[schema(required = true)]
    poster: Option<String>,
    /// The whole source at the clip's first frame, a small JPEG: what the crop is taken from.
    #[schema(required = true)]
    frame: Option<String>,
}

/// The clips of a video.
#[derive(serde::Serialize, ToSchema)]
pub struct ClipList {
    /// The clips that are finished, in order of their time.
    items: Vec<ClipBody>,
    /// Always null: a video has at most a few clips a window.
    #[schema(required = true)]
    next: Option<String>,
}

impl ClipBody {
    /// Shows `clip` of `video`.
    pub fn of(video: VideoId, clip: &Clip) -> Self {
        let here = format!("/v1/videos/{video}/clips/{}", clip.id);
        let link = |blob: &Option<BlobRef>, name: &str| blob.as_ref().map(|_| format!("{here}/{name}"));
        let reason = |r: &pipeline::event::Reason| ReasonBody {
            name: r.name.clone(),
            value: r.value,
            contribution: r.contribution,
            text: r.text.clone(),
        };
        Self {
            id: clip.id.clone(),
            start_s: seconds(clip.start_us),
            end_s: seconds(clip.end_us),
            score: clip.score,
            reasons: clip.reasons.iter().map(reason).collect(),
            crop: clip.framings.iter().map(FramingBody::of).collect(),
            transcript: clip.transcript(),
            words: clip.words.iter().map(WordBody::of).collect(),
            degraded: clip.degraded,
            links: ClipLinks {
                video: link(&clip.video, "video.mp4"),
                captions: link(&clip.captions, "captions.vtt"),
                poster: link(&clip.poster, "poster.jpg"),
                frame: link(&clip.frame, "frame.jpg"),
            },
        }
    }
}

impl FramingBody {
    fn of(framing: &Framing) -> Self {
        let keyframe = |k: &pipeline::event::Keyframe| KeyframeBody { at_s: seconds(k.at_us), x: k.x, y: k.y };
        Self {
            start_s: seconds(framing.start_us),
            end_s: seconds(framing.end_us),
            mode: framing.mode().as_str(),
            width: framing.width,
            height: framing.height,
            keyframes: framing.keyframes.iter().map(keyframe).collect(),
            reason: framing.reason.clone(),
        }
    }
}

impl WordBody {
    fn of(word: &Word) -> Self {
        Self {
            start_s: seconds(word.start_us),
            end_s: seconds(word.end_us),
            text: word.text.clone(),
            confidence: word.confidence,
        }
    }
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// Lists the clips of a video that are finished, in order of their time.
#[utoipa::path(
    get, path = "/v1/videos/{video}/clips", tag = "clips", operation_id = "list_clips",
    params(("video" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The clips", body = ClipList),
        (status = 404, description = "No such video", body = problem::Body, content_type = "application/problem+json"),
        Faults,
    )
)]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    VideoPath(video): VideoPath,
) -> Result<Json<ClipList>, Problem> {
    let known = app.store.video(&tenant, video).await?.ok_or_else(Problem::no_video)?;
    let clips = app.store.clips(&tenant, video).await?;
    let clips = clips.iter().filter(|clip| !known.state.dropped.contains(&clip.id));
    Ok(Json(ClipList { items: clips.map(|clip| ClipBody::of(video, clip)).collect(), next: None }))
}

/// Whose files are wanted: a clip of the caller's, and what the request says of the bytes.
pub struct Files {
    app: App,
    /// The name of its video.
    video_name: String,
    clip: Clip,
    headers: HeaderMap,
}

impl FromRequestParts<App> for Files {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Tenant(tenant) = Tenant::from_request_parts(parts, app).await?;
        let VideoPath(video) = VideoPath::from_request_parts(parts, app).await?;
        let ClipPath(clip) = ClipPath::from_request_parts(parts, app).await?;
        let known = app.store.video(&tenant, video).await?.ok_or_else(Problem::no_video)?;
        let clip = app.store.clip(&tenant, video, clip).await?.ok_or_else(Problem::no_clip)?;
        Ok(Self { app: app.clone(), video_name: known.new.name, clip, headers: parts.headers.clone() })
    }
}

impl Files {
    async fn give(
        &self,
        blob: &Option<BlobRef>,
        content_type: &'static str,
        extension: &str,
    ) -> Result<Response, Problem> {
        let blob = blob.clone().ok_or_else(Problem::no_clip)?;
        let clip = &self.clip;
        // Captions and pictures are made together with the video, so its hash tells their versions too.
        let etag = format!("\"{}-{extension}-{}\"", clip.sha256.get(..32).unwrap_or(&clip.id), blob.bytes);
        let (start_s, end_s) = (clip.start_us / 1_000_000, clip.end_us / 1_000_000);
        let name = format!("{}-{start_s}s-{end_s}s.{extension}", name::stem(&self.video_name));
        file::answer(&self.app.blobs, File { blob, content_type, etag, name }, &self.headers).await
    }
}

/// Gives the clip's video; takes ranges.
#[utoipa::path(
    get, path = "/v1/videos/{video}/clips/{clip}/video.mp4", tag = "clips", operation_id = "clip_video",
    params(("video" = String, Path, format = "uuid"), ("clip" = String, Path, format = "uuid"), Wishes),
    responses(
        (status = 200, description = "All of it", body = Binary, content_type = "video/mp4", headers(("ETag" = String, description = "Tells versions apart"))),
        (status = 206, description = "The bytes wanted", body = Binary, content_type = "video/mp4", headers(
            ("ETag" = String, description = "Tells versions apart"),
            ("Content-Range" = String, description = "Which bytes these are, and how long the file is"),
        )),
        NoFile, Faults,
    )
)]
pub async fn video_file(files: Files) -> Result<Response, Problem> {
    files.give(&files.clip.video, "video/mp4", "mp4").await
}

/// Gives the clip's captions; takes ranges.
#[utoipa::path(
    get, path = "/v1/videos/{video}/clips/{clip}/captions.vtt", tag = "clips", operation_id = "clip_captions",
    params(("video" = String, Path, format = "uuid"), ("clip" = String, Path, format = "uuid"), Wishes),
    responses(
        (status = 200, description = "All of the captions", body = String, content_type = "text/vtt", headers(("ETag" = String, description = "Tells versions apart"))),
        (status = 206, description = "The bytes wanted", body = Binary, content_type = "text/vtt", headers(
            ("ETag" = String, description = "Tells versions apart"),
            ("Content-Range" = String, description = "Which bytes these are, and how long the file is"),
        )),
        NoFile, Faults,
    )
)]
pub async fn captions_file(files: Files) -> Result<Response, Problem> {
    files.give(&files.clip.captions, "text/vtt; charset=utf-8", "vtt").await
}

/// Gives a still picture of the clip; takes ranges.
#[utoipa::path(
    get, path = "/v1/videos/{video}/clips/{clip}/poster.jpg", tag = "clips", operation_id = "clip_poster",
    params(("video" = String, Path, format = "uuid"), ("clip" = String, Path, format = "uuid"), Wishes),
    responses(Picture, NoFile, Faults)
)]
pub async fn poster_file(files: Files) -> Result<Response, Problem> {
    files.give(&files.clip.poster, "image/jpeg", "jpg").await
}

/// Gives a small picture of the whole source at the clip's first frame; takes ranges.
#[utoipa::path(
    get, path = "/v1/videos/{video}/clips/{clip}/frame.jpg", tag = "clips", operation_id = "clip_frame",
    params(("video" = String, Path, format = "uuid"), ("clip" = String, Path, format = "uuid"), Wishes),
    responses(Picture, NoFile, Faults)
)]
pub async fn frame_file(files: Files) -> Result<Response, Problem> {
    files.give(&files.clip.frame, "image/jpeg", "frame.jpg").await
}
